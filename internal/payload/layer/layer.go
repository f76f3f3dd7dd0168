package layer

import (
	"hash/maphash"
	"sync"

	"outvet/internal/payload/inflate"
)

// A Layer is one encoded run of a text and what it holds.
type Layer struct {
	Name       string // as in the package documentation
	Start, End int    // the encoded run in the text it was found in
	Text       []byte // decoded; valid only during the call of emit
	Cut        bool   // the run holds more than was decoded: a cap was reached
}

// Caps bound one Find.
type Caps struct {
	Ratio int // of decompressed to compressed size, once over 1 MiB, from which on an excerpt is emitted; 0 is inflate.DefaultRatio
	Bytes int // decoded bytes of all layers of this Find together

	// Work is the bytes that may still be read and inflated behind magics. Find
	// counts it down, so that several may share it. Nil is four times the text,
	// and Bytes.
	Work *int
}

// Find calls emit for every layer that stands directly in text. Text need not
// be valid UTF-8, nor is what is emitted. It reports whether a cap cut it short.
// emit may call Find. Find is safe for concurrent use.
func Find(text []byte, caps Caps, emit func(Layer)) (cut bool) {
	f := finders.Get().(*finder)
	f.caps, f.room, f.cut, f.emit = caps, max(caps.Bytes, 0), false, emit
	if f.caps.Ratio <= 0 {
		f.caps.Ratio = inflate.DefaultRatio
	}
	work := workPerByte*len(text) + f.room
	if caps.Work != nil {
		work = *caps.Work
	}
	f.work = work
	f.find(text)
	if caps.Work != nil {
		*caps.Work -= work - f.work
	}
	cut = f.cut
	f.emit = nil
	f.trim()
	finders.Put(f)
	return cut
}

// A finder is the working memory of one Find.
type finder struct {
	caps Caps
	room int // bytes that may still be emitted
	cut  bool
	work int // that is left, see Caps
	emit func(Layer)

	out   []byte // what is emitted
	bytes []byte // a decoded candidate
	small []byte // one decoded escape
	run   []byte // a run of several lines, joined
	inner []byte // what a magic in a run or in what was inflated holds
	lines []line // where its lines stand

	seen *[1 << 12]uint64 // hashes of pieces, see excerpt
	seed maphash.Seed

	tracks bool  // at is kept
	at     []int // where each byte of out comes from, of layers that change single characters
}

var finders = sync.Pool{New: func() any { return new(finder) }}

// keep is the memory that a finder may hold while it is idle.
const keep = 1 << 20

func (f *finder) trim() {
	if cap(f.out)+cap(f.bytes)+cap(f.run)+cap(f.inner) > keep {
		*f = finder{}
	}
}

func (f *finder) find(text []byte) {
	f.runs(text)
	f.pairs(text)
	f.rewrite(percent, text)
	f.rewrite(backslash, text)
	f.rewrite(entity, text)
	f.rewrite(quoted, text)
	f.wide(text)
	f.compressed(text)
	f.fold(text)
}

// give emits text[start:end], which holds b, or as much of b as there is room for.
func (f *finder) give(name string, start, end int, b []byte, cut bool) {
	if len(b) == 0 && !cut {
		return
	}
	if len(b) > f.room {
		b, cut = b[:f.room], true
	}
	f.room -= len(b)
	f.cut = f.cut || cut
	if len(b) > 0 {
		f.emit(Layer{Name: name, Start: start, End: end, Text: b, Cut: cut})
	}
}
