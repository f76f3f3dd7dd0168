package inflate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

const (
	// DefaultRatio stands for a ratio of zero or less.
	DefaultRatio = 200

	ratioFrom  = 1 << 20 // bytes out before the ratio counts
	maxCodings = 4
	maxWindow  = 8 << 20 // RFC 9659 §3
)

var (
	// ErrRatio says that a body expands more than it may.
	ErrRatio = errors.New("inflate: decompressed size exceeds the ratio")
	// ErrSize says that a body is larger than it may be.
	ErrSize = errors.New("inflate: decompressed size exceeds the cap")
)

var (
	errTrailing  = errors.New("bytes after the end")
	errAmbiguous = errors.New("both zlib and raw deflate")
)

// Whole decodes body, coded as a Content-Encoding field says. cut reports that
// a cap (bytes out, ratio once over 1 MiB) or damage ended it early; out then
// holds what came before. An unknown coding is an error that names it. out is
// new memory unless the coding is identity: then it is body.
func Whole(coding string, body []byte, maxBytes, maxRatio int) (out []byte, cut bool, err error) {
	codings, err := parse(coding)
	if err != nil {
		return nil, false, err
	}
	if len(codings) == 0 {
		if len(body) > max(maxBytes, 0) {
			return body[:max(maxBytes, 0)], true, nil
		}
		return body, false, nil
	}
	size := min(4*len(body)+512, max(maxBytes, 0))
	out, err = fill(make([]byte, 0, size), codings, body, maxBytes, maxRatio)
	return out, err != nil, nil
}

// Append is Whole that appends to dst, at most maxBytes, and says why it ended
// early: ErrSize or ErrRatio for a cap, any other error for damage or an unknown
// coding.
func Append(dst []byte, coding string, body []byte, maxBytes, maxRatio int) ([]byte, error) {
	codings, err := parse(coding)
	if err != nil {
		return dst, err
	}
	return fill(dst, codings, body, maxBytes, maxRatio)
}

// Front appends what body begins with, a stream of one coding that any bytes
// may follow, at most maxBytes of it and at whatever ratio. read is how many
// bytes of body it took. The error is that of Append; bytes behind the end are
// one for it too.
func Front(dst []byte, coding string, body []byte, maxBytes int) (out []byte, read int, err error) {
	codings, err := parse(coding)
	if err != nil {
		return dst, 0, err
	}
	s := newStream(codings, bytes.NewReader(body), math.MaxInt32)
	defer s.Close()
	out, err = s.fill(dst, maxBytes)
	read = int(s.in.n)
	if len(s.stages) > 0 && s.stages[0].br != nil {
		read -= s.stages[0].br.Buffered()
	}
	return out, read, err
}

func fill(dst []byte, codings []string, body []byte, maxBytes, maxRatio int) ([]byte, error) {
	s := newStream(codings, bytes.NewReader(body), maxRatio)
	defer s.Close()
	return s.fill(dst, maxBytes)
}

// fill appends what s holds, at most maxBytes.
func (s *stream) fill(dst []byte, maxBytes int) ([]byte, error) {
	room := max(maxBytes, 0)
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, min(len(dst), room)+1) // doubled: much that comes of little is met often
		}
		// One byte more than there is room for tells a full end from a cut.
		p := dst[len(dst):cap(dst)]
		if len(p) > room {
			p = p[:room+1]
		}
		n, err := s.Read(p)
		if n > room {
			return dst[:len(dst)+room], ErrSize
		}
		dst, room = dst[:len(dst)+n], room-n
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// Reader decodes a stream. Reads fail with ErrRatio when it is a bomb, and with
// an error that names the coding when the stream is damaged. It reads from r
// only during Read, up to 32 KiB ahead of what it returns, and returns what a
// sender has flushed without waiting for more. Close does not close r.
func Reader(coding string, r io.Reader, maxRatio int) (io.ReadCloser, error) {
	codings, err := parse(coding)
	if err != nil {
		return nil, err
	}
	return newStream(codings, r, maxRatio), nil
}

// Known reports whether coding, the value of a Content-Encoding field, names
// only codings that this package can undo.
func Known(coding string) bool {
	_, err := parse(coding)
	return err == nil
}

// Magic names the coding that b begins like: gzip, zlib or zstd; "" if none.
// For zlib it takes the header that compressors write (a 32 KiB window, a
// check that fits, no dictionary); "zlib" is undone as deflate.
func Magic(b []byte) string {
	switch {
	case len(b) >= 3 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8:
		return "gzip"
	case len(b) >= 4 && b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd:
		return "zstd"
	case len(b) >= 3 && b[0] == 0x78 && isZlib(b) && b[2]&6 != 6:
		return "zlib"
	}
	return ""
}

// isZlib reports whether b begins with a zlib header (RFC 1950 §2.2) without a
// preset dictionary.
func isZlib(b []byte) bool {
	return len(b) >= 2 && b[0]&15 == 8 && b[0]>>4 <= 7 && b[1]&0x20 == 0 &&
		(int(b[0])<<8|int(b[1]))%31 == 0
}

// parse returns the codings to undo, in the order to undo them.
func parse(field string) ([]string, error) {
	var out []string
	for name := range strings.SplitSeq(field, ",") {
		switch name = strings.ToLower(strings.Trim(name, " \t")); name {
		case "", "identity":
			continue
		case "x-gzip":
			name = "gzip"
		case "gzip", "deflate", "br", "zstd":
		default:
			return nil, fmt.Errorf("inflate: unknown coding %q", name)
		}
		if len(out) == maxCodings {
			return nil, fmt.Errorf("inflate: more than %d codings in %q", maxCodings, field[:min(len(field), 80)])
		}
		out = append([]string{name}, out...)
	}
	return out, nil
}
