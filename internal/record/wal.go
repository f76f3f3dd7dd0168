package record

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// A walReader reads the write-ahead log of a log that may be growing. It is
// for one goroutine.
type walReader struct {
	home  string
	at    int64    // index of the entry to come
	f     *os.File // nil before the first read
	first int64    // of f
	off   int64    // of the next read of f
	chain uint32
	buf   []byte // unread part of what was read
	room  []byte // behind buf
}

const walChunk = 256 << 10

// next returns the next entry, which is valid until the next call. The error
// is io.EOF if there is none yet, and fs.ErrNotExist if its segment is gone:
// then it is in the tiles.
func (r *walReader) next() ([]byte, error) {
	if r.f == nil {
		if err := r.seek(); err != nil {
			return nil, err
		}
	}
	for fresh := false; ; {
		entry, n, chain, err := nextFrame(r.buf, r.chain)
		if err == nil {
			r.buf, r.chain = r.buf[n:], chain
			r.at++
			return entry, nil
		}
		if err == errDamaged {
			if fresh {
				return nil, &Damage{Index: r.at, File: segmentName(r.first), What: "changed, removed or moved"}
			}
			// What was read before may be of a write that failed and was
			// taken back.
			fresh = true
			r.rewind()
		}
		more, err := r.fill()
		if err != nil {
			return nil, err
		}
		if more {
			continue
		}
		// The segment ends here, for now or because the next one begins.
		r.rewind()
		if r.at == r.first {
			return nil, io.EOF
		}
		switch err := r.open(r.at); {
		case errors.Is(err, fs.ErrNotExist), err == errShort:
			return nil, io.EOF
		case err != nil:
			return nil, err
		}
	}
}

// rewind forgets what was read but not yet used.
func (r *walReader) rewind() {
	r.off -= int64(len(r.buf))
	r.buf = nil
}

// fill reads on and reports whether there was more.
func (r *walReader) fill() (bool, error) {
	if cap(r.room) < len(r.buf)+walChunk {
		r.room = make([]byte, len(r.buf)+walChunk+maxEntry)
	}
	r.room = r.room[:cap(r.room)]
	n := copy(r.room, r.buf)
	m, err := r.f.ReadAt(r.room[n:], r.off)
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("record: %w", err)
	}
	r.off += int64(m)
	r.buf = r.room[:n+m]
	return m > 0, nil
}

// seek opens the segment that holds entry r.at and skips to it.
func (r *walReader) seek() error {
	firsts, err := segmentsOf(r.home)
	if err != nil {
		return err
	}
	at, first := r.at, int64(-1)
	for _, f := range firsts {
		if f <= at {
			first = f
		}
	}
	if first < 0 {
		if len(firsts) == 0 {
			return io.EOF
		}
		return fmt.Errorf("record: entry %d in wal: %w", at, fs.ErrNotExist)
	}
	r.at = first
	if err := r.open(first); err != nil {
		r.at = at
		if err == errShort {
			return io.EOF
		}
		return err
	}
	for r.at < at {
		if _, err := r.next(); err != nil {
			r.close()
			r.at = at
			return err
		}
	}
	return nil
}

// open turns to the segment that begins with entry first.
func (r *walReader) open(first int64) error {
	f, err := os.Open(filepath.Join(r.home, filepath.FromSlash(segmentName(first))))
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	head := make([]byte, segmentHead)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		f.Close()
		return fmt.Errorf("record: %w", err)
	}
	at, chain, err := readSegmentHead(head[:n])
	if err == nil && at != first {
		err = errDamaged
	}
	if err != nil {
		f.Close()
		if err == errDamaged {
			err = &Damage{Index: first, File: segmentName(first), What: "its head is damaged"}
		}
		return err
	}
	r.close()
	r.f, r.first, r.off, r.chain, r.buf = f, first, int64(segmentHead), chain, nil
	return nil
}

func (r *walReader) close() error {
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	r.f = nil
	return err
}

// segmentsOf returns the first entries of the segments below home, ascending.
func segmentsOf(home string) ([]int64, error) {
	names, err := os.ReadDir(filepath.Join(home, "wal"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("record: %w", err)
	}
	var firsts []int64
	for _, e := range names {
		n, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || segmentName(n) != "wal/"+e.Name() {
			return nil, &Damage{Index: -1, File: "wal/" + e.Name(), What: "not a segment of the write-ahead log"}
		}
		firsts = append(firsts, n)
	}
	return firsts, nil
}

// A tail is what replay found.
type tail struct {
	next int64 // index after the last entry
	torn int64 // bytes of an entry that was never finished
}

// replay gives add the entries in the write-ahead log from index from on, and
// proves all of it, the entries before from included. An unfinished end is no
// damage; everything else that is not as it was written is.
func replay(home string, from int64, add func(index int64, file string, entry []byte) error) (tail, error) {
	t := tail{next: from}
	firsts, err := segmentsOf(home)
	if err != nil {
		return t, err
	}
	var chain uint32
	next := int64(-1)
	for i, first := range firsts {
		name := segmentName(first)
		last := i == len(firsts)-1
		b, err := os.ReadFile(filepath.Join(home, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // dropped meanwhile: it is in the tiles
		}
		if err != nil {
			return t, fmt.Errorf("record: %w", err)
		}
		at, prev, err := readSegmentHead(b)
		switch {
		case err == errShort && last:
			t.torn = int64(len(b))
			return t, nil
		case err != nil || at != first:
			return t, &Damage{Index: first, File: name, What: "its head is damaged"}
		case next >= 0 && (first != next || prev != chain):
			return t, &Damage{Index: min(first, next), File: name, What: fmt.Sprintf("it does not follow the segment before it, which ends before entry %d", next)}
		case next < 0 && first > from:
			return t, &Damage{Index: from, File: name, What: fmt.Sprintf("removed: the write-ahead log begins with entry %d", first)}
		}
		next, chain = first, prev
		for b = b[segmentHead:]; len(b) > 0; next++ {
			entry, n, c, err := nextFrame(b, chain)
			if err != nil {
				if last && (err == errShort || zero(b)) {
					t.torn = int64(len(b))
					return t, nil
				}
				what := "changed, removed or moved"
				if err == errShort {
					what = "truncated"
				}
				return t, &Damage{Index: next, File: name, What: what}
			}
			if next >= from {
				if err := add(next, name, entry); err != nil {
					return t, err
				}
				t.next = next + 1
			}
			b, chain = b[n:], c
		}
	}
	return t, nil
}

// zero reports whether b is all zeros: what some file systems leave at the end
// of a file when the machine stops.
func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
