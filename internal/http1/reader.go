package http1

import (
	"io"
	"sync"
)

// bufferSize holds a head and a body of 4 KB, so that most requests are one
// read.
const bufferSize = 8 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// A Reader reads messages from a connection. The zero Reader with Src set is
// ready.
type Reader struct {
	Src io.Reader

	// OnRead, if not nil, is called before Src is read from for a body: the
	// moment to tell a client that waits for 100 (Continue).
	OnRead func()

	buf  *[bufferSize]byte // nil while nothing is buffered
	r, w int
	one  [1]byte
}

// Buffered returns how many bytes were read ahead.
func (r *Reader) Buffered() int { return r.w - r.r }

// Ahead returns the bytes that were read ahead, good until the next call.
func (r *Reader) Ahead() []byte {
	if r.buf == nil {
		return nil
	}
	return r.buf[r.r:r.w]
}

// Take returns what was read ahead and gives the buffer back: somebody else reads
// on.
func (r *Reader) Take() []byte {
	ahead := append([]byte(nil), r.Ahead()...)
	r.r = r.w
	r.Release()
	return ahead
}

// Unread puts one byte before what is read next. It is for who waited for a
// message by reading its first byte, while nothing was buffered.
func (r *Reader) Unread(b byte) {
	r.take()
	if r.r == 0 {
		copy(r.buf[1:], r.buf[:r.w])
		r.r, r.w = 1, r.w+1
	}
	r.r--
	r.buf[r.r] = b
}

// Wait waits for the first byte of a message without holding a buffer.
func (r *Reader) Wait() error {
	if r.Buffered() > 0 {
		return nil
	}
	r.Release()
	for {
		n, err := r.Src.Read(r.one[:])
		if n > 0 {
			r.Unread(r.one[0])
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Release gives the buffer back if nothing is in it.
func (r *Reader) Release() {
	if r.buf != nil && r.r == r.w {
		buffers.Put(r.buf)
		r.buf, r.r, r.w = nil, 0, 0
	}
}

func (r *Reader) take() {
	if r.buf == nil {
		r.buf = buffers.Get().(*[bufferSize]byte)
		r.r, r.w = 0, 0
	}
}

// fill reads more. The buffer must have room.
func (r *Reader) fill() error {
	r.take()
	if r.r == r.w {
		r.r, r.w = 0, 0
	} else if r.w == len(r.buf) {
		copy(r.buf[:], r.buf[r.r:r.w])
		r.r, r.w = 0, r.w-r.r
	}
	for tries := 0; ; tries++ {
		n, err := r.Src.Read(r.buf[r.w:])
		r.w += n
		switch {
		case n > 0:
			return nil // an error comes again
		case err != nil:
			return err
		case tries == 100:
			return io.ErrNoProgress
		}
	}
}

// Read implements io.Reader: what is buffered first, then the source itself.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r < r.w {
		n := copy(p, r.buf[r.r:r.w])
		r.r += n
		return n, nil
	}
	r.Release()
	return r.Src.Read(p)
}
