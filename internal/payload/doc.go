// Package payload turns wire bytes into decoded text and edits back into wire
// bytes. It is the only package that knows encodings: inspectors see plain
// text with a path, policy names spans of it, and what changes on the wire is
// decided here.
//
// # Laws
//
//   - All bytes of a message that a server may read stand in a part, decoded, or are reported
//     as Uninspected. Not read are: the names of ordinary header fields, JSON numbers of fewer
//     than six characters, the punctuation between values.
//   - A body is read as what it is labelled and as what it looks like. What is no valid JSON is
//     read as text.
//   - Bytes that no edit touches stay as they are. JSON stays JSON, a path segment stays one
//     segment, a field stays one line.
//   - An edit of a derived part is an edit of all that it was derived from.
//   - Memory and time are bounded by Limits, and linear in the text.
//
// # Paths
//
// A part has a path. Segments are decoded; in a name, white space, control
// characters and / # % + ( ) are written as %XX, and a name that looks like data
// (longer than 64 bytes, or with a run of 16 letters and digits that is no
// words) is written as (name), for paths stand in records.
//
//	host
//	path/0                          first segment of the path
//	query/q                         value of a query parameter; query/(key) its name
//	header/x-request-id             each value; header/(key) a name that may carry data
//	cookie/sid                      value of a cookie; cookie/(key) its name
//	body                            plain text, XML, HTML, anything else
//	body/messages/3/content         JSON value; body/messages/3/(key) a name in that object
//	body/1/a                        in the second of several JSON values in a row (the first has no index)
//	body/message/3                  third message of a stream of gRPC
//	body/field                      of a form; body/(key) the name of a field
//	body/field/(head)               header block of a part of a multipart body, which is named by
//	                                its name, else by its index; body/field/(key) that name,
//	                                body/field/(filename) its file name; its content is read
//	                                by its own type: body/field/messages/3
//
// A derived part adds what was undone, in the order in which it was:
//
//	body/data#base64#gzip           layers, as package layer names them
//	body/arguments#json/path        a string that is JSON itself
//	body/a+body/c                   neighbouring fields, from the first to the last one touched
//
// Offsets in a call.Place count bytes in the decoded text of the part; in a
// joined part, from the beginning of the first field touched; in the body of a
// window, from the beginning of the stream.
//
// # Joined fields
//
// What is split over neighbouring fields is found in joined parts. Joined are
// values of up to 256 bytes without white space, in the order in which they
// stand: the labels of the host; path, query and body; header fields and
// cookies; the elements of a header field that is a list; the last fields of the
// header and the first of the body; the names of query and body; the names of
// files; names and values of query and form in turn, and of JSON where the names
// may carry data; the values of equal name in one document. Runs made of words
// only are not joined; of others, words between are left out in a second
// reading. Numbers are not joined.
//
// Fields also stand inside of a body, or a part of a multipart body, that is
//
//   - markup: texts of elements, CDATA sections and what stands between tags;
//     values of attributes; comments; names that are no words. Texts are joined
//     by the name of their element, too, values by that of their attribute. An
//     edit of a name is written like one of a text, and no name any more;
//   - text of at most 64 KiB and 1024 lines: lines, without the mark of a list;
//     the one string in quotes in a line; cells between , ; | and tab, in rows
//     and in columns.
//
// A path of such a join names its part twice: body+body. In a joined part, and
// in a layer of one that changes single characters, a word may begin and end
// where a field does (Content.Edge).
//
// # Units
//
// A string of 320 bytes or more that is a member of an object of a JSON body is a
// unit. What it encodes is derived from it alone, and stands at the end of Text in
// a segment of its own (Content.Segments): a segment is read by itself, for what
// stands in another one has nothing to do with it. All else is one segment. A
// string in an array is no unit, since an array may hold the lines of one text.
//
// # Memory
//
// Of a body that is decoded with a Memory, Text lacks the units that were read
// before and in which nothing was found; their parts are there, and empty. What
// is found is the same. For that a unit is left out only if
//
//   - it was read before at the same place of its document, in the same session
//     and by the same inspectors, between the same units and with the same between
//     them, as far as these inspectors look (Memory.reach) and before the first
//     of them with the same head. Names, short values and their order count;
//   - nothing was found within reach of it or in what is derived from it, nor
//     did a match cross its bounds;
//   - in this body too all within reach of it was read before: what is new is read
//     together with its surroundings, as are the head and the end of the body.
//
// Short values are never left out, so that fields are joined as always. What was
// inflated, opened at great cost, or not read to its end is not remembered. A
// memory holds keyed hashes and no text, and is bounded: who fills it makes calls
// slower and not blinder. That a text is known can be told by time within one
// session alone.
//
// # Windows
//
// A body that is read in windows is text, whatever it is labelled: JSON escapes,
// percent-encoding and the like are found as layers, fields are not joined, and
// redactions are masks of the same length. Of a compressed stream what leaves
// lags 160 KiB of decoded text behind what was inspected, and nothing can be
// edited. From where a stream is damaged or a bomb it is read as it came, and its
// windows say that it is unread. Of an endless one, the wire bytes have windows of
// their own: a decompressor may have taken more than it decoded.
//
// # gRPC
//
// Of a stream of gRPC each message is a window of its own, read whole and
// inflated by grpc-encoding (gzip, deflate, zstd, br); small ones that came
// together are one window, named after the first: body/message/3. A message is
// text, or what the content type calls it (application/grpc+json). gRPC-Web and
// the streams of Connect are framed alike and read so. If it is
// protobuf, fields beside whose text a tag or a length looks like part of the
// word are read for themselves, too. Redactions are masks of the same length, so
// that the lengths around them stay right; a compressed message that is edited
// leaves uncompressed. A message longer than Limits.Body, a prefix that is none
// and a stream that ends within a message are Malformed: nothing more leaves.
// What is split over two messages is not found.
//
// # Edits
//
// A redaction replaces a span of a part by With, written as its place demands:
// escaped in JSON, percent-encoded in path, query and form, without control
// characters in header fields. A number becomes a string. What stands encoded
// is replaced as a whole. Spans that overlap become one, replaced by the first
// With that is not empty. In joined fields the first field takes With and the
// others lose their share. A body with a content coding leaves as identity.
// Apply does not inspect its result: what remains around a removed text may,
// together, be something new.
//
// # An example
//
//	c := payload.Decode(m, body, payload.Limits{})
//	defer c.Release()
//	from := bytes.Index(c.Text, secret)
//	at := c.Place(from, from+len(secret)) // body/messages/0/content
//	body, err := c.Apply(m, body, []call.Edit{{Kind: call.Redact, Place: at, With: "[secret]"}})
package payload
