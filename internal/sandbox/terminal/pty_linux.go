package terminal

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Pair is a pseudo-terminal. Who holds Master is the terminal, who has Slave
// as standard input and output uses it.
type Pair struct{ Master, Slave *os.File }

// Open makes a pseudo-terminal with the ptmx of that name: that of a devpts of
// its own lets programs find their terminal's name there. "" is /dev/ptmx.
func Open(ptmx string) (Pair, error) {
	if ptmx == "" {
		ptmx = "/dev/ptmx"
	}
	fd, err := unix.Open(ptmx, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Pair{}, fmt.Errorf("terminal: opening %s: %w", ptmx, err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		unix.Close(fd)
		return Pair{}, fmt.Errorf("terminal: unlocking the pseudo-terminal of %s: %w", ptmx, err)
	}
	// By its master, so that no name of it is needed.
	peer, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		unix.Close(fd)
		return Pair{}, fmt.Errorf("terminal: opening the other side of %s: %w", ptmx, errno)
	}
	return Pair{os.NewFile(uintptr(fd), ptmx), os.NewFile(peer, "pty")}, nil
}

// Close closes both sides.
func (p Pair) Close() error { return errors.Join(p.Master.Close(), p.Slave.Close()) }

// Is reports whether f is a terminal.
func Is(f *os.File) bool {
	ok := false
	descriptor(f, func(fd int) error {
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		ok = err == nil
		return nil
	})
	return ok
}

// descriptor calls do with the descriptor of f, which stays as it is: File.Fd
// would make it block.
func descriptor(f *os.File, do func(fd int) error) error {
	if f == nil {
		return os.ErrInvalid
	}
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// raw makes a terminal pass every byte as it is, and returns what it was.
func raw(f *os.File) (was *unix.Termios, err error) {
	err = descriptor(f, func(fd int) error {
		if was, err = unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			return err
		}
		t := *was
		t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		return unix.IoctlSetTermios(fd, unix.TCSETSW, &t)
	})
	return was, err
}

// restore sets a terminal as it was. With flush, what was typed and not read is
// thrown away.
func restore(f *os.File, was *unix.Termios, flush bool) error {
	how := uint(unix.TCSETSW)
	if flush {
		how = unix.TCSETSF
	}
	return descriptor(f, func(fd int) error {
		for {
			if err := unix.IoctlSetTermios(fd, how, was); err != unix.EINTR {
				return err
			}
		}
	})
}

// like gives a terminal the size of another.
func like(f, of *os.File) error {
	var size *unix.Winsize
	if err := descriptor(of, func(fd int) (err error) {
		size, err = unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		return err
	}); err != nil {
		return err
	}
	return descriptor(f, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
}
