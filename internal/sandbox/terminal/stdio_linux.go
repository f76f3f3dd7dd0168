package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Stdio are the three standard files of a command, made of the user's. A
// descriptor is a way out that no namespace closes, so that only such are handed on
// as they are that lead nowhere:
//
//	terminal               the command's own (slave)
//	pipe, named pipe       as it is
//	regular file           as it is for output; for input a pipe: by /proc/self/fd it
//	                       could be opened for writing
//	null, zero, random     as it is
//	folder                 refused
//	socket, device, other  a pipe, which we copy
//	closed                 /dev/null
type Stdio struct {
	Files [3]*os.File // for the command; to be closed by CloseFiles once it runs

	ours    []*os.File // made here
	stop    *pipe
	reading sync.WaitGroup
	writing sync.WaitGroup
	ends    []*os.File // of pipes, that we read from or write to
}

// Screen returns the one of the user's files that shows what the command writes
// to its terminal, for Join: the output, the error output, or the input, which is the
// same terminal. It is nil if none is a terminal: then the command needs none.
func Screen(user [3]*os.File) *os.File {
	for _, i := range []int{1, 2, 0} {
		if Is(user[i]) {
			return user[i]
		}
	}
	return nil
}

// Stand makes the command's files. slave may be nil if none of the user's is a
// terminal.
func Stand(user [3]*os.File, slave *os.File) (*Stdio, error) {
	s := &Stdio{}
	var err error
	if s.stop, err = newPipe(); err != nil {
		return nil, err
	}
	for i, f := range user {
		if s.Files[i], err = s.file(i, f, slave); err != nil {
			s.CloseFiles()
			s.Close()
			return nil, fmt.Errorf("terminal: standard %s: %w", [3]string{"input", "output", "error"}[i], err)
		}
	}
	return s, nil
}

func (s *Stdio) file(i int, f, slave *os.File) (*os.File, error) {
	var st unix.Stat_t
	if err := descriptor(f, func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err == nil {
			s.ours = append(s.ours, null)
		}
		return null, err
	}
	if Is(f) {
		if slave == nil {
			return nil, errors.New("it is a terminal, and the command has none of its own")
		}
		return slave, nil
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return nil, errors.New("it is a folder, which would lead out of the sandbox")
	case unix.S_IFIFO:
		return f, nil
	case unix.S_IFREG:
		if i > 0 {
			return f, nil
		}
	case unix.S_IFCHR:
		if unix.Major(st.Rdev) == 1 && unix.Minor(st.Rdev) >= 3 { // null, zero, full, random; not mem
			return f, nil
		}
	}
	return s.copied(i, f)
}

// copied puts a pipe in the place of f.
func (s *Stdio) copied(i int, f *os.File) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if i == 0 {
		s.ours, s.ends = append(s.ours, r), append(s.ends, w)
		s.reading.Go(func() {
			defer w.Close()
			pump(f, w, s.stop)
		})
		return r, nil
	}
	// By a descriptor of another number: a broken pipe on 1 or 2 ends a program
	// of Go.
	to, err := again(f)
	if err != nil {
		r.Close()
		w.Close()
		return nil, err
	}
	s.ours, s.ends = append(s.ours, w), append(s.ends, r)
	s.writing.Go(func() {
		defer r.Close()
		defer to.Close()
		io.Copy(struct{ io.Writer }{to}, r) // if nobody reads, the command gets EPIPE, as it would without us
	})
	return w, nil
}

func again(f *os.File) (*os.File, error) {
	dup := -1
	err := descriptor(f, func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), f.Name()), nil
}

// CloseFiles closes what was made for the command, when it has its own copies.
func (s *Stdio) CloseFiles() {
	for _, f := range s.ours {
		f.Close()
	}
	s.ours = nil
}

// Close waits until all that the command wrote is written, for drainTime if a
// process that it left still holds a file, and ends copying.
func (s *Stdio) Close() {
	for _, f := range s.ends {
		f.SetDeadline(time.Now().Add(drainTime))
	}
	s.stop.wake()
	s.writing.Wait()
	s.reading.Wait()
	s.stop.close()
}
