package record

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

const tileWidth = 256 // C2SP tlog-tiles has tiles of height 8

// A tree is the right edge of a Merkle tree (RFC 6962, section 2.1): all that
// is needed to append to it. The zero tree is empty.
type tree struct {
	size  int64
	peaks []tlog.Hash   // roots of the perfect subtrees, left to right, as the bits of size
	edge  [][]tlog.Hash // of each level the hashes of the right-most tile, fewer than 256

	// node, if set, is told of every hash n of a level of tiles.
	node func(level int, n int64, h tlog.Hash)
}

// A tile is a full tile: 256 hashes of a level.
type tile struct {
	level int
	n     int64
	data  []byte
}

// append adds a leaf and gives full the tiles that it completes, lowest first.
func (t *tree) append(leaf tlog.Hash, full func(tile)) {
	t.push(0, leaf)
	node, size := leaf, t.size
	for level := 1; size&1 == 1; level, size = level+1, size>>1 {
		last := len(t.peaks) - 1
		node = tlog.NodeHash(t.peaks[last], node)
		t.peaks = t.peaks[:last]
		if level%8 != 0 {
			continue
		}
		// 256 nodes of the tile level below became this one.
		below := level/8 - 1
		if full != nil {
			full(tile{below, t.size >> level, hashBytes(t.edge[below])})
		}
		t.edge[below] = t.edge[below][:0]
		t.push(below+1, node)
	}
	t.peaks = append(t.peaks, node)
	t.size++
}

func (t *tree) push(level int, h tlog.Hash) {
	if level == len(t.edge) {
		t.edge = append(t.edge, make([]tlog.Hash, 0, tileWidth))
	}
	t.edge[level] = append(t.edge[level], h)
	if t.node != nil {
		t.node(level, t.size>>(8*level), h)
	}
}

// root returns the Merkle tree hash.
func (t *tree) root() tlog.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	last := len(t.peaks) - 1
	h := t.peaks[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(t.peaks[i], h)
	}
	return h
}

// clone returns a copy that shares nothing with t and tells nobody.
func (t *tree) clone() *tree {
	c := &tree{size: t.size, peaks: append([]tlog.Hash(nil), t.peaks...)}
	for _, e := range t.edge {
		c.edge = append(c.edge, append(make([]tlog.Hash, 0, tileWidth), e...))
	}
	return c
}

// edgeWidth returns how many hashes of a level stand in its right-most tile
// and the number of that tile, for a tree of size.
func edgeWidth(size int64, level int) (width int, n int64) {
	nodes := size >> (8 * level)
	return int(nodes % tileWidth), nodes / tileWidth
}

// levels returns how many levels of tiles a tree of size has.
func levels(size int64) (n int) {
	for ; size > 0; size >>= 8 {
		n++
	}
	return n
}

// treeOf rebuilds the right edge from its tiles. edge[i] must have the width
// of edgeWidth(size, i).
func treeOf(size int64, edge [][]tlog.Hash) *tree {
	t := &tree{size: size}
	for level := range edge {
		t.edge = append(t.edge, append(make([]tlog.Hash, 0, tileWidth), edge[level]...))
	}
	for level := len(edge) - 1; level >= 0; level-- {
		rest := edge[level]
		for bit := tileWidth / 2; bit > 0; bit /= 2 {
			if len(rest) >= bit {
				t.peaks = append(t.peaks, perfect(rest[:bit]))
				rest = rest[bit:]
			}
		}
	}
	return t
}

// perfect returns the root of a perfect subtree over h, a power of two of them.
func perfect(h []tlog.Hash) tlog.Hash {
	if len(h) == 1 {
		return h[0]
	}
	return tlog.NodeHash(perfect(h[:len(h)/2]), perfect(h[len(h)/2:]))
}

func hashBytes(h []tlog.Hash) []byte {
	b := make([]byte, 0, len(h)*tlog.HashSize)
	for i := range h {
		b = append(b, h[i][:]...)
	}
	return b
}

// hashesOf is the inverse of hashBytes; it ignores an incomplete last hash.
func hashesOf(b []byte) []tlog.Hash {
	h := make([]tlog.Hash, len(b)/tlog.HashSize)
	for i := range h {
		copy(h[i][:], b[i*tlog.HashSize:])
	}
	return h
}
