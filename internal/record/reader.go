package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"outvet/call"
)

// A Leaf is one entry of a log.
type Leaf struct {
	Index int64
	Entry []byte // canonical JSON
}

// Record decodes the entry.
func (l Leaf) Record() (*call.Record, error) {
	r := new(call.Record)
	if err := json.Unmarshal(l.Entry, r); err != nil {
		return nil, fmt.Errorf("record: entry %d: %w", l.Index, err)
	}
	return r, nil
}

// A Reader reads a log, also while another process writes it. It proves
// nothing: that is what Verify is for. Its methods are safe for concurrent use.
type Reader struct {
	dir   string
	home  string
	store *Dir
}

// OpenReader opens the log below dir for reading.
func OpenReader(dir string) (*Reader, error) {
	r := &Reader{dir: dir, home: filepath.Join(dir, "log")}
	if _, err := os.Stat(filepath.Join(r.home, "wal")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("record: no log in %s: %w", dir, err)
		}
		return nil, fmt.Errorf("record: %w", err)
	}
	store, err := OpenDir(r.home)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	r.store = store
	return r, nil
}

// Close releases the folder of the log.
func (r *Reader) Close() error { return r.store.Close() }

// Signed returns how many entries the newest checkpoint covers.
func (r *Reader) Signed() (int64, error) {
	c, err := newest(r.store)
	return c.size, err
}

// newest reads the newest checkpoint; of a log without any it is the zero one.
func newest(s Storage) (checkpoint, error) {
	b, err := s.Get(checkpointName)
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint{}, nil
	}
	if err != nil {
		return checkpoint{}, fmt.Errorf("record: %w", err)
	}
	c, err := parseCheckpoint(b)
	if err != nil {
		return checkpoint{}, &Damage{Index: -1, File: checkpointName, What: err.Error()}
	}
	return c, nil
}

// Leaves yields the entries from index from on, up to the newest that was
// written. After an error it ends.
func (r *Reader) Leaves(from int64) iter.Seq2[Leaf, error] {
	return func(yield func(Leaf, error) bool) { r.read(from, func() bool { return false }, yield) }
}

// Follow yields the entries from index from on and then waits for more, until
// ctx is done.
func (r *Reader) Follow(ctx context.Context, from int64) iter.Seq2[Leaf, error] {
	wait := func() bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(followEvery):
			return true
		}
	}
	return func(yield func(Leaf, error) bool) { r.read(from, wait, yield) }
}

const followEvery = 100 * time.Millisecond

// read yields entries: signed ones from the bundles, the others from the
// write-ahead log. At the end it goes on if wait says so.
func (r *Reader) read(at int64, wait func() bool, yield func(Leaf, error) bool) {
	wal := &walReader{home: r.home, at: at}
	defer func() { wal.close() }()
	for {
		entry, err := wal.next()
		if err == nil {
			if !yield(Leaf{at, bytes.Clone(entry)}, nil) {
				return
			}
			at++
			continue
		}
		if err != io.EOF && !errors.Is(err, fs.ErrNotExist) {
			yield(Leaf{}, err)
			return
		}
		next, more, err2 := r.bundles(at, yield)
		switch {
		case err2 != nil:
			yield(Leaf{}, err2)
			return
		case !more:
			return
		case next > at: // signed meanwhile
			wal.close()
			wal = &walReader{home: r.home, at: next}
			at = next
		case err == io.EOF && !wait():
			return
		case err != io.EOF:
			// Its segment was dropped, so there is a checkpoint to come.
			if r.missing(at) {
				yield(Leaf{}, &Damage{Index: at, File: "wal", What: "missing"})
				return
			}
		}
	}
}

// missing reports whether entry at is neither signed nor in a segment.
func (r *Reader) missing(at int64) bool {
	firsts, err := segmentsOf(r.home)
	size, err2 := r.Signed()
	return err == nil && err2 == nil && size <= at && len(firsts) > 0 && firsts[0] > at
}

// bundles yields the signed entries from index at on.
func (r *Reader) bundles(at int64, yield func(Leaf, error) bool) (next int64, more bool, err error) {
	size, err := r.Signed()
	if err != nil {
		return at, false, err
	}
	for at < size {
		n := at / tileWidth
		list, err := readBundle(r.store, n, int(min(tileWidth, size-n*tileWidth)))
		if err != nil {
			return at, false, err
		}
		for _, e := range list[at%tileWidth:] {
			if !yield(Leaf{at, e}, nil) {
				return at, false, nil
			}
			at++
		}
	}
	return at, true, nil
}
