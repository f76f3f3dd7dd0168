package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNone says that there is no such socket.
var ErrNone = errors.New("there is no such socket")

// A Socket asks about connections of the network namespace in which it was made.
// It is for one goroutine.
type Socket struct {
	f   *os.File
	seq uint32
}

// patience bounds the wait for an answer, in microseconds. The kernel has answered
// before sendto returns.
const patience = 50_000

// Open makes a Socket in the network namespace of the calling thread.
func Open() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("sockdiag: %w", err)
	}
	return Use(os.NewFile(uintptr(fd), "sock_diag"))
}

// Use makes a Socket of a netlink socket of the family SOCK_DIAG, which may have
// been made in another network namespace. The Socket closes it.
func Use(f *os.File) (*Socket, error) {
	wait := unix.Timeval{Usec: patience}
	if err := unix.SetsockoptTimeval(int(f.Fd()), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return nil, errors.Join(fmt.Errorf("sockdiag: %w", err), f.Close())
	}
	return &Socket{f: f}, nil
}

// Close closes the socket.
func (s *Socket) Close() error { return s.f.Close() }

// Sizes of struct inet_diag_req_v2 and struct inet_diag_msg, and where things stand
// in them (linux/inet_diag.h).
const (
	requestSize = 56
	answerSize  = 72
	answerInode = 68
	byFamily    = 20 // SOCK_DIAG_BY_FAMILY
)

// Inode returns the inode of the socket that is connected from client to server, 0
// if no program holds it any more. ErrNone says that there is none.
func (s *Socket) Inode(client, server netip.AddrPort) (uint64, error) {
	s.seq++
	m := request(s.seq, client, server)
	fd := int(s.f.Fd())
	if err := unix.Sendto(fd, m[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("sockdiag: %w", err)
	}
	var buf [1024]byte
	for {
		n, _, err := unix.Recvfrom(fd, buf[:], 0)
		if err != nil {
			return 0, fmt.Errorf("sockdiag: %w", err)
		}
		inode, seq, err := parse(buf[:n])
		switch {
		case seq != s.seq: // the answer to a question that timed out
		case errors.Is(err, unix.ENOENT):
			return 0, ErrNone
		default:
			return inode, err
		}
	}
}

func request(seq uint32, client, server netip.AddrPort) (m [unix.NLMSG_HDRLEN + requestSize]byte) {
	src, dst := client.Addr().Unmap(), server.Addr().Unmap()
	binary.NativeEndian.PutUint32(m[0:], uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], byFamily)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(m[8:], seq)
	q := m[unix.NLMSG_HDRLEN:]
	q[0], q[1] = unix.AF_INET, unix.IPPROTO_TCP
	if src.Is6() {
		q[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(q[4:], ^uint32(0)) // any state
	binary.BigEndian.PutUint16(q[8:], client.Port())
	binary.BigEndian.PutUint16(q[10:], server.Port())
	copy(q[12:28], src.AsSlice())
	copy(q[28:44], dst.AsSlice())
	binary.NativeEndian.PutUint64(q[48:], ^uint64(0)) // no cookie
	return m
}

func parse(b []byte) (inode uint64, seq uint32, err error) {
	if len(b) < unix.NLMSG_HDRLEN+4 {
		return 0, 0, errors.New("sockdiag: the answer is short")
	}
	seq = binary.NativeEndian.Uint32(b[8:])
	kind, rest := binary.NativeEndian.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:]
	switch {
	case kind == unix.NLMSG_ERROR:
		if n := -int32(binary.NativeEndian.Uint32(rest)); n > 0 {
			return 0, seq, fmt.Errorf("sockdiag: %w", unix.Errno(n))
		}
		return 0, seq, errors.New("sockdiag: an error without a number")
	case kind != byFamily || len(rest) < answerSize:
		return 0, seq, fmt.Errorf("sockdiag: an answer of kind %d, %d bytes", kind, len(rest))
	}
	return uint64(binary.NativeEndian.Uint32(rest[answerInode:])), seq, nil
}
