package record

import (
	"encoding/binary"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// mtree is the Merkle tree hash as RFC 6962 defines it.
func mtree(h []tlog.Hash) tlog.Hash {
	if len(h) == 1 {
		return h[0]
	}
	k := 1
	for k*2 < len(h) {
		k *= 2
	}
	return tlog.NodeHash(mtree(h[:k]), mtree(h[k:]))
}

func TestTreeIsThatOfRFC6962AndItsEdgeIsEnoughToGoOn(t *testing.T) {
	const size = 66_000 // three levels of tiles
	check := map[int]bool{1: true, 2: true, 3: true, 255: true, 256: true, 257: true, 511: true, 512: true, 1000: true, 65535: true, 65536: true, 65537: true, 65792: true, size: true}
	var tr tree
	var leaves []tlog.Hash
	full := map[[2]int64][]byte{}
	for i := range size {
		h := tlog.RecordHash(binary.BigEndian.AppendUint32(nil, uint32(i)))
		leaves = append(leaves, h)
		tr.append(h, func(x tile) { full[[2]int64{int64(x.level), x.n}] = x.data })
		if !check[i+1] {
			continue
		}
		if tr.root() != mtree(leaves) {
			t.Fatal("root of", i+1)
		}
		if n := levels(tr.size); n != len(tr.edge) {
			t.Fatalf("size %d: %d levels, %d in the edge", tr.size, n, len(tr.edge))
		}
		for level := range tr.edge {
			if w, _ := edgeWidth(tr.size, level); w != len(tr.edge[level]) {
				t.Fatalf("size %d, level %d: %d hashes, want %d", tr.size, level, len(tr.edge[level]), w)
			}
		}
		again := treeOf(tr.size, tr.edge)
		if again.root() != tr.root() || tr.clone().root() != tr.root() {
			t.Fatal("rebuilt root of", i+1)
		}
		tr = *again
	}
	if len(full) != 257+1 {
		t.Error(len(full), "full tiles")
	}
	for at, data := range full {
		span := int64(1) << (8 * at[0])
		for i, h := range hashesOf(data) {
			first := (at[1]*256 + int64(i)) * span
			if at[0] > 0 && i%50 > 0 {
				continue
			}
			if h != mtree(leaves[first:first+span]) {
				t.Fatalf("tile %v, hash %d", at, i)
			}
		}
	}
}

func TestEmptyTreeHasTheHashOfNothing(t *testing.T) {
	if got := new(tree).root().String(); got != "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" {
		t.Error(got)
	}
}
