package record

import (
	"errors"
	"os"
	"path/filepath"
)

// A history is the file of kept checkpoints, open for appending.
type history struct {
	path string
	f    *os.File
	end  int64 // of the last whole checkpoint
	size int64 // of the tree under it
}

// openHistory opens the file and cuts what follows the checkpoints in list.
func openHistory(home string, list []checkpoint) (*history, error) {
	h := &history{path: filepath.Join(home, historyName)}
	if n := len(list); n > 0 {
		h.size = list[n-1].size
	}
	for _, c := range list {
		h.end += int64(len(c.raw)) + 1
	}
	return h, h.open()
}

func (h *history) open() (err error) {
	if h.f, err = os.OpenFile(h.path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	return h.f.Truncate(h.end)
}

// add appends c and waits until it is on disk.
func (h *history) add(c checkpoint) error {
	b := append(append([]byte(nil), c.raw...), '\n')
	_, err := h.f.WriteAt(b, h.end)
	if err == nil {
		err = h.f.Sync()
	}
	if err != nil {
		return errors.Join(err, h.f.Truncate(h.end))
	}
	h.end += int64(len(b))
	h.size = c.size
	return nil
}

// Bounds of the history: beyond historyMax bytes, every other checkpoint but
// the newest historyKeep is dropped. A checkpoint signs all that those before
// it sign, so that the history gets coarser towards its beginning and proves
// no less of the entries.
const (
	historyMax  = 8 << 20
	historyKeep = 4096
)

// thin drops checkpoints if there are too many.
func (h *history) thin(s Storage, limit int64, keep int) error {
	if h.end <= limit {
		return nil
	}
	b, err := s.Get(historyName)
	if err != nil {
		return err
	}
	list, _, err := splitHistory(b)
	if err != nil {
		return err
	}
	var out []byte
	for i, c := range list {
		if i%2 == 0 || i >= len(list)-keep {
			out = append(append(out, c.raw...), '\n')
		}
	}
	if err := s.Put(File{historyName, out}); err != nil {
		return err
	}
	old := h.f
	h.end = int64(len(out))
	return errors.Join(h.open(), old.Close())
}

func (h *history) close() error {
	if h == nil || h.f == nil {
		return nil
	}
	return h.f.Close()
}
