package loopback

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Words that go with the descriptors, and tell how connections were captured.
const (
	wordTproxy   = "loopback tproxy"
	wordRedirect = "loopback redirect"
)

// socketsMax is how many descriptors one message may bring.
const socketsMax = 5

// Send sends the sockets over a socket of family unix that keeps the bounds of
// messages, in one of them. They stay open here, too; Close them.
func (s *Sockets) Send(to syscall.Conn) error {
	ends := s.ends()
	fds := make([]int, len(ends))
	word := wordTproxy
	if s.redirected {
		word = wordRedirect
	}
	// each is held while the next one is asked for its number
	var with func(i int) error
	with = func(i int) error {
		if i < len(ends) {
			return control(ends[i], func(fd int) error {
				fds[i] = fd
				return with(i + 1)
			})
		}
		return write(to, func(fd int) error {
			return unix.Sendmsg(fd, []byte(word), unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
		})
	}
	if err := with(0); err != nil {
		return fmt.Errorf("loopback: send sockets: %w", err)
	}
	return nil
}

// Receive returns what Send sent. io.EOF says that the other side is gone.
func Receive(from syscall.Conn) (*Sockets, error) {
	buf := make([]byte, 64)
	oob := make([]byte, unix.CmsgSpace(4*socketsMax))
	var n, on, flags int
	err := read(from, func(fd int) (err error) {
		n, on, flags, _, err = unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("loopback: receive sockets: %w", err)
	}
	files, err := descriptors(oob[:on])
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	word := string(buf[:n])
	switch {
	case err != nil:
		return nil, fmt.Errorf("loopback: receive sockets: %w", err)
	case n == 0 && len(files) == 0:
		return nil, io.EOF
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0, word != wordTproxy && word != wordRedirect:
		return nil, fmt.Errorf("loopback: receive sockets: an unexpected message %q", word)
	}
	s := &Sockets{redirected: word == wordRedirect}
	for _, f := range files {
		if err := s.take(f); err != nil {
			s.Close()
			return nil, err
		}
	}
	if s.TCP4 == nil || s.DNS4 == nil || (s.TCP6 == nil) != (s.DNS6 == nil) {
		s.Close()
		return nil, errors.New("loopback: receive sockets: not all came")
	}
	return s, nil
}

func descriptors(oob []byte) (files []*os.File, err error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // a message of another kind brings none
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func control(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

func write(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Write(func(fd uintptr) bool { return settled(&inner, f, fd) })
	return errors.Join(err, inner)
}

func read(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Read(func(fd uintptr) bool { return settled(&inner, f, fd) })
	return errors.Join(err, inner)
}

// settled calls f until it was not interrupted, and reports false if it would
// have to wait.
func settled(err *error, f func(fd int) error, fd uintptr) bool {
	for *err = f(int(fd)); errors.Is(*err, unix.EINTR); *err = f(int(fd)) {
	}
	if errors.Is(*err, unix.EAGAIN) {
		*err = nil
		return false
	}
	return true
}
