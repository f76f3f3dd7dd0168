// Package inflate undoes the content codings of HTTP: gzip, x-gzip, deflate
// (zlib or raw), br, zstd, and lists of them.
package inflate

import "io"

// Whole decodes body, coded as a Content-Encoding field says. cut reports that
// a cap (bytes out, ratio once over 1 MiB) or damage ended it early; out then
// holds what came before. An unknown coding is an error that names it.
func Whole(coding string, body []byte, maxBytes, maxRatio int) (out []byte, cut bool, err error) {
	panic("not written")
}

// Reader decodes a stream. Reads fail with ErrRatio when it is a bomb.
func Reader(coding string, r io.Reader, maxRatio int) (io.ReadCloser, error) { panic("not written") }
