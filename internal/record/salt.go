package record

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"outvet/call"
)

const (
	saltsName = "salts"
	saltSize  = 16
	// forgotten stands where a salt was, as long as its base64.
	forgotten = "------------------------"
)

// salts keeps the salts of commitments, a file for each day (UTC), a line for
// each commitment: ID, space, base64 of the salt. The zero salts has no file
// open.
type salts struct {
	f    *os.File
	old  []*os.File // of other days, not yet on disk
	day  int64      // since 1970
	end  int64
	line []byte
	salt [saltSize]byte
	sum  [sha256.Size]byte
}

// commit sets the commitment of r, if it has a body, and keeps the salt. The
// salt is kept first: a commitment whose salt is lost could not be told from
// one whose salt was forgotten.
func (l *Log) commit(r *call.Record) error {
	if !l.salt(r) {
		return nil
	}
	s := &l.salts
	s.line = appendSalt(s.line[:0], r.ID, s.salt[:])
	return s.append(l.home, s.line, time.Now())
}

// salt sets the commitment of r, if it has a body: base64 of
// SHA-256(salt | r.Body). The salt is in l.salts.salt.
func (l *Log) salt(r *call.Record) bool {
	if r.Body == nil || r.Outcome == nil {
		return false
	}
	s := &l.salts
	rand.Read(s.salt[:])
	s.sum = commitment(s.salt[:], r.Body)
	r.Outcome.Commit = base64.StdEncoding.EncodeToString(s.sum[:])
	return true
}

func commitment(salt, body []byte) [sha256.Size]byte {
	var b [saltSize + sha256.Size]byte
	if len(salt)+len(body) <= len(b) {
		n := copy(b[:], salt)
		n += copy(b[n:], body)
		return sha256.Sum256(b[:n])
	}
	return sha256.Sum256(append(append([]byte(nil), salt...), body...))
}

// append writes lines.
func (s *salts) append(home string, lines []byte, now time.Time) error {
	if day := now.Unix() / 86400; s.f == nil || day != s.day {
		if err := s.turn(home, day); err != nil {
			return err
		}
	}
	if _, err := s.f.WriteAt(lines, s.end); err != nil {
		return errors.Join(err, s.f.Truncate(s.end))
	}
	s.end += int64(len(lines))
	return nil
}

// turn opens the file of a day.
func (s *salts) turn(home string, day int64) error {
	dir := filepath.Join(home, saltsName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := time.Unix(day*86400, 0).UTC().Format(time.DateOnly)
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	end, err := lastLine(f)
	if err == nil {
		err = f.Truncate(end) // a line that a crash left unfinished
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if s.f != nil {
		s.old = append(s.old, s.f) // a sync takes time that Write has not
	}
	s.f, s.day, s.end = f, day, end
	return nil
}

// lastLine returns where the last whole line of f ends.
func lastLine(f *os.File) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	b := make([]byte, 1)
	for err == nil && end > 0 {
		if _, err = f.ReadAt(b, end-1); err == nil && b[0] == '\n' {
			break
		}
		end--
	}
	return end, err
}

func (s *salts) close() error {
	var err error
	for _, f := range append(s.old, s.f) {
		if f != nil {
			err = errors.Join(err, f.Sync(), f.Close())
		}
	}
	s.f, s.old = nil, nil
	return err
}

// ErrForgotten says that a commitment can no longer be opened.
var ErrForgotten = errors.New("its salt was forgotten")

// Opens reports whether commit, of the call id in the log below dir, commits
// to a body whose SHA-256 is sum. The error is ErrForgotten if the salt is
// gone: then nobody can tell any more.
func Opens(dir string, id call.ID, commit string, sum []byte) (opens bool, err error) {
	want, err := base64.StdEncoding.DecodeString(commit)
	if err != nil {
		return false, fmt.Errorf("record: commitment %q: %w", commit, err)
	}
	kept := false
	err = eachSalt(dir, id, func(_ *os.File, _ int64, salt string) error {
		b, err := base64.StdEncoding.DecodeString(salt)
		if err != nil {
			return nil // forgotten
		}
		kept = true
		got := commitment(b, sum)
		opens = opens || subtle.ConstantTimeCompare(got[:], want) == 1
		return nil
	})
	if err == nil && !kept {
		err = fmt.Errorf("record: call %q: %w", id, ErrForgotten)
	}
	return opens, err
}

// Forget overwrites the salts of a call in the log below dir, so that nobody
// can prove any more, or find out by trying, what its body was. The log stays
// whole and verifies as before. It works while the log is open. Copies of the
// folder and blocks that a disk has set aside are beyond it.
func Forget(dir string, id call.ID) error {
	n := 0
	err := eachSalt(dir, id, func(f *os.File, at int64, salt string) error {
		n++
		_, err := f.WriteAt([]byte(forgotten[:len(salt)]), at)
		return errors.Join(err, f.Sync())
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("record: no salt of call %q", id)
	}
	return err
}

// eachSalt calls f with each salt of a call: the file, where the salt stands
// in it, and its base64.
func eachSalt(dir string, id call.ID, f func(file *os.File, at int64, salt string) error) error {
	home := filepath.Join(dir, "log", saltsName)
	days, err := os.ReadDir(home)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("record: %w", err)
	}
	for _, d := range days {
		if err := saltsOf(filepath.Join(home, d.Name()), id, f); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	return nil
}

func saltsOf(path string, id call.ID, f func(*os.File, int64, string) error) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var file *os.File
	at := int64(0)
	for line := range strings.Lines(string(b)) {
		name, salt, ok := strings.Cut(line, " ")
		if ok && name == string(id) && len(salt) == len(forgotten)+1 {
			if file == nil {
				if file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
					return err
				}
				defer file.Close()
			}
			if err := f(file, at+int64(len(name))+1, strings.TrimSuffix(salt, "\n")); err != nil {
				return err
			}
		}
		at += int64(len(line))
	}
	return nil
}
