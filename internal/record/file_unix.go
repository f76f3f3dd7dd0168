//go:build unix

package record

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// An osFile is the file of the system.
type osFile struct {
	*os.File
	fd   int
	stat syscall.Stat_t
}

func openFile(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f, fd: int(f.Fd())}, nil
}

// Removed implements file.
func (f *osFile) Removed() (bool, error) {
	if err := syscall.Fstat(f.fd, &f.stat); err != nil {
		return false, err
	}
	return f.stat.Nlink == 0, nil
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
