//go:build unix

package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// An osFile is the file of the system.
type osFile struct {
	*os.File
	fd int
}

// WriteAt implements io.WriterAt. Nothing is written to a file that no folder
// holds any more: nobody would find it.
func (f osFile) WriteAt(b []byte, at int64) (int, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(f.fd, &st); err != nil {
		return 0, err
	}
	if st.Nlink == 0 {
		return 0, fmt.Errorf("%s was removed while the log was open: restore the log and start again", f.Name())
	}
	return f.File.WriteAt(b, at)
}

func openFile(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f, int(f.Fd())}, nil
}

// At implements file.
func (f osFile) At(path string) (bool, error) { return at(f.File, path) }

// at reports whether path leads to f.
func at(f *os.File, path string) (bool, error) {
	is, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(is, there), err
}

// lock takes the lock that lets one process write the log below dir. Closing
// the file, or the end of the process, releases it.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("record: %s: %w", path, ErrLocked)
		}
		return nil, fmt.Errorf("record: %s: %w", path, err)
	}
}

// waitLock takes a lock that others hold for moments only.
func waitLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("record: %s: %w", path, err)
		}
	}
}
