package http1

import (
	"bytes"
	"io"
	"net/http"
)

// A kind says how the end of a body is known.
type kind uint8

const (
	counted    kind = iota // by Content-Length
	chunks                 // by the last chunk
	untilClose             // by the end of the connection
)

// A state says where in a body of chunks the reader stands.
type state uint8

const (
	atSize state = iota // before the line with the size
	inChunk
	atEnd // before the line break after the data
)

const (
	chunkLineMax = 512      // bytes of the line before a chunk, with extensions
	excessMax    = 16 << 10 // bytes of framing beyond what data needs
	trailerMax   = 16 << 10
)

// A Body is the body of a message on a connection. It ends with io.EOF and gives
// io.ErrUnexpectedEOF when the connection ends before it does.
type Body struct {
	r       *Reader
	kind    kind
	state   state
	lenient bool
	left    int64 // of the whole, or of the chunk
	excess  int64
	trailer *http.Header // where the trailer goes
	err     error        // for ever
}

// Done reports whether the body was read to its end, so that the next message
// can be read.
func (b *Body) Done() bool { return b.err == io.EOF }

// UntilClose reports whether the body ends with the connection.
func (b *Body) UntilClose() bool { return b.kind == untilClose }

// Ready reports whether some of the body, or its end, can be read without
// waiting for the other side.
func (b *Body) Ready() bool {
	ahead := b.r.Ahead()
	if b.kind != chunks || b.state == inChunk || b.err != nil {
		return len(ahead) > 0 || b.err != nil
	}
	if b.state == atEnd {
		ahead = bytes.TrimPrefix(ahead, lastChunk[:2])
	}
	i := bytes.IndexByte(ahead, '\n')
	return i > 0 && i+1 < len(ahead) && (ahead[0] != '0' || bytes.HasSuffix(ahead, []byte("\r\n\r\n")))
}

// Close implements io.Closer. It reads nothing: who owns the connection decides
// what becomes of what is left.
func (b *Body) Close() error {
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	return nil
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.r.OnRead != nil && b.r.Buffered() == 0 {
		b.r.OnRead()
	}
	switch b.kind {
	case untilClose:
		n, err = b.r.Read(p)
	case counted:
		n, err = b.r.Read(p[:min(int64(len(p)), b.left)])
		if b.left -= int64(n); b.left == 0 {
			err = io.EOF
		} else {
			err = unexpected(err)
		}
	default:
		n, err = b.chunk(p)
	}
	if timeout, ok := err.(interface{ Timeout() bool }); !ok || !timeout.Timeout() {
		b.err = err
	}
	return n, err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lastChunk ends a chunk and a body without a trailer.
var lastChunk = []byte("\r\n0\r\n\r\n")

// chunk reads within one chunk. It gives the end of the body together with its
// last bytes if that is there already, and never waits for it before they are
// given.
func (b *Body) chunk(p []byte) (int, error) {
	for b.state != inChunk {
		if b.state == atEnd {
			if err := b.end(); err != nil {
				return 0, err
			}
		}
		if err := b.begin(); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	if b.left -= int64(n); b.left > 0 {
		return n, unexpected(err)
	}
	b.state = atEnd
	if bytes.HasPrefix(b.r.Ahead(), lastChunk) {
		b.r.r += len(lastChunk)
		return n, io.EOF
	}
	return n, nil
}

// end reads the line break after a chunk.
func (b *Body) end() error {
	line, err := b.r.line()
	if err != nil {
		return err
	}
	if len(line) > 0 {
		return bad("a chunk is longer than its size says")
	}
	b.state = atSize
	return nil
}

// begin reads the line before a chunk and, after the last one, the trailer; then
// it returns io.EOF.
func (b *Body) begin() error {
	line, err := b.r.line()
	if err != nil {
		return err
	}
	var size int64
	n := 0
	for ; n < len(line) && hex(line[n]) >= 0; n++ {
		if n >= 15 {
			return badly("the size of a chunk is too large", string(line))
		}
		size = size<<4 | int64(hex(line[n]))
	}
	ext := line[n:]
	if b.lenient {
		ext = bytes.TrimLeft(ext, " \t")
	}
	if n == 0 || len(ext) > 0 && (ext[0] != ';' || !all(string(ext), valueClass)) {
		return badly("a chunk does not begin with its size", string(line))
	}
	// An extension may carry much beside little data; net/http counts alike.
	b.excess = max(0, b.excess+int64(len(line))+4-16-2*size)
	if b.excess > excessMax {
		return bad("the chunks hold more framing than data")
	}
	if size == 0 {
		return b.readTrailer()
	}
	b.left, b.state = size, inChunk
	return nil
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// readTrailer reads the fields after the last chunk.
func (b *Body) readTrailer() error {
	text, err := b.r.head(trailerMax, false)
	if err != nil {
		return unexpected(err)
	}
	f := fieldSet{where: "trailer field"}
	if e := f.parse(text); e != nil {
		return e
	}
	for key, values := range f.header {
		if forbidden(key) {
			return badly("the trailer has a field that may not stand there", key)
		}
		if *b.trailer == nil {
			*b.trailer = http.Header{}
		}
		(*b.trailer)[key] = values
	}
	return io.EOF
}

// line reads one line, good until the next call.
func (r *Reader) line() ([]byte, error) {
	for scanned := 0; ; {
		b := r.Ahead()
		if i := bytes.IndexByte(b[scanned:], '\n'); i >= 0 {
			i += scanned
			r.r += i + 1
			switch {
			case i > chunkLineMax:
				return nil, bad("the line before a chunk is too long")
			case i > 0 && b[i-1] == '\r':
				return b[:i-1], nil
			}
			return nil, bad("a line between chunks ends in a bare line feed")
		}
		if scanned = len(b); scanned > chunkLineMax {
			return nil, bad("the line before a chunk is too long")
		}
		if err := r.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}
