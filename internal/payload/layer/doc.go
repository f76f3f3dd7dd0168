// Package layer finds and opens encoded runs in a text, one layer at a time.
//
// Find looks at one text and emits every run that stands directly in it, with
// what it holds. It does not look into what it emits: the caller calls Find
// again on it, as deep as it wants to go. So "base64 of gzip of percent" is
// three calls.
//
// # What is found
//
//	base64   standard and URL alphabet, mixed, padded or not, from 16 characters on (12 bytes);
//	         behind a prefix of the same characters (a path, "token-") at any of the four
//	         alignments; several glued together; in lines of equal length
//	hex      from 16 digits on, any case, behind a prefix of one digit; in pairs with one
//	         separator of : - . , ; _ | or space, or as 0x41,0x42
//	base32   RFC 4648 in one case, from 16 characters on, at any of the eight alignments
//	percent  %41, and %u0041
//	escape   the backslash escapes of JSON, JavaScript, C, shell and Markdown: \n \" \\ \/ \u0041
//	         with surrogates, \u{41}, \U00000041, \x41, \101, \_, a backslash before a line break
//	entity   of HTML and XML: named, decimal, hexadecimal, with or without semicolon
//	quoted   quoted-printable: =41, and = before a line break
//	utf16    text of two bytes a character, one of them zero
//	fold     what looks like ASCII but is not: zero-width and bidirectional controls, soft
//	         hyphens, tags, variation selectors, full-width and mathematical letters,
//	         Cyrillic, Greek and other look-alikes, accents where they make no word
//	hidden   what tag characters and variation selectors write, which nobody sees
//	gzip, zlib, zstd   by their magics, wherever they begin; they reach to the end of the text
//
// base64, hex and base32 emit a run whose content is text (from 12 bytes on, or
// 8 if it is all of a run of hex digits) or begins with one of the magics above.
// Bytes that are neither hold nothing that an inspector could read, and most of
// what looks like base64 is of that kind: names, paths, digests, images. Of such
// a run only the stretches of text in it are emitted.
//
// Magics also stand in random bytes by chance. Each is tried, and what comes to
// nothing costs little; the work on them is bounded, see Caps. What was inflated
// is emitted whole if it is text, or not over 64 KiB and not damaged, and as an
// excerpt otherwise: the stretches of text in it from 8 bytes on, UTF-16
// included, and what is compressed in it again. Each stretch is there once, and
// what repeats itself every 24 bytes or less one time: the pixels of a picture
// come to little. Text that is larger than Caps.Ratio allows is emitted so too.
//
// percent, escape, entity, quoted and fold change single characters. Their run
// is the text around the changed characters, to the next space on both sides
// (at most 512 bytes), and neighbouring ones are joined, so that a word keeps
// its context. Changes that cannot hide anything are not emitted: a "\n" at
// the end of a word, an accent in a French word, a Russian word, an emoji, a line
// of backslashes. Quoted-printable is taken for it only where it breaks a line,
// escapes the equals sign or several characters in a row, or where nearly all
// equals signs escape: status=200 does not.
//
// # Laws
//
//   - Text[Start:End] is what must be replaced to remove the content from the text. Locate says
//     more exactly which bytes of it a part of the content comes from.
//   - Layers may overlap: one run may be read in several ways, and what is compressed reaches to
//     the end of the text.
//   - Time is linear in the text, whatever it holds. A text without layers costs a few scans at
//     the speed of memory and no allocation.
//   - What is emitted may be binary and may be invalid UTF-8. Damage is not Cut: what comes before
//     it is emitted, and what comes behind it nobody can read in this way.
//
// # Example
//
//	layer.Find([]byte(`{"d":"aGlkZGVuIGhlcmU="}`), layer.Caps{Bytes: 1 << 20}, func(l layer.Layer) {
//		fmt.Printf("%s %d:%d %s", l.Name, l.Start, l.End, l.Text) // base64 6:22 hidden here
//	})
//
// # Limits
//
// Not found are: runs shorter than said above; lines of base64 shorter than 16
// characters and text put together from string literals; text in few ASCII
// characters (Chinese, or all of it in look-alikes) that stands in the middle of
// a run of base64 or hex; zlib behind other bytes in base64; brotli, which has no
// magic; archives (zip, tar); alphabets of one's own, base58, base85, rot13. Where
// unpadded strings are glued together, or letters stand right in front of one, a
// few wrong bytes may stand beside the text.
package layer
