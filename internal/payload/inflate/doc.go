// Package inflate undoes the content codings of HTTP (RFC 9110 §8.4.1): gzip
// and x-gzip (RFC 1952, several members), deflate (RFC 1950, or raw RFC 1951 as
// many senders write it), br (RFC 7932), zstd (RFC 8878, several frames), and
// comma lists of them.
//
// Names are case-insensitive, spaces around them and empty elements are
// ignored, "identity" does nothing. A list names the codings in the order in
// which they were applied, so the last is undone first: "gzip, br" is brotli
// outside. A list has at most four codings.
//
// # What may be read is read, what cannot be read is said
//
// A body is read the way a strict server reads it, and whatever another server
// could read otherwise is damage: bytes after the end of the last member or
// frame, a wrong checksum, a truncated end, a preset dictionary, a deflate body
// that is well-formed both as zlib and as raw. Whole reports damage as cut,
// Reader as an error; what came before it is returned. A body of no bytes is
// the empty body in every coding. Names, comments and extra fields of a gzip
// header, skippable frames of zstd and metadata blocks of brotli are not part
// of the body and are skipped.
//
// # Bombs
//
// Output is capped by size and by its ratio to the input, the latter only once
// 1 MiB has come out: short texts of one letter are no bombs. The ratio is that
// to the outermost input and is held by every stage of a list on its own, so
// that a stage that turns much into nothing costs no more than the rest. A zstd
// window is at most 8 MiB (RFC 9659) and a brotli window at most 16 MiB.
//
// No goroutine is started. Decoders are pooled; Close gives them back.
package inflate
