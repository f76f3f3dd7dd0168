package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A pipe wakes who waits for something else, too.
type pipe struct{ r, w *os.File }

func newPipe() (*pipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	return &pipe{r, w}, nil
}

// wake wakes all who wait, for ever.
func (p *pipe) wake() { p.w.Close() }

func (p *pipe) close() { p.w.Close(); p.r.Close() }

// pump copies from, which may block, to to, until its end or until stop wakes.
// The mode of from is not changed: it may be shared with the user's shell.
func pump(from *os.File, to io.Writer, stop *pipe) {
	b := make([]byte, 32<<10)
	for {
		if ready, err := readable(from, stop.r, -1); !ready || err != nil {
			return
		}
		n, err := from.Read(b)
		if n > 0 {
			if _, werr := to.Write(b[:n]); werr != nil {
				return
			}
		}
		if n == 0 || err != nil {
			return
		}
	}
}

// readable waits until f can be read, and reports whether it can. It returns
// false at stop and after the time, unless that is negative.
func readable(f, stop *os.File, within time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: -1, Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}}
	err := descriptor(f, func(fd int) error { fds[0].Fd = int32(fd); return nil })
	if err == nil && stop != nil {
		err = descriptor(stop, func(fd int) error { fds[1].Fd = int32(fd); return nil })
	}
	if err != nil {
		return false, err
	}
	end := time.Now().Add(within)
	for {
		ms := -1
		if within >= 0 {
			ms = int(max(0, time.Until(end)).Milliseconds())
		}
		switch _, err := unix.Poll(fds, ms); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, err
		default:
			return fds[1].Revents == 0 && fds[0].Revents != 0, nil
		}
	}
}
