package loopback

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"outvet/internal/sandbox/loopback/loopbacktest"
)

// patience bounds every wait of the tests.
const patience = loopbacktest.Patience

// A room is a network namespace of the test.
type room struct {
	*loopbacktest.Room
	t *testing.T
}

func newRoom(t *testing.T) *room {
	t.Helper()
	return &room{loopbacktest.New(t), t}
}

// open seals the namespace in the way given.
func (r *room) open(ways ...capture) *Sockets {
	r.t.Helper()
	var s *Sockets
	var err error
	r.Do(func() { s, err = seal(nil, nil, ways...) })
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	return s
}

// echo answers each connection with where it was meant to go.
func echo(s *Sockets) {
	for _, l := range s.Listeners() {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					to, err := s.Destination(c)
					if err != nil {
						fmt.Fprintln(c, err)
						return
					}
					fmt.Fprintln(c, to)
				}()
			}
		}()
	}
}

// said reads what the other side says until it ends.
func said(t *testing.T, c net.Conn) string {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// answerQueries answers each datagram by the address that was asked.
func answerQueries(s *Sockets) {
	for _, q := range []*Queries{s.DNS4, s.DNS6} {
		if q == nil {
			continue
		}
		go func() {
			b := make([]byte, 512)
			for {
				_, from, err := q.ReadFrom(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					q.WriteTo([]byte(from.(*Asker).Asked.Unmap().String()), from)
				}
			}
		}()
	}
}

// ask sends a datagram from within the namespace, on a connected socket: an
// answer from another address would not arrive. The errors of ICMP do.
func ask(to string) (string, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("?")); err != nil {
		return "", err
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	return string(b[:n]), err
}

func both(t *testing.T, f func(t *testing.T, way capture)) {
	for _, way := range []capture{tproxy, redirect} {
		t.Run(way.name, func(t *testing.T) { f(t, way) })
	}
}

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
