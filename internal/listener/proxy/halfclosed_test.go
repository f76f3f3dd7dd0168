package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A client that says that it sends no more waits for its answer, as nc, programs
// of HTTP/1.0 and SSL_shutdown do.
func TestAClientThatOnlyEndsItsSendingGetsItsAnswer(t *testing.T) {
	for _, way := range []struct {
		name string
		open func(r *rig) net.Conn
		line string
	}{
		{"absolute-form", func(r *rig) net.Conn { return r.plainConn() }, "http://" + host + "/"},
		{"tunnel in the clear", func(r *rig) net.Conn { return r.dial(host + ":80") }, "/"},
		{"TLS", func(r *rig) net.Conn { return r.dialTLS(host+":443", host) }, "/"},
	} {
		for _, form := range []string{
			"GET %s HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
			"GET %s HTTP/1.0\r\nHost: " + host + "\r\n\r\n",
			"POST %s HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 4\r\n\r\nbody",
			"POST %s HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		} {
			t.Run(way.name+"/"+form[:10], func(t *testing.T) {
				t.Parallel()
				r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					time.Sleep(350 * time.Millisecond) // somebody looks for the client by then
					io.WriteString(w, "late")
				}, nil, noSecrets)
				c := way.open(r)
				fmt.Fprintf(c, form, way.line)
				if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(c)
				if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200 ") || !strings.HasSuffix(string(b), "late") {
					t.Errorf("%q %v", b, err)
				}
				if o := r.log.wait(t, 1)[0].closed.Outcome; o.Error != "" {
					t.Errorf("%+v", o)
				}
			})
		}
	}
}

// plainConn connects to the proxy.
func (r *rig) plainConn() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// What a client sent before it ended its sending is answered, one after the other.
func TestRequestsPipelinedBeforeTheEndOfSendingAreAnswered(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(150 * time.Millisecond)
		fmt.Fprintf(w, "<%s>", r.URL.Path)
	}, nil, noSecrets)
	c := r.plainConn()
	for i := range 3 {
		fmt.Fprintf(c, "GET http://%s/%d HTTP/1.1\r\nHost: %s\r\n\r\n", host, i, host)
	}
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil || strings.Count(string(b), "HTTP/1.1 200 ") != 3 || !strings.HasSuffix(string(b), "</2>") {
		t.Errorf("%q %v", b, err)
	}
	r.log.wait(t, 3)
}

// Who leaves is told from who waits: by the end of the connection below TLS, by
// a reset, and by the answer that nobody takes.
func TestAClientThatLeavesIsNotAnswered(t *testing.T) {
	for name, leave := range map[string]func(r *rig, ask func(net.Conn, string)){
		"TLS, in order": func(r *rig, ask func(net.Conn, string)) {
			c := r.dialTLS(host+":443", host)
			ask(c, "/")
			c.Close()
		},
		"TLS, without a farewell": func(r *rig, ask func(net.Conn, string)) {
			c := r.dialTLS(host+":443", host)
			ask(c, "/")
			c.NetConn().Close()
		},
		"TLS, farewell first": func(r *rig, ask func(net.Conn, string)) {
			c := r.dialTLS(host+":443", host)
			ask(c, "/")
			c.CloseWrite()
			time.Sleep(250 * time.Millisecond)
			c.NetConn().Close()
		},
		"in the clear, in order": func(r *rig, ask func(net.Conn, string)) {
			if runtime.GOOS != "linux" {
				r.t.Skip("only Linux tells who holds a socket")
			}
			c := r.plainConn()
			ask(c, "http://"+host+"/")
			c.Close()
		},
		"in the clear over IPv6, farewell first": func(r *rig, ask func(net.Conn, string)) {
			if runtime.GOOS != "linux" {
				r.t.Skip("only Linux tells who holds a socket")
			}
			l, err := net.Listen("tcp", "[::1]:0")
			if err != nil {
				r.t.Skip(err)
			}
			go r.server.Serve(l)
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				r.t.Fatal(err)
			}
			ask(c, "http://"+host+"/")
			c.(*net.TCPConn).CloseWrite()
			time.Sleep(250 * time.Millisecond)
			c.Close()
		},
		"in the clear, by a reset": func(r *rig, ask func(net.Conn, string)) {
			c := r.plainConn()
			ask(c, "http://"+host+"/")
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"in the clear, by a reset after its farewell": func(r *rig, ask func(net.Conn, string)) {
			c := r.plainConn()
			ask(c, "http://"+host+"/")
			c.(*net.TCPConn).CloseWrite()
			time.Sleep(250 * time.Millisecond)
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"in the clear, amid an answer": func(r *rig, ask func(net.Conn, string)) {
			c := r.plainConn()
			ask(c, "http://"+host+"/talk")
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan bool, 1)
			arrived := make(chan bool, 1)
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				arrived <- true
				for tick := time.NewTicker(20 * time.Millisecond); ; {
					select {
					case <-r.Context().Done():
						over <- true
						return
					case <-tick.C:
						if r.URL.Path == "/talk" {
							io.WriteString(w, "data: x\n\n")
							w.(http.Flusher).Flush()
						}
					}
				}
			}, nil, noSecrets)
			leave(r, func(c net.Conn, target string) {
				fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, host)
				<-arrived
			})
			select {
			case <-over:
			case <-time.After(8 * time.Second):
				t.Fatal("the server still works for nobody")
			}
			if o := r.log.wait(t, 1)[0].closed.Outcome; !strings.Contains(o.Error, "client went away") {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestNetcatGetsItsAnswer(t *testing.T) {
	nc := program(t, "nc")
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(350 * time.Millisecond)
		io.WriteString(w, "late")
	}, nil, noSecrets)
	at, port, _ := net.SplitHostPort(r.addr)
	cmd := exec.CommandContext(t.Context(), nc, "-N", at, port) // which ends its sending when its input ends
	cmd.Stdin = strings.NewReader("GET http://" + host + "/ HTTP/1.0\r\nHost: " + host + "\r\n\r\n")
	b, err := cmd.CombinedOutput()
	if strings.Contains(string(b), "invalid option") {
		t.Skip("this nc knows no -N")
	}
	if err != nil || !strings.HasSuffix(string(b), "late") {
		t.Errorf("%q %v", b, err)
	}
}
