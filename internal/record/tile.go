package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// entries stands for the level of entry bundles in tilePath.
const entries = -1

// tilePath returns the name of tile n of a level (c2sp.org/tlog-tiles), width
// hashes wide; 256 is a full one.
func tilePath(level int, n int64, width int) string {
	p := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		p = fmt.Sprintf("x%03d/%s", n%1000, p)
	}
	if level == entries {
		p = "tile/entries/" + p
	} else {
		p = "tile/" + strconv.Itoa(level) + "/" + p
	}
	if width < tileWidth {
		p += ".p/" + strconv.Itoa(width)
	}
	return p
}

// appendBundle appends an entry of at most 65,535 bytes to an entry bundle.
func appendBundle(b, entry []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(entry)))
	return append(b, entry...)
}

// splitBundle returns the entries of a bundle, which alias it. Of a malformed
// bundle it returns those before the damage, and an error.
func splitBundle(b []byte) ([][]byte, error) {
	out := make([][]byte, 0, tileWidth)
	for len(b) > 0 {
		if len(out) == tileWidth {
			return out, fmt.Errorf("%d bytes follow the last of 256 entries", len(b))
		}
		if len(b) < 2 {
			return out, errors.New("it ends within the length of an entry")
		}
		n := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+n {
			return out, fmt.Errorf("it ends within an entry of %d bytes", n)
		}
		out = append(out, b[2:2+n:2+n])
		b = b[2+n:]
	}
	return out, nil
}

// readTile returns the first width hashes of tile n of a level, from the
// partial tile of that width or, where that is gone, from a wider one.
func readTile(s Storage, level int, n int64, width int) ([]tlog.Hash, error) {
	b, err := getTile(s, level, n, width)
	if err != nil {
		return nil, err
	}
	what := ""
	switch {
	case len(b) < width*tlog.HashSize || len(b)%tlog.HashSize != 0:
		what = fmt.Sprintf("truncated: %d bytes are not %d hashes", len(b), width)
	case len(b) > tileWidth*tlog.HashSize:
		what = fmt.Sprintf("%d bytes are more than 256 hashes", len(b))
	}
	if what != "" {
		return nil, &Damage{Index: firstOf(level, n), File: tilePath(level, n, width), What: what}
	}
	return hashesOf(b[:width*tlog.HashSize]), nil
}

// readBundle returns the first width entries of bundle n.
func readBundle(s Storage, n int64, width int) ([][]byte, error) {
	b, err := getTile(s, entries, n, width)
	if err != nil {
		return nil, err
	}
	list, err := splitBundle(b)
	if err == nil && len(list) >= width {
		return list[:width], nil
	}
	d := &Damage{Index: n*tileWidth + int64(len(list)), File: tilePath(entries, n, width)}
	if err != nil {
		d.What = "malformed: " + err.Error()
	} else {
		d.What = fmt.Sprintf("truncated: it holds %d of %d entries", len(list), width)
	}
	return list, d
}

// getTile returns the bytes of a tile or bundle, or of the full one: a log may
// drop a partial tile once the full one is there.
func getTile(s Storage, level int, n int64, width int) ([]byte, error) {
	name := tilePath(level, n, width)
	b, err := s.Get(name)
	if errors.Is(err, fs.ErrNotExist) && width < tileWidth {
		b, err = s.Get(tilePath(level, n, tileWidth))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Damage{Index: firstOf(level, n), File: name, What: "missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return b, nil
}

// firstOf returns the first entry that tile n of a level covers.
func firstOf(level int, n int64) int64 {
	if level == entries {
		level = 0
	}
	return n << (8 * (level + 1))
}
