package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A link is one end of the control socket, which keeps the bounds of messages.
// The first message of stage 1 is that of loopback.Sockets.Send, or a fault; all
// others are a message each, in JSON, some with descriptors.
type link struct{ conn *net.UnixConn }

// A word says what a message is about.
type word string

const (
	wordOrders word = "orders" // to stage 1: the first descriptor holds the orders, then trees
	wordReady  word = "ready"  // from it: everything stands; with named descriptors
	wordGo     word = "go"     // to it
	wordEnded  word = "ended"  // from it: the command ended, or could not be executed
	wordFault  word = "fault"  // from it: a step failed
)

// Names of descriptors that come with ready.
const (
	nameAgent    = "agent"    // the socket by which the command asks
	nameChanged  = "changed"  // what a review collects
	nameTerminal = "terminal" // our end of it
)

type message struct {
	Word   word
	Names  []string `json:",omitempty"` // of descriptors
	Fault  *fault   `json:",omitempty"`
	Code   int      `json:",omitempty"`
	Text   string   `json:",omitempty"`
	Signal int      `json:",omitempty"`
}

// A fault is a step of stage 1 that failed.
type fault struct {
	Step  string
	Path  string `json:",omitempty"`
	Errno syscall.Errno
	Text  string
}

func (f *fault) Error() string {
	if f.Path != "" {
		return fmt.Sprintf("sandbox: %s: %s: %s", f.Step, f.Path, f.Text)
	}
	return fmt.Sprintf("sandbox: %s: %s", f.Step, f.Text)
}

func (f *fault) Unwrap() error {
	if f.Errno == 0 {
		return nil
	}
	return f.Errno
}

// at says at which step err came about.
func at(step string, err error) error {
	if f := (*fault)(nil); errors.As(err, &f) {
		return err
	}
	f := &fault{Step: step, Text: err.Error()}
	errors.As(err, &f.Errno)
	return f
}

func asFault(err error) *fault {
	f := (*fault)(nil)
	if errors.As(err, &f) {
		return f
	}
	return at("stage 1", err).(*fault)
}

// newLink returns our end of a control socket and the file of the other one.
func newLink() (*link, *os.File, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: control socket: %w", err)
	}
	theirs := os.NewFile(uintptr(ends[1]), "control socket")
	l, err := asLink(os.NewFile(uintptr(ends[0]), "control socket"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return l, theirs, nil
}

// inheritLink returns the end that the parent left open as descriptor fd.
func inheritLink(fd int) (*link, error) {
	unix.CloseOnExec(fd)
	return asLink(os.NewFile(uintptr(fd), "control socket"))
}

func asLink(f *os.File) (*link, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("sandbox: control socket: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("sandbox: control socket: it is a %T", c)
	}
	return &link{conn}, nil
}

// longest is the length of the longest message, and most the number of descriptors
// that one may bring.
const (
	longest = 32 << 10
	most    = 64
)

func (l *link) send(m message, fds ...int) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_, _, err = l.conn.WriteMsgUnix(text, rights, nil)
	if err != nil {
		return fmt.Errorf("sandbox: control socket: %w", err)
	}
	return nil
}

// receive returns the next message, and its descriptors, which are the caller's to
// close. io.EOF says that the other side is gone.
func (l *link) receive() (message, []*os.File, error) {
	text, rights := make([]byte, longest), make([]byte, unix.CmsgSpace(4*most))
	n, rn, flags, _, err := l.conn.ReadMsgUnix(text, rights)
	if errors.Is(err, unix.ECONNRESET) {
		// the other side ended and had not read all; what it said before is still there
		n, rn, flags, _, err = l.conn.ReadMsgUnix(text, rights)
	}
	if err != nil {
		return message{}, nil, fmt.Errorf("sandbox: control socket: %w", err)
	}
	files, err := received(rights[:rn])
	switch {
	case err != nil:
	case n == 0 && len(files) == 0:
		return message{}, nil, io.EOF
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errors.New("sandbox: control socket: a message is too long")
	default:
		var m message
		if err = json.Unmarshal(text[:n], &m); err == nil {
			return m, files, nil
		}
		err = fmt.Errorf("sandbox: control socket: %w", err)
	}
	closeAll(files)
	return message{}, nil, err
}

func received(rights []byte) (files []*os.File, err error) {
	msgs, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, fmt.Errorf("sandbox: control socket: %w", err)
	}
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // a message of another kind brings none
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// isFault reports whether the message that waits is a fault, not one of loopback.
func (l *link) isFault() (bool, error) {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return false, err
	}
	var first [1]byte
	n, inner := 0, error(nil)
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, inner = unix.Recvfrom(int(fd), first[:], unix.MSG_PEEK)
			if inner != unix.EINTR && inner != unix.ECONNRESET { // as in receive
				return inner != unix.EAGAIN
			}
		}
	})
	return n == 1 && first[0] == '{', errors.Join(err, inner)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil { // it is kept
			f.Close()
		}
	}
}
