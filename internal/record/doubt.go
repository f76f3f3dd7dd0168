package record

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A doubt is the first place where entries and stored tiles differ. Which of
// them is right, the next checkpoint tells.
type doubt struct {
	index int64
	file  string // of the entry
	tile  string // of the hash, if it is above the leaves

	// Of a leaf:
	part     *part
	at       int   // index into the part
	believed *tree // the tree if the stored hashes are right

	err error // the tile could not be read
}

// leafless reports whether d leaves room for a doubt about a leaf, which says
// more than one about a node above it.
func (d *doubt) leafless() bool { return d == nil || d.believed == nil }

// ofEntry returns the damage if the stored hashes are right.
func (d *doubt) ofEntry() error {
	return &Damage{Index: d.index, File: d.file, What: d.part.happened(d.at)}
}

// ofTile returns the damage if the entries are right.
func (d *doubt) ofTile() error {
	switch {
	case d.err != nil:
		return d.err
	case d.believed != nil:
		return &Damage{Index: d.index, File: tilePath(0, d.index/tileWidth, tileWidth), What: "changed: it is not the hash of the entry, which is what was signed"}
	}
	return &Damage{Index: d.index, File: d.tile, What: "changed: it is not the hash of the tiles below, which are what was signed"}
}

// happened says what became of the entry at i, given that the stored hashes
// are those of the entries that were signed.
func (p *part) happened(i int) string {
	is := slices.Index(p.stored, p.hashes[i])  // what stands here is the entry that was there
	now := slices.Index(p.hashes, p.stored[i]) // what was here stands there
	switch {
	case is > i && now > i:
		return fmt.Sprintf("reordered: entry %d stands here", p.first+int64(is))
	case is > i:
		return fmt.Sprintf("removed: entry %d stands here", p.first+int64(is))
	case now > i:
		return fmt.Sprintf("inserted: what was signed here is entry %d now", p.first+int64(now))
	}
	return "changed: its hash is not the one in the tree"
}

// leafHash returns the hash of a leaf (RFC 6962), given a zero byte and the
// entry.
func leafHash(b []byte) tlog.Hash { return sha256.Sum256(b) }
