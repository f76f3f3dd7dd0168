package sandbox

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// copies are the standard files that were sockets. A socket is a way to whoever
// holds its other end, with descriptors and more; a pipe is a way for bytes. So the
// command gets a pipe, and we copy.
type copies struct {
	theirs []*os.File // ends of the command, until it has them
	ours   []*os.File
	out    sync.WaitGroup
}

// standardFiles returns the files that stage 1 gets as its first three.
func standardFiles(c Config) ([3]*os.File, *copies, error) {
	given := [3]*os.File{c.Stdin, c.Stdout, c.Stderr}
	cp := &copies{}
	for i, f := range given {
		if f == nil {
			null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			if err != nil {
				return given, cp, err
			}
			cp.theirs = append(cp.theirs, null)
			given[i] = null
			continue
		}
		switch kind := kindOfFile(f); {
		case kind == unix.S_IFDIR:
			return given, cp, fmt.Errorf("sandbox: standard file %d is a directory: it would lead out of the view", i)
		case kind != unix.S_IFSOCK:
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			return given, cp, err
		}
		if i == 0 {
			given[i] = r
			cp.theirs, cp.ours = append(cp.theirs, r), append(cp.ours, w)
			go func() {
				_, _ = io.Copy(w, f) // until the command or whoever speaks to it ends
				w.Close()
			}()
			continue
		}
		given[i] = w
		cp.theirs, cp.ours = append(cp.theirs, w), append(cp.ours, r)
		cp.out.Go(func() {
			_, _ = io.Copy(f, r)
			r.Close() // the command finds out with its next write
		})
	}
	return given, cp, nil
}

func kindOfFile(f *os.File) uint32 {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	return st.Mode & unix.S_IFMT
}

// started closes what is the command's now.
func (c *copies) started() {
	closeAll(c.theirs)
	c.theirs = nil
}

// wait waits until all that the command wrote is copied.
func (c *copies) wait() { c.out.Wait() }

func (c *copies) close() {
	if c != nil {
		closeAll(c.theirs)
		closeAll(c.ours)
	}
}
