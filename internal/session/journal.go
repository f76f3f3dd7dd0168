package session

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"outvet/call"
)

// A journal is a file of JSON lines, one for each quarantine (with a reason)
// and each release (without). Several processes write it, one at a time under a
// lock, each after it has read what the others wrote. A nil journal takes
// everything and keeps nothing.
type journal struct {
	f    *os.File
	good int64 // length of the whole lines that were read or written here
	line int   // how many they are
}

type entry struct {
	Session call.SessionID `json:"session"`
	Why     string         `json:"why,omitempty"`
}

// Open returns the table kept in the journal at path, which it creates. A last
// line that a crash left unfinished is dropped; damage before it is an error,
// since what it pardons cannot be known.
func Open(path string) (*Table, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	t := &Table{stopped: map[call.SessionID]string{}, journal: &journal{f: f}}
	if _, err := t.replay(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

// Look takes in what other processes wrote to the journal since, and reports
// whether there was anything.
func (t *Table) Look() (news bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.journal == nil {
		return false, nil
	}
	info, err := t.journal.f.Stat()
	if err != nil {
		return false, fmt.Errorf("session: %w", err)
	}
	if info.Size() == t.journal.good {
		return false, nil
	}
	return t.replay()
}

// replay reads the lines of the journal that were not read yet.
func (t *Table) replay() (news bool, err error) {
	j := t.journal
	r := bufio.NewReader(io.NewSectionReader(j.f, j.good, 1<<62))
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return news, nil // an unfinished line
		}
		if err != nil {
			return news, fmt.Errorf("session: %w", err)
		}
		var e entry
		if json.Unmarshal(line, &e) != nil || e.Session == "" {
			return news, fmt.Errorf("session: %s:%d: not a quarantine or release: restore the file, or remove it to pardon every session", j.f.Name(), j.line+1)
		}
		if e.Why == "" {
			t.pardon(e.Session)
		} else {
			t.stopped[e.Session] = e.Why
		}
		j.good += int64(len(line))
		j.line++
		news = true
	}
}

// note appends e to the journal, behind what others wrote, and waits until it is
// on disk.
func (t *Table) note(e entry) error {
	if t.journal == nil {
		return nil
	}
	unlock, err := lock(t.journal.f)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := t.replay(); err != nil {
		return err
	}
	return t.journal.write(e)
}

// write puts e behind the last whole line.
func (j *journal) write(e entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := j.f.Truncate(j.good); err != nil { // what a crash left unfinished
		return err
	}
	n, err := j.f.WriteAt(append(b, '\n'), j.good)
	if err != nil {
		return errors.Join(err, j.f.Truncate(j.good)) // half a line would spoil those after it
	}
	j.good += int64(n)
	j.line++
	return j.f.Sync()
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.f.Close()
}
