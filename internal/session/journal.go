package session

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"outvet/call"
)

// A journal is a file of JSON lines, one for each quarantine (with a reason)
// and each release (without). A nil journal takes everything and keeps nothing.
type journal struct {
	f    *os.File
	good int64 // length of its whole lines
}

type entry struct {
	Session call.SessionID `json:"session"`
	Why     string         `json:"why,omitempty"`
}

// Open returns the table kept in the journal at path, which it creates. A last
// line that a crash left unfinished is dropped; damage before it is an error,
// since what it pardons cannot be known.
func Open(path string) (*Table, error) {
	t := &Table{stopped: map[call.SessionID]string{}}
	good, err := t.replay(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	if err := f.Truncate(good); err != nil {
		f.Close()
		return nil, fmt.Errorf("session: %w", err)
	}
	t.journal = &journal{f, good}
	return t, nil
}

// replay reads the journal and returns the length of its whole lines.
func (t *Table) replay(path string) (good int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("session: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return good, nil // an unfinished line
		}
		if err != nil {
			return 0, fmt.Errorf("session: %w", err)
		}
		var e entry
		if json.Unmarshal(line, &e) != nil || e.Session == "" {
			return 0, fmt.Errorf("session: %s:%d: not a quarantine or release: restore the file, or remove it to pardon every session", path, n)
		}
		if e.Why == "" {
			delete(t.stopped, e.Session)
		} else {
			t.stopped[e.Session] = e.Why
		}
		good += int64(len(line))
	}
}

// write appends e and waits until it is on disk.
func (j *journal) write(e entry) error {
	if j == nil {
		return nil
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	n, err := j.f.WriteAt(append(b, '\n'), j.good)
	if err != nil {
		return errors.Join(err, j.f.Truncate(j.good)) // half a line would spoil those after it
	}
	j.good += int64(n)
	return j.f.Sync()
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.f.Close()
}
