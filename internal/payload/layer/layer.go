// Package layer finds and opens encoded runs in a text, one layer at a time.
package layer

// A Layer is one encoded run of a text and what it holds.
type Layer struct {
	Name       string // base64, hex, base32, percent, escape, entity, gzip, zlib, zstd, br, fold
	Start, End int    // the encoded run in the text it was found in
	Text       []byte // decoded; valid only during the call of emit
	Cut        bool   // the run holds more than was decoded (a cap was reached)
}

// Caps bound one Find.
type Caps struct {
	Ratio int // of decompressed to compressed size, once over 1 MiB
	Bytes int // decoded bytes of all layers of this Find together
}

// Find calls emit for every layer that stands directly in text. Text need not
// be valid UTF-8, nor is what is emitted. It reports whether a cap cut it short.
func Find(text []byte, caps Caps, emit func(Layer)) (cut bool) { panic("not written") }
