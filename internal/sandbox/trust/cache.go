package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// form counts the ways in which we have made things: with a change of one,
// what older programs kept is not taken.
const form = 1

// keep is how many things of one kind stay in a cache.
const keep = 8

// cached returns what make makes from parts, or what it made before. A file of
// the cache is its digest and the thing, so that a broken one is made anew. A
// cache that cannot be written costs time and nothing else.
func cached(dir, kind string, make func() ([]byte, error), parts ...[]byte) ([]byte, error) {
	if dir == "" {
		return make()
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %d\n", form, kind, len(parts))
	for _, p := range parts {
		binary.Write(h, binary.BigEndian, uint64(len(p)))
		h.Write(p)
	}
	name := filepath.Join(dir, fmt.Sprintf("%s-%x", kind, h.Sum(nil)[:16]))
	if b, err := os.ReadFile(name); err == nil && len(b) > sha256.Size {
		if d := sha256.Sum256(b[sha256.Size:]); bytes.Equal(d[:], b[:sha256.Size]) {
			return b[sha256.Size:], nil
		}
	}
	data, err := make()
	if err == nil {
		write(dir, kind, name, data)
	}
	return data, err
}

// write puts a thing into the cache, at once and complete, and removes the
// oldest of its kind.
func write(dir, kind, name string, data []byte) {
	if os.MkdirAll(dir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return
	}
	d := sha256.Sum256(data)
	_, err = f.Write(append(d[:], data...))
	if cerr := f.Close(); err != nil || cerr != nil || os.Rename(f.Name(), name) != nil {
		os.Remove(f.Name())
		return
	}
	old, _ := filepath.Glob(filepath.Join(dir, kind+"-*"))
	age := func(n string) time.Time {
		i, err := os.Stat(n)
		if err != nil {
			return time.Time{}
		}
		return i.ModTime()
	}
	slices.SortFunc(old, func(a, b string) int { return age(b).Compare(age(a)) })
	for _, o := range old[min(keep, len(old)):] {
		os.Remove(o)
	}
}
