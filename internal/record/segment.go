package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A file is what a segment needs of one. *os.File behind openFile is the real
// one; tests have one that fails on demand.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	// At reports whether path still leads to the file: what is written to it
	// otherwise is lost, or where nobody looks for it.
	At(path string) (bool, error)
}

// A segment is one file of the write-ahead log, open for writing. It is not
// safe for concurrent use, but sync may run beside append.
type segment struct {
	f      file
	folder *os.File // that holds f; open, so that a sync needs no descriptor
	path   string
	end    int64  // of the last whole frame
	next   int64  // index of the entry to come
	chain  uint32 // of the last frame
	synced int64  // bytes known to be on disk
	ragged bool   // bytes may stand behind end that no frame owns
}

// segmentName returns the name of the segment that begins with an entry.
func segmentName(first int64) string { return fmt.Sprintf("wal/%016d", first) }

// createSegment makes the segment below dir that begins with entry first. A
// file of that name holds nothing: segments with entries are never begun anew.
func createSegment(dir string, first int64, chain uint32) (*segment, error) {
	s := &segment{path: filepath.Join(dir, filepath.FromSlash(segmentName(first))), next: first, chain: chain}
	folder, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	f, err := openFile(s.path, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("record: %w", err), folder.Close())
	}
	head := appendSegmentHead(nil, first, chain)
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("record: %w", err), f.Close(), folder.Close(), os.Remove(s.path))
	}
	s.f, s.folder, s.end = f, folder, int64(len(head))
	return s, nil
}

func (s *segment) close() error { return errors.Join(s.f.Close(), s.folder.Close()) }

// append writes n sealed frames by one call of the system. After an error
// nothing of them is in the segment.
func (s *segment) append(frames []byte, chain uint32, n int) error {
	if s.ragged {
		if err := s.f.Truncate(s.end); err != nil {
			return err
		}
		s.ragged = false
	}
	if _, err := s.f.WriteAt(frames, s.end); err != nil {
		s.ragged = s.f.Truncate(s.end) != nil
		return err
	}
	s.end += int64(len(frames))
	s.next += int64(n)
	s.chain = chain
	return nil
}

// rewrite writes what is not known to be on disk once more: after a sync that
// failed, the system may hold those pages for clean and never write them.
func (s *segment) rewrite(end int64) error {
	b := make([]byte, end-s.synced)
	if _, err := s.f.ReadAt(b, s.synced); err != nil {
		return err
	}
	if _, err := s.f.WriteAt(b, s.synced); err != nil {
		return err
	}
	return s.f.Sync()
}

// sync puts the segment on disk, up to end at least.
func (s *segment) sync(end int64) error {
	if s.synced >= end {
		return nil
	}
	if err := s.f.Sync(); err != nil {
		if s.rewrite(end) != nil {
			return err
		}
	}
	if s.synced == 0 { // a new file is there after a crash only if its folder says so
		if err := s.folder.Sync(); err != nil {
			return err
		}
	}
	s.synced = end
	return nil
}
