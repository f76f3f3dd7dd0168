package forward

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fray stands before a server and breaks what it says at one byte.
type fray struct {
	l  net.Listener
	to string

	mu   sync.Mutex
	at   int    // of the server's bytes, on each connection
	how  string // "close", "reset", "flip", "hang"
	seen int    // bytes of the server, of the last connection
}

func newFray(t testing.TB, to string) *fray {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fray{l: l, to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return f
}

func (f *fray) serve(c *net.TCPConn) {
	defer c.Close()
	up, err := net.Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer up.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	up.SetDeadline(time.Now().Add(10 * time.Second))
	f.mu.Lock()
	at, how := f.at, f.how
	f.mu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); io.Copy(up, c); up.(*net.TCPConn).CloseWrite() }()
	n := 0
	buf := make([]byte, 4096)
	for {
		m, err := up.Read(buf)
		b := buf[:m]
		if how != "" && n <= at && at < n+m {
			switch how {
			case "flip":
				b[at-n] ^= 0x10
			default:
				c.Write(b[:at-n])
				n = at
				switch how {
				case "reset":
					c.SetLinger(0)
				case "hang":
					io.Copy(io.Discard, c)
				}
				c.Close()
				<-done
				return
			}
		}
		c.Write(b)
		n += m
		f.mu.Lock()
		f.seen = n
		f.mu.Unlock()
		if err != nil {
			break
		}
	}
	c.CloseWrite()
	<-done
}

// A handshake that breaks anywhere is a fault that says so; nothing is taken for
// an answer that is none.
func TestHandshakeThatBreaksAnywhereIsAFault(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "whole answer") }))
	x := newFray(t, s.Listener.Addr().String())
	port, _ := strconv.Atoi(x.l.Addr().String()[len("127.0.0.1:"):])
	within := func(limit time.Duration) *Forwarder {
		return s.forwarder(t, func(o *Options) {
			o.ConnectTo = []ConnectTo{{Addr: "127.0.0.1", To: uint16(port)}}
			o.TLSTimeout, o.HeaderTimeout = limit, limit
		})
	}
	patient, hasty := within(10*time.Second), within(150*time.Millisecond)
	try := func(at int, how string, proto Proto) (string, error) {
		f := patient
		if how == "hang" {
			f = hasty
		}
		x.mu.Lock()
		x.at, x.how = at, how
		x.mu.Unlock()
		defer f.Flush()
		resp, err := f.RoundTrip(request(t, "POST", "https://api.example/", "x"), nil, proto)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	for _, proto := range []Proto{H1, H2} {
		if got, err := try(0, "", proto); err != nil || got != "whole answer" {
			t.Fatal(got, err)
		}
		x.mu.Lock()
		whole := x.seen
		x.mu.Unlock()
		if whole < 500 {
			t.Fatalf("the server said %d bytes", whole)
		}
		for how, step := range map[string]int{"close": 11, "reset": 37, "flip": 7, "hang": 290} {
			faults, calls := 0, 0
			for at := 0; at < 500; at += step { // the rest may be close_notify
				calls++
				got, err := try(at, how, proto)
				if err == nil {
					if got != "whole answer" {
						t.Errorf("%s at byte %d: %q passes for an answer", how, at, got)
					}
					continue
				}
				faults++
				e := Classify(err)
				switch {
				case e.Status != 502 && e.Status != 504, e.Host != "api.example" && e.Host != "", strings.Contains(e.Detail, "x509"):
					t.Errorf("%s at byte %d: %+v", how, at, e)
				case how == "hang" && (e.Type != "connection_timeout" || e.Status != 504):
					t.Errorf("%s at byte %d: %+v", how, at, e)
				case how == "close" && e.Type != "connection_terminated" && e.Type != "tls_protocol_error" && e.Type != "http_response_incomplete":
					t.Errorf("%s at byte %d: %+v", how, at, e)
				case how == "flip" && e.Type == "http_protocol_error":
					t.Errorf("%s at byte %d: %+v", how, at, e)
				}
			}
			// Nobody looks at some bytes, as the version in a record.
			if faults < calls-2 || how != "flip" && faults < calls {
				t.Errorf("%s: %d faults of %d", how, faults, calls)
			}
		}
	}
}
