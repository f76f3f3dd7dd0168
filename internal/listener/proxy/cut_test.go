package proxy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/kill"
	"outvet/internal/payload/wsframe"
)

// cutTime is a second, in which what may not go on is over, and as much again
// for a busy machine.
const cutTime = 2 * time.Second

// causes are the reasons for which open calls end.
var causes = []struct {
	name, rule string
	act        func(t *testing.T, r *rig)
}{
	{"kill", call.RuleKill, func(t *testing.T, r *rig) {
		if err := r.gate.Kill(kill.Notice{By: "ada", How: "hand", Why: "test"}); err != nil {
			t.Error(err)
		}
	}},
	{"quarantine", call.RuleQuarantine, func(t *testing.T, r *rig) {
		if err := r.gate.Quarantine("127.0.0.1", "ada", "odd"); err != nil {
			t.Error(err)
		}
	}},
	{"policy", call.RuleDefault, func(t *testing.T, r *rig) { r.install(t, "version: 1\ndefault: block\n") }},
}

// A flow is a long call: begin makes it and returns what reads the client's side
// until it ends.
type flow struct {
	name  string
	begin func(t *testing.T, r *rig, s *sea) (read func() error)
}

// A sea is an origin whose calls do not end by themselves. over gets a value
// when one did.
type sea struct {
	over chan struct{}
	up   chan struct{} // a call arrived
}

func (s *sea) serve(w http.ResponseWriter, r *http.Request) {
	defer func() { s.over <- struct{}{} }()
	s.up <- struct{}{}
	switch r.URL.Path {
	case "/upload":
		io.Copy(io.Discard, r.Body)
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: one\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		for b := bytes.Repeat([]byte("x"), 32<<10); r.Context().Err() == nil; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}
}

func download(path string, h2 bool, scheme string) func(*testing.T, *rig, *sea) func() error {
	return func(t *testing.T, r *rig, _ *sea) func() error {
		resp, err := r.client(h2).Get(scheme + "://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return func() error {
			_, err := io.Copy(io.Discard, resp.Body)
			return err
		}
	}
}

// unread makes a download that nobody reads until it should be over.
func unread(h2 bool) func(*testing.T, *rig, *sea) func() error {
	return func(t *testing.T, r *rig, s *sea) func() error {
		read := download("/flood", h2, "https")(t, r, s)
		time.Sleep(100 * time.Millisecond) // all buffers are full
		return func() error {
			time.Sleep(cutTime / 2)
			return read()
		}
	}
}

func upload(h2 bool) func(*testing.T, *rig, *sea) func() error {
	return func(t *testing.T, r *rig, _ *sea) func() error {
		pr, pw := io.Pipe()
		t.Cleanup(func() { pw.CloseWithError(io.ErrClosedPipe) })
		go func() {
			text := bytes.Repeat([]byte("some words "), 4<<10)
			message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...) // of gRPC
			for b := message; ; {
				if _, err := pw.Write(b); err != nil {
					return
				}
			}
		}()
		done := make(chan error, 1)
		go func() {
			resp, err := r.client(h2).Post("https://"+host+"/upload", "application/grpc", pr)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err == nil {
					err = fmt.Errorf("answered %s", resp.Status)
				}
			}
			done <- err
		}()
		return func() error { return <-done }
	}
}

var flows = []flow{
	{"download, HTTP1", download("/flood", false, "https")},
	{"download, HTTP2", download("/flood", true, "https")},
	{"download, absolute-form", download("/flood", false, "http")},
	{"events, HTTP1", download("/events", false, "https")},
	{"events, HTTP2", download("/events", true, "https")},
	{"download nobody reads, HTTP1", unread(false)},
	{"download nobody reads, HTTP2", unread(true)},
	{"upload, HTTP1", upload(false)},
	{"upload, HTTP2", upload(true)},
}

func TestEveryFlowIsCutWithinASecond(t *testing.T) {
	for _, c := range causes {
		for _, f := range flows {
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				s := &sea{over: make(chan struct{}, 4), up: make(chan struct{}, 4)}
				r := newRig(t, s.serve, nil, noSecrets)
				r.gate.Cut = func() { r.server.Sever(300 * time.Millisecond) }
				read := f.begin(t, r, s)
				<-s.up
				ended := make(chan error, 1)
				go func() { ended <- read() }()
				time.Sleep(30 * time.Millisecond)
				c.act(t, r)
				r.cut(t, c.rule, s.over, ended)
			})
		}
	}
}

// cut checks that the one call of r ends within a second: for the server, for
// the client and in the record.
func (r *rig) cut(t *testing.T, rule string, server <-chan struct{}, client <-chan error) {
	t.Helper()
	late := time.After(cutTime)
	for server != nil || client != nil {
		select {
		case <-server:
			server = nil
		case err := <-client:
			if client = nil; err == nil {
				t.Error("the client takes the answer for a whole one")
			}
		case <-late:
			t.Fatalf("not over: server %t, client %t", server == nil, client == nil)
		}
	}
	p := r.log.wait(t, 1)[0]
	if d := p.closed.Decision; !p.closed.Outcome.Aborted || d == nil || d.Rule != rule {
		t.Errorf("%+v %+v", p.closed.Outcome, d)
	}
}

func TestRawConnectionsAndWebSocketsAreCutWithinASecond(t *testing.T) {
	for _, c := range causes {
		t.Run(c.name+"/raw", func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{}, 1)
			r := rawRig(t, allow, func(c net.Conn) {
				io.Copy(c, c)
				over <- struct{}{}
			})
			r.gate.Cut = func() { r.server.Sever(300 * time.Millisecond) }
			conn := r.dial("raw.example:7")
			io.WriteString(conn, "\x00\x01binary")
			b := make([]byte, 64)
			if _, err := conn.Read(b); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := conn.Read(b)
				ended <- err
			}()
			c.act(t, r)
			r.cut(t, c.rule, over, ended)
		})
		for _, secure := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/websocket, TLS %t", c.name, secure), func(t *testing.T) {
				t.Parallel()
				r, over, ended := talking(t, secure, nil)
				c.act(t, r)
				r.cut(t, c.rule, over, ended)
			})
			t.Run(fmt.Sprintf("%s/websocket amid a message, TLS %t", c.name, secure), func(t *testing.T) {
				t.Parallel()
				// The server began a message that it never ends: no farewell can be put behind it.
				h := wsframe.Header{Fin: true, Op: wsframe.Binary, Length: 1 << 30}
				r, over, ended := talking(t, secure, append(h.Append(nil), "begun"...))
				c.act(t, r)
				r.cut(t, c.rule, over, ended)
			})
		}
	}
}

func TestTLSThatPassesUnreadIsCutWithinASecond(t *testing.T) {
	for _, c := range causes {
		for _, unread := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, client reads %t", c.name, !unread), func(t *testing.T) {
				t.Parallel()
				s := &sea{over: make(chan struct{}, 4), up: make(chan struct{}, 4)}
				r := newRig(t, s.serve, nil, pinned)
				r.gate.Cut = func() { r.server.Sever(300 * time.Millisecond) }
				client := r.client(false)
				client.Transport.(*http.Transport).TLSClientConfig.RootCAs = r.theirs()
				resp, err := client.Get("https://" + host + "/flood")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				<-s.up
				time.Sleep(50 * time.Millisecond)
				ended := make(chan error, 1)
				go func() {
					if unread {
						time.Sleep(cutTime / 2)
					}
					_, err := io.Copy(io.Discard, resp.Body)
					ended <- err
				}()
				c.act(t, r)
				r.cut(t, c.rule, s.over, ended)
			})
		}
	}
}

func TestRawConnectionOverSOCKSIsCutWithinASecond(t *testing.T) {
	for _, c := range causes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{}, 1)
			r := rawRig(t, allow, func(c net.Conn) {
				io.Copy(c, c)
				over <- struct{}{}
			})
			r.gate.Cut = func() { r.server.Sever(300 * time.Millisecond) }
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(conn, "\x05\x01\x00\x05\x01\x00\x03\x0braw.example\x00\x07")
			b := make([]byte, 64)
			if _, err := io.ReadFull(conn, b[:12]); err != nil { // both answers
				t.Fatal(err)
			}
			io.WriteString(conn, "\x00\x01binary")
			if n, err := conn.Read(b); err != nil || string(b[:n]) != "\x00\x01binary" {
				t.Fatalf("%q %v", b[:n], err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := conn.Read(b)
				ended <- err
			}()
			c.act(t, r)
			r.cut(t, c.rule, over, ended)
		})
	}
}

// talking returns a rig with one WebSocket open, on which the server said hello
// and then more.
func talking(t *testing.T, secure bool, more []byte) (*rig, chan struct{}, chan error) {
	over := make(chan struct{}, 1)
	r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) {
		c.Write(append(wsframe.AppendFrame(nil, wsframe.Text, []byte("hello")), more...))
		io.Copy(io.Discard, in)
		over <- struct{}{}
	}), nil, noSecrets)
	r.gate.Cut = func() { r.server.Sever(300 * time.Millisecond) }
	c := r.websocket(t, secure, "/talk")
	c.want(wsframe.Text, "hello")
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c.br)
		if err == nil {
			err = io.EOF // it has its farewell
		}
		ended <- err
	}()
	return r, over, ended
}

func TestKillCutsWhatIsIdle(t *testing.T) {
	for _, way := range []struct {
		name, scheme string
		h2           bool
	}{{"absolute-form", "http", false}, {"HTTP1", "https", false}, {"HTTP2", "https", true}} {
		t.Run(way.name, func(t *testing.T) {
			gone := make(chan struct{}, 8)
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }, nil, allow)
			client := r.client(way.h2)
			tr := client.Transport.(*http.Transport)
			dial := net.Dialer{}
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial.DialContext(ctx, network, addr)
				return telling{c, gone}, err
			}
			resp, err := client.Get(way.scheme + "://" + host + "/")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			silent := r.dial(host + ":443")
			r.server.Sever(50 * time.Millisecond)
			late := time.After(cutTime)
			select {
			case <-gone:
			case <-late:
				t.Error("the kept connection is open")
			}
			if _, err := silent.Read(make([]byte, 1)); err == nil {
				t.Error("the silent tunnel is open")
			}
			// Who comes after that is answered.
			if resp, err := client.Get(way.scheme + "://" + host + "/"); err != nil {
				t.Error(err)
			} else {
				resp.Body.Close()
			}
		})
	}
}

// A telling connection says when it is over: reading failed, or whoever has it
// read the farewell of TLS and closed it.
type telling struct {
	net.Conn
	gone chan struct{}
}

func (c telling) over() {
	select {
	case c.gone <- struct{}{}:
	default:
	}
}

func (c telling) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.over()
	}
	return n, err
}

func (c telling) Close() error {
	c.over()
	return c.Conn.Close()
}

func TestWhoCallsAfterAKillReadsWhy(t *testing.T) {
	for _, way := range ways {
		r := newRig(t, nil, nil, allow)
		r.gate.Cut = func() { r.server.Sever(2 * time.Second) }
		if err := r.gate.Kill(kill.Notice{By: "ada", How: "hand", Why: "exfiltration seen"}); err != nil {
			t.Fatal(err)
		}
		resp, err := r.client(way.h2).Get("https://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 403 || !strings.Contains(string(b), "exfiltration seen") || !strings.Contains(string(b), `"code":"killed"`) || strings.Contains(string(b), "ada") {
			t.Errorf("%s: %s %s", way.name, resp.Status, b)
		}
		if err := r.gate.Lift("ada", "hand"); err != nil {
			t.Error(err)
		}
	}
}
