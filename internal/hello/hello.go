package hello

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Max bounds all records of a hello, in bytes.
const Max = 64 << 10

// Versions of TLS.
const (
	TLS10 = 0x0301
	TLS12 = 0x0303
	TLS13 = 0x0304
)

// A Hello is what a client says before anything is secret.
type Hello struct {
	Name      string   // the server name as sent, "" for none
	Protocols []string // of ALPN, in the client's order
	Version   uint16   // the newest version of TLS that is offered
	Encrypted bool     // it has an encrypted hello (ECH), real or made up
	Early     bool     // data follows before the server has answered (0-RTT)
}

// A Malformed is the error that bytes are no hello that means one thing.
type Malformed struct{ Why string }

func (e *Malformed) Error() string { return "hello: " + e.Why }

func malformed(format string, args ...any) error { return &Malformed{fmt.Sprintf(format, args...)} }

const (
	recordHead    = 5
	handshakeHead = 4
	recordMax     = 1 << 14 // bytes in a record, RFC 8446 §5.1
)

// Read reads a hello that begins with have and goes on in r. It returns every
// byte that it took, which may be more than the hello. An error is a *Malformed,
// or that of r; io.EOF within a hello is io.ErrUnexpectedEOF.
func Read(have []byte, r io.Reader) (Hello, []byte, error) {
	b := have[:len(have):len(have)]
	var message []byte // so far
	at := 0            // where the next record begins
	for {
		for len(b)-at >= recordHead {
			end, err := record(b, at)
			if err != nil {
				return Hello{}, b, err
			}
			if end > len(b) {
				break
			}
			message = append(message, b[at+recordHead:end]...)
			at = end
			whole, err := complete(message)
			if err != nil {
				return Hello{}, b, err
			}
			if whole {
				h, err := parse(message[handshakeHead:])
				return h, b, err
			}
		}
		if len(b) >= Max {
			return Hello{}, b, malformed("it is longer than %d bytes", Max)
		}
		var err error
		if b, err = more(b, r); err != nil {
			return Hello{}, b, err
		}
	}
}

// more appends what one read gives.
func more(b []byte, r io.Reader) ([]byte, error) {
	b = slices.Grow(b, min(2048, Max-len(b)))
	n, err := r.Read(b[len(b):min(cap(b), Max)])
	b = b[:len(b)+n]
	switch {
	case n > 0:
		return b, nil // the error comes again
	case err == nil:
		return b, io.ErrNoProgress
	case errors.Is(err, io.EOF):
		return b, io.ErrUnexpectedEOF
	}
	return b, err
}

// record checks the head of the record at b[at:] and returns where it ends.
func record(b []byte, at int) (end int, err error) {
	n := int(b[at+3])<<8 | int(b[at+4])
	switch {
	case b[at] != 0x16:
		return 0, malformed("a record of type %d stands where the hello goes on", b[at])
	case b[at+1] != 3 || b[at+2] > 4:
		return 0, malformed("a record has version %d.%d", b[at+1], b[at+2])
	case n == 0 || n > recordMax:
		return 0, malformed("a record has %d bytes", n)
	case at+recordHead+n > Max:
		return 0, malformed("it is longer than %d bytes", Max)
	}
	return at + recordHead + n, nil
}

// complete reports whether message is a whole hello.
func complete(message []byte) (bool, error) {
	if message[0] != 1 {
		return false, malformed("the first message has type %d", message[0])
	}
	if len(message) < handshakeHead {
		return false, nil
	}
	n := handshakeHead + (int(message[1])<<16 | int(message[2])<<8 | int(message[3]))
	switch {
	case n > Max:
		return false, malformed("it is longer than %d bytes", Max)
	case len(message) > n:
		return false, malformed("something follows it in its record")
	}
	return len(message) == n, nil
}

// SSL2 reports whether b begins a hello of SSL 2, also of one that offers
// later versions (RFC 5246 appendix E.2). Three bytes tell it; fewer never do.
func SSL2(b []byte) bool {
	return len(b) >= 3 && b[0]&0x80 != 0 && b[2] == 1 && (len(b) < 4 || b[3] == 3 || b[3] == 0)
}
