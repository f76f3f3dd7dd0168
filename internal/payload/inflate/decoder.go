package inflate

import (
	"bufio"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// A decoder is one opened decoder and how to give it back.
type decoder struct {
	io.Reader
	close func()
}

// A pool holds idle decoders of one kind: pointers or interfaces, so that
// neither get nor put allocates.
type pool[T any] struct {
	idle sync.Pool
	make func() T
}

func (p *pool[T]) get() T {
	if d, ok := p.idle.Get().(T); ok {
		return d
	}
	return p.make()
}

func (p *pool[T]) put(d T) { p.idle.Put(d) }

// The pools are the only state of the package. What is in them holds no
// payload that could be read again: every decoder is reset before use.
var (
	readers  = pool[*bufio.Reader]{make: func() *bufio.Reader { return bufio.NewReaderSize(nil, 8<<10) }}
	gzips    = pool[*gzip.Reader]{make: func() *gzip.Reader { return new(gzip.Reader) }}
	zlibs    = pool[io.ReadCloser]{make: func() io.ReadCloser { return nil }}
	deflates = pool[io.ReadCloser]{make: func() io.ReadCloser { return flate.NewReader(eof{}) }}
	brotlis  = pool[*brotli.Reader]{make: func() *brotli.Reader { return new(brotli.Reader) }}
	zstds    = pool[*zstd.Decoder]{make: newZstd}
)

// open opens the decoder of coding over br and reads its header.
func open(coding string, br *bufio.Reader) (decoder, error) {
	switch coding {
	case "gzip":
		z := gzips.get()
		return decoder{z, func() { gzips.put(z) }}, z.Reset(br)
	case "deflate":
		return openDeflate(br)
	case "br":
		z := brotlis.get()
		return decoder{z, func() { brotlis.put(z) }}, z.Reset(br)
	}
	z := zstds.get()
	err := z.Reset(br)
	return decoder{z, func() {
		_ = z.Reset(nil) // always fails, and lets go of br
		zstds.put(z)
	}}, err
}

// openDeflate tells zlib from raw deflate. The first byte of a zlib stream with
// the usual method is, as raw deflate, the head of a stored block, which goes
// on with a length and its complement. Where these fit, two servers may read
// two different bodies.
func openDeflate(br *bufio.Reader) (decoder, error) {
	head, _ := br.Peek(5)
	if !isZlib(head) {
		z := deflates.get()
		return decoder{z, func() { deflates.put(z) }}, z.(flate.Resetter).Reset(br, nil)
	}
	if len(head) == 5 && head[1]^head[3] == 0xff && head[2]^head[4] == 0xff {
		return decoder{}, errAmbiguous
	}
	z := zlibs.get()
	var err error
	if z == nil {
		z, err = zlib.NewReader(br)
	} else {
		err = z.(zlib.Resetter).Reset(br, nil)
	}
	if err != nil {
		return decoder{}, err
	}
	return decoder{z, func() { zlibs.put(z) }}, nil
}

func newZstd() *zstd.Decoder {
	// One at a time, so that it starts no goroutine and needs no Close.
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	if err != nil {
		panic(err) // the options are constants
	}
	return z
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
