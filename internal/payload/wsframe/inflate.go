package wsframe

import (
	"bytes"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
)

// window is how far deflate looks back (RFC 1951), in bytes.
const window = 32 << 10

// ratioFrom is how many bytes may come out at any ratio.
const ratioFrom = 1 << 20

// An Inflater undoes permessage-deflate in one direction. It belongs to one
// goroutine.
type Inflater struct {
	Takeover bool // messages may refer to those before
	// Grow, if not nil, is asked before the text takes more memory than 64 KiB,
	// with the size in bytes it will then have. An error of it ends Append.
	Grow func(size int64) error

	dict []byte
	src  bytes.Reader
}

var inflaters sync.Pool // of flate readers

// tail ends a message: the empty block that its sender cut off (RFC 7692
// §7.2.2), and a final empty block, so that the end can be told from a cut.
const tail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"

// Append appends the inflated payload to dst, at most max bytes of it and, once
// over 1 MiB, at most ratio times the payload. It may write behind the end of
// payload. The error is a *Fault or that of Grow, after which the Inflater is of no more use.
func (z *Inflater) Append(dst, payload []byte, max int64, ratio int) ([]byte, error) {
	begin, coded := len(dst), len(payload)
	payload = append(payload, tail...)
	z.src.Reset(payload)
	f, _ := inflaters.Get().(io.ReadCloser)
	if f == nil {
		f = flate.NewReader(&z.src)
	}
	f.(flate.Resetter).Reset(&z.src, z.dict)
	defer func() {
		f.(flate.Resetter).Reset(bytes.NewReader(nil), nil)
		inflaters.Put(f)
	}()
	for {
		if len(dst) == cap(dst) {
			more := 512 + len(dst) - begin
			if size := int64(len(dst) - begin + more); z.Grow != nil && size > keep {
				if err := z.Grow(size); err != nil {
					return dst, err
				}
			}
			dst = slices.Grow(dst, more)
		}
		n, err := f.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch out := int64(len(dst) - begin); {
		case out > max:
			return dst, &Fault{TooBig, "a message is inflated longer than can be inspected"}
		case out > ratioFrom && out > int64(coded)*int64(ratio):
			return dst, &Fault{TooBig, "a message expands more than it may"}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return dst, &Fault{InvalidData, "a compressed message is damaged"}
		}
	}
	if !z.ended(payload[:coded]) {
		return dst, &Fault{InvalidData, "a compressed message goes on behind its end"}
	}
	z.remember(dst[begin:])
	return dst, nil
}

// ended reports whether all of payload was read. Its sender may have ended it
// by a final block, too, behind which stands a zero byte at most (RFC 7692
// §7.2.3.4) or the empty block that was cut off.
func (z *Inflater) ended(payload []byte) bool {
	const final = len("\x01\x00\x00\xff\xff")
	switch z.src.Len() {
	case 0, final, len(tail):
		return true
	case len(tail) + 1:
		return payload[len(payload)-1] == 0
	}
	return false
}

// remember keeps what the next message may refer to.
func (z *Inflater) remember(out []byte) {
	if !z.Takeover {
		return
	}
	if z.dict == nil {
		z.dict = make([]byte, 0, window)
	}
	if len(out) >= window {
		z.dict = append(z.dict[:0], out[len(out)-window:]...)
		return
	}
	if over := len(z.dict) + len(out) - window; over > 0 {
		z.dict = append(z.dict[:0], z.dict[over:]...)
	}
	z.dict = append(z.dict, out...)
}
