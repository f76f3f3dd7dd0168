package inflate

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// A stream is a chain of stages, the outermost coding first.
type stream struct {
	in     counter
	ratio  int64
	stages []stage
	err    error
}

// A counter counts what the outermost stage has read.
type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// A stage undoes one coding. It opens its decoder with the first Read, since
// opening reads a header.
type stage struct {
	s      *stream
	coding string
	src    io.Reader
	br     *bufio.Reader
	dec    decoder
	out    int64
	err    error
}

func newStream(codings []string, r io.Reader, maxRatio int) *stream {
	if maxRatio <= 0 {
		maxRatio = DefaultRatio
	}
	s := &stream{in: counter{Reader: r}, ratio: int64(maxRatio), stages: make([]stage, len(codings))}
	var src io.Reader = &s.in
	for i, c := range codings {
		s.stages[i] = stage{s: s, coding: c, src: src}
		src = &s.stages[i]
	}
	return s
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	var n int
	var err error
	if k := len(s.stages); k > 0 {
		n, err = s.stages[k-1].Read(p)
	} else {
		n, err = s.in.Read(p)
	}
	s.err = err
	return n, err
}

// Close gives the decoders back. Reads after it fail.
func (s *stream) Close() error {
	s.err = io.ErrClosedPipe
	for i := range s.stages {
		s.stages[i].close()
	}
	return nil
}

// Read implements io.Reader for the stage inside.
func (st *stage) Read(p []byte) (n int, err error) {
	if st.err != nil {
		return 0, st.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for range 100 {
		if n, err = st.read(p); n > 0 || err != nil {
			break
		}
	}
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	st.out += int64(n)
	switch {
	case st.out > ratioFrom && st.out > st.s.ratio*st.s.in.n:
		n, err = 0, ErrRatio
	case err == io.EOF && st.trailing():
		err = fmt.Errorf("inflate: %s: %w", st.coding, errTrailing)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		err = fmt.Errorf("inflate: zstd: %w: %w", ErrSize, err)
	case err != nil && err != io.EOF && err != ErrRatio:
		err = fmt.Errorf("inflate: %s: %w", st.coding, err)
	}
	st.err = err
	return n, err
}

// read reads from the decoder. A decoder that panics is not used again.
func (st *stage) read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			st.dec = decoder{}
			n, err = 0, fmt.Errorf("panic: %v", r)
		}
	}()
	if st.br == nil {
		st.br = readers.get()
		st.br.Reset(st.src)
		if _, err := st.br.Peek(1); err != nil {
			return 0, err // a body of no bytes, or a source that failed
		}
		if st.dec, err = open(st.coding, st.br); err != nil {
			return 0, noEOF(err)
		}
	}
	if st.dec.Reader == nil {
		return 0, io.ErrUnexpectedEOF
	}
	return st.dec.Read(p)
}

// trailing reports whether bytes follow the end that the decoder saw.
func (st *stage) trailing() bool {
	_, err := st.br.Peek(1)
	return err == nil
}

func (st *stage) close() {
	if st.dec.Reader != nil {
		st.dec.close()
		st.dec = decoder{}
	}
	if st.br != nil {
		st.br.Reset(nil)
		readers.put(st.br)
		st.br = nil
	}
	st.err = io.ErrClosedPipe
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
