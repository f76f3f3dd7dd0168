package forward

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A resetting connection takes a part of what is written to it, and then was
// reset. What came before that is there to be read, as it is on Linux.
type resetting struct {
	net.Conn
	takes int
	came  io.Reader
}

func (c *resetting) Write(p []byte) (int, error) {
	n := min(len(p), c.takes)
	if c.takes -= n; n == len(p) {
		return n, nil
	}
	return n, &net.OpError{Op: "write", Err: syscall.ECONNRESET}
}

func (c *resetting) Read(p []byte) (int, error)      { return c.came.Read(p) }
func (c *resetting) Close() error                    { return nil }
func (c *resetting) SetReadDeadline(time.Time) error { return nil }

// A server that refuses a request before it has read all of it closes the
// connection, which resets it. What it said is the answer, also where the request
// leaves in one write.
func TestAnswerToARequestThatWasNotTakenWholeIsRead(t *testing.T) {
	for _, tt := range []struct {
		name, came, method, body, want string
		fails                          bool
	}{
		{"an answer", "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig", "POST", "too large", "big", false},
		{"an answer to a head alone", "HTTP/1.1 431 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig", "GET", "", "big", false},
		{"an answer without a length", "HTTP/1.1 413 Too Large\r\n\r\nbig", "POST", "too large", "big", false},
		{"none", "", "POST", "too large", "", true},
		{"half a head", "HTTP/1.1 413 Too La", "POST", "too large", "", true},
		{"half a body", "HTTP/1.1 413 Too Large\r\nContent-Length: 30\r\n\r\nbig", "POST", "too large", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := New(Options{})
			defer f.Close()
			req := request(t, tt.method, "http://127.0.0.1:9/", tt.body)
			req = req.WithContext(WithTrace(context.Background(), &Trace{Held: true}))
			p := f.pool(loopback).h1
			k := h1Key{host: "127.0.0.1", port: 9}
			c := &h1Conn{Conn: &resetting{takes: 20, came: strings.NewReader(tt.came)}, pool: p, key: k, addr: netip.MustParseAddrPort("127.0.0.1:9")}
			c.r.Src = c.Conn
			p.put(c)
			resp, err := f.RoundTrip(req, loopback, H1)
			if err == nil {
				var b []byte
				b, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				if !tt.fails && string(b) != tt.want {
					t.Errorf("%q", b)
				}
			}
			if (err != nil) != tt.fails {
				t.Errorf("%v", err)
			}
			if p.pop(k) != nil {
				t.Error("the connection is kept for others")
			}
		})
	}
}
