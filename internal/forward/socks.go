package forward

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
)

// connectSOCKS asks the SOCKS5 proxy (RFC 1928, 1929) at the other end of c for
// a connection to host, a name or an address, and port. It reads no byte of
// what comes behind the answer.
func connectSOCKS(c net.Conn, host string, port uint16, l *login) error {
	const version, none, withLogin = 5, 0, 2
	hello := []byte{version, 1, none}
	if l != nil {
		hello = []byte{version, 2, none, withLogin}
	}
	if _, err := c.Write(hello); err != nil {
		return err
	}
	var method [2]byte
	if err := readSOCKS(c, method[:]); err != nil {
		return err
	}
	switch {
	case method[0] != version:
		return errAnswer
	case method[1] == withLogin && l != nil:
		if err := loginSOCKS(c, l); err != nil {
			return err
		}
	case method[1] == 0xff:
		return faultLogin(nil)
	case method[1] != none:
		return errAnswer
	}
	if _, err := c.Write(requestSOCKS(host, port)); err != nil {
		return err
	}
	var head [4]byte
	if err := readSOCKS(c, head[:]); err != nil {
		return err
	}
	if head[0] != version {
		return errAnswer
	}
	if head[1] != 0 {
		return faultSOCKS(head[1])
	}
	return skipAddress(c, head[3])
}

func loginSOCKS(c net.Conn, l *login) error {
	b := append([]byte{1, byte(len(l.user))}, l.user...)
	b = append(append(b, byte(len(l.password))), l.password...)
	if _, err := c.Write(b); err != nil {
		return err
	}
	var answer [2]byte
	if err := readSOCKS(c, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return faultLogin(nil)
	}
	return nil
}

func requestSOCKS(host string, port uint16) []byte {
	const version, connect, ipv4, name, ipv6 = 5, 1, 1, 3, 4
	b := []byte{version, connect, 0}
	switch a, err := netip.ParseAddr(host); {
	case err != nil: // at most 253 bytes: it is canonical
		b = append(append(b, name, byte(len(host))), host...)
	case a.Is4():
		b = append(append(b, ipv4), a.AsSlice()...)
	default:
		b = append(append(b, ipv6), a.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(b, port)
}

// skipAddress reads the address and port of an answer, which mean nothing here.
func skipAddress(c net.Conn, kind byte) error {
	n := 0
	switch kind {
	case 1:
		n = 4
	case 4:
		n = 16
	case 3:
		var length [1]byte
		if err := readSOCKS(c, length[:]); err != nil {
			return err
		}
		n = int(length[0])
	default:
		return errAnswer
	}
	return readSOCKS(c, make([]byte, n+2))
}

// readSOCKS fills b.
func readSOCKS(c net.Conn, b []byte) error {
	_, err := io.ReadFull(c, b)
	return err
}
