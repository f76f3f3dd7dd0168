package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// tell dials through url and returns how it fails. Its text may quote nothing.
func tell(t *testing.T, url string, change ...func(*Options)) *Error {
	t.Helper()
	f := through(t, url, change...)
	c, _, err := f.Dial(t.Context(), "api.example", 443, nil)
	if err == nil {
		c.Close()
		t.Fatal("connected")
	}
	e := Classify(err)
	for _, s := range []string{e.Error(), err.Error(), fmt.Sprintf("%+v", e.Err)} {
		if strings.Contains(s, canary) || strings.Contains(s, "hunter2") {
			t.Errorf("quotes what is not ours to quote: %s", s)
		}
	}
	if strings.Contains(e.Detail, "127.0.0.1") || e.Host != "api.example" || !strings.HasPrefix(e.Detail, "the upstream proxy (--upstream-proxy) ") || strings.Contains(e.Detail, "it's") {
		t.Errorf("%+v", e)
	}
	return e
}

func TestFaultsOfAProxyAreToldApart(t *testing.T) {
	answer := func(status int, fields ...string) string {
		return fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n\r\n%s", status, canary, strings.Join(append(fields, "X-Y: "+canary), "\r\n"), canary)
	}
	for _, tt := range []struct {
		name, answer, typ string
		status            int
		says              string
	}{
		{"wants a login", answer(407, "Proxy-Authenticate: Basic realm=\"x\""), "proxy_configuration_error", 502, "asks for a login: put USER:PASSWORD@"},
		{"wants another login", answer(407, "Proxy-Authenticate: Negotiate", "proxy-authenticate: NTLM "+canary), "proxy_configuration_error", 502, "by Negotiate, NTLM, of which outvet speaks none"},
		{"takes no login", answer(401), "proxy_configuration_error", 502, "asks for a login"},
		{"says no", answer(403), "http_request_denied", 502, "does not let this destination through (status 403)"},
		{"cannot", answer(502), "destination_unavailable", 502, "could not reach the server (status 502)"},
		{"cannot now", answer(503), "destination_unavailable", 502, "could not reach the server (status 503)"},
		{"cannot in time", answer(504), "connection_timeout", 504, "could not reach the server in time"},
		{"redirects", answer(302, "Location: http://"+canary), "proxy_internal_response", 502, "answered with status 302"},
		{"garbage", canary + "\r\n\r\n", "http_protocol_error", 502, "cannot be understood"},
		{"garbage without end", strings.Repeat(canary, 1000), "http_protocol_error", 502, "cannot be understood"},
		{"status of letters", "HTTP/1.1 2OO OK\r\n\r\n", "http_protocol_error", 502, "cannot be understood"},
		{"status of four", "HTTP/1.1 2000 OK\r\n\r\n", "http_protocol_error", 502, "cannot be understood"},
		{"another version", "HTTP/2.0 200 OK\r\n\r\n", "http_protocol_error", 502, "cannot be understood"},
		{"endless head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxAnswer), "http_response_header_section_size", 502, "head is too long"},
		{"endless 1xx", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), "http_protocol_error", 502, "cannot be understood"},
		{"nothing", "", "connection_terminated", 502, "cannot be used: it closed the connection"},
		{"half a head", "HTTP/1.1 200 OK\r\nX: " + canary, "http_response_incomplete", 502, "cannot be used: it closed the connection in the middle"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1 << 20, 3} {
				if piece == 3 && len(tt.answer) > 1000 {
					continue
				}
				e := tell(t, "http://"+answering(t, tt.answer, piece))
				if e.Type != tt.typ || e.Status != tt.status || !strings.Contains(e.Detail, tt.says) {
					t.Errorf("%s %d %q", e.Type, e.Status, e.Detail)
				}
			}
		})
	}
	if e := tell(t, "http://u:hunter2@"+answering(t, answer(407, "Proxy-Authenticate: Basic"), 9)); !strings.Contains(e.Detail, "does not take the user and password") {
		t.Errorf("%+v", e)
	}
}

func TestFaultsOfTheWayToAProxyAreTold(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if e := tell(t, "http://"+closed.Addr().String()); e.Type != "connection_refused" || !strings.Contains(e.Detail, "cannot be used: it refused the connection") {
		t.Errorf("nobody listens: %+v", e)
	}
	if e := tell(t, "http://proxy.example:3128"); e.Type != "dns_error" {
		t.Errorf("no such name: %+v", e)
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and is silent
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	short := func(o *Options) { o.DialTimeout, o.TLSTimeout = 300*time.Millisecond, 300*time.Millisecond }
	if e := tell(t, "http://"+mute.Addr().String(), short); e.Type != "connection_timeout" || e.Status != 504 || !strings.Contains(e.Detail, "did not say in time") {
		t.Errorf("hangs: %+v", e)
	}
	if e := tell(t, "socks5h://"+mute.Addr().String(), short); e.Type != "connection_timeout" || e.Status != 504 {
		t.Errorf("SOCKS hangs: %+v", e)
	}
	if e := tell(t, "https://"+mute.Addr().String(), short); e.Type != "connection_timeout" || e.Status != 504 || !strings.Contains(e.Detail, "TLS handshake in time") {
		t.Errorf("TLS hangs: %+v", e)
	}
	f := through(t, "http://"+mute.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := f.Dial(ctx, "api.example", 443, nil); Classify(err).Status != 504 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time is over: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, stop)
	if _, _, err := f.Dial(ctx, "api.example", 443, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller gives up: %v", err)
	}

	root := newRoot(t)
	leaf := issue(t, &root, serverFor("proxy.example"))
	x := newExit(t, "", nil, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}}})
	_, port, _ := net.SplitHostPort(x.address())
	name := func(o *Options) { o.Resolver = onlyFor{x, unknown{}} }
	trust := func(o *Options) { o.Roots = []*x509.Certificate{root.cert} }
	if e := tell(t, "https://proxy.example:"+port, name); e.Type != "tls_certificate_error" || !strings.Contains(e.Detail, "its certificate is signed by an unknown authority") {
		t.Errorf("unknown authority: %+v", e)
	}
	if e := tell(t, "https://localhost:"+port, trust, func(o *Options) { o.Resolver = table{"localhost": addrs("127.0.0.1")} }); e.Type != "tls_certificate_error" || !strings.Contains(e.Detail, "its certificate is for another name") {
		t.Errorf("another name: %+v", e)
	}
	if e := tell(t, "http://"+x.address()); e.Type != "connection_terminated" && e.Type != "http_protocol_error" {
		t.Errorf("TLS asked in clear text: %+v", e)
	}
	plain := newExit(t, "", nil, nil)
	if e := tell(t, "https://"+plain.address()); !strings.HasPrefix(e.Type, "tls_") && e.Type != "connection_terminated" {
		t.Errorf("clear text asked for TLS: %+v", e)
	}
	if asked, _ := x.seen(); len(asked) > 0 {
		t.Errorf("a proxy that is not verified was asked for %q", asked)
	}
}

// raw5 answers each of a client's messages with the next of replies.
func raw5(t *testing.T, replies ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 512)
			for _, r := range replies {
				if _, err := c.Read(b); err != nil {
					break
				}
				io.WriteString(c, r)
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestFaultsOfASOCKSProxyAreToldApart(t *testing.T) {
	reply := func(n byte) string { return string([]byte{5, n, 0, 1, 0, 0, 0, 0, 0, 0}) }
	for _, tt := range []struct {
		user    string
		replies []string
		typ     string
		says    string
	}{
		{"", []string{"\x05\xff"}, "proxy_configuration_error", "asks for a login"},
		{"u:hunter2@", []string{"\x05\xff"}, "proxy_configuration_error", "does not take"},
		{"u:hunter2@", []string{"\x05\x02", "\x01\x01"}, "proxy_configuration_error", "does not take"},
		{"", []string{"\x05\x02"}, "http_protocol_error", "cannot be understood"},
		{"", []string{"\x04\x00"}, "http_protocol_error", "cannot be understood"},
		{"", []string{"HTTP/1.1 400 " + canary}, "http_protocol_error", "cannot be understood"},
		{"", []string{"\x05"}, "http_response_incomplete", "cannot be used"},
		{"", []string{"\x05\x00", reply(1)}, "destination_unavailable", "reply 1"},
		{"", []string{"\x05\x00", reply(2)}, "http_request_denied", "does not let"},
		{"", []string{"\x05\x00", reply(3)}, "destination_ip_unroutable", "no route"},
		{"", []string{"\x05\x00", reply(4)}, "destination_ip_unroutable", "no route"},
		{"", []string{"\x05\x00", reply(5)}, "connection_refused", "refused"},
		{"", []string{"\x05\x00", reply(6)}, "connection_timeout", "in time"},
		{"", []string{"\x05\x00", reply(7)}, "http_protocol_error", "does not do"},
		{"", []string{"\x05\x00", reply(99)}, "destination_unavailable", "reply 99"},
		{"", []string{"\x05\x00", "\x05\x00\x00\x07"}, "http_protocol_error", "cannot be understood"},
		{"", []string{"\x05\x00", "\x05\x00\x00\x03\xff" + canary}, "http_response_incomplete", "cannot be used"},
	} {
		e := tell(t, "socks5h://"+tt.user+raw5(t, tt.replies...))
		if e.Type != tt.typ || !strings.Contains(e.Detail, tt.says) {
			t.Errorf("%q: %s %q", tt.replies, e.Type, e.Detail)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nrest"), 1)
	f.Add([]byte("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n"), 3)
	f.Add([]byte("HTTP/1.0 403\r\n\r\n"), 100)
	f.Fuzz(func(t *testing.T, in []byte, chunk int) {
		whole, rest, err := readAnswer(bytes.NewReader(in), nil)
		// In which pieces it comes makes no difference.
		var r io.Reader = bytes.NewReader(in)
		var again proxyAnswer
		var behind []byte
		var err2 error
		if chunk%2 == 0 {
			again, behind, err2 = readAnswer(iotest.OneByteReader(r), nil)
		} else {
			n := max(0, min(chunk, len(in)))
			again, behind, err2 = readAnswer(bytes.NewReader(in[n:]), bytes.Clone(in[:n]))
		}
		if (err == nil) != (err2 == nil) || again.status != whole.status {
			t.Fatalf("%q: %v %v and %v %v", in, whole, err, again, err2)
		}
		if err != nil {
			return
		}
		if whole.status < 100 || whole.status > 999 || !bytes.HasSuffix(in, rest) && len(rest) > 0 {
			t.Errorf("%q: %v, rest %q", in, whole, rest)
		}
		if n := headEnd(in); len(in)-n < len(rest) || !bytes.HasPrefix(in[n:], behind) {
			t.Errorf("%q: the rest is %q and %q", in, rest, behind)
		}
	})
}

// A says is a connection whose other end says r and takes everything.
type says struct {
	net.Conn
	r    *bytes.Reader
	sent bytes.Buffer
}

func (s *says) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s *says) Write(p []byte) (int, error) { return s.sent.Write(p) }

func FuzzConnectSOCKS(f *testing.F) {
	f.Add([]byte("\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00rest"), false)
	f.Add([]byte("\x05\x02\x01\x00\x05\x00\x00\x03\x04name\x00\x00rest"), true)
	f.Add([]byte("\x05\x02\x01\x01"), true)
	f.Fuzz(func(t *testing.T, in []byte, withLogin bool) {
		s := &says{r: bytes.NewReader(in)}
		var l *login
		if withLogin {
			l = &login{"us3r", "hunter2"}
		}
		err := connectSOCKS(s, "api.example", 443, l)
		asked := bytes.HasSuffix(s.sent.Bytes(), []byte("\x05\x01\x00\x03\x0bapi.example\x01\xbb"))
		if err == nil {
			if !asked || len(in) < 2 || in[0] != 5 {
				t.Errorf("%q counts as success", in)
			}
			// What is left over is the server's: a reply has a length of its own.
			at := 2
			if in[1] == 2 {
				at += 2
			}
			want := map[byte]int{1: 10, 4: 22, 3: 7}[in[at+3]]
			if in[at+3] == 3 {
				want += int(in[at+4])
			}
			if got := len(in) - s.r.Len(); got != at+want || in[at+1] != 0 {
				t.Errorf("%q: read %d, want %d", in, got, at+want)
			}
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
		if !withLogin && bytes.Contains(s.sent.Bytes(), []byte("hunter2")) || len(in) > 1 && in[1] != 2 && bytes.Contains(s.sent.Bytes(), []byte("hunter2")) {
			t.Error("the login is sent unasked")
		}
	})
}
