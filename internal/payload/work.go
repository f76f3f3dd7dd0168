package payload

import (
	"hash/maphash"

	"outvet/internal/payload/layer"
)

// work is the memory that decoding needs besides its result. It goes with a
// Content so that both are pooled together.
type work struct {
	bytes []byte  // decoded bytes of one field
	at    []int32 // where they were written
	names []string
	line  []byte
	basic [2]int // the span in Text of the credentials of the Basic scheme

	stack []level

	rows    [rowCount]row
	columns []column
	texts   []int32 // parts to join the pieces inside of
	seed    maphash.Seed

	hasher   hasher
	held     []byte // of Text, and of runs, while units are restored
	heldRuns []run
	side     []byte   // undecoded bytes of binary layers
	binaries []binary // to look into
	holes    []int32  // parts whose text is not looked into
	emit     func(layer.Layer)
	crossing []crossing
	again    []crossing // that are being looked into part by part, or nil
	owner    *Content
	at0      int // where the text that is looked into begins
	cutAt    int // in Text, of the first layer that was not read to its end, or -1
	within   int // the binary part that is looked into, or -1
	inflate  int // bytes that may still be inflated, of all layers together
}

func newWork() *work {
	w := &work{seed: maphash.MakeSeed()}
	w.emit = func(l layer.Layer) { w.owner.addLayer(l) }
	return w
}

func (w *work) reset(c *Content) {
	w.owner, w.basic, w.within = c, [2]int{}, -1
	w.inflate = 2 * int(c.lim.Text) // most of a picture is inflated and not kept
	w.side, w.binaries, w.holes = w.side[:0], w.binaries[:0], w.holes[:0]
	w.crossing, w.again = w.crossing[:0], nil
}

// release lets go of what belongs to the call.
func (w *work) release() {
	clear(w.names)
}
