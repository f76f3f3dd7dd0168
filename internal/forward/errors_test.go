package forward

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fails is a resolver that gives an error.
type fails struct{ err error }

func (f fails) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { return nil, f.err }

func TestFaultsOfTheDNSAreTold(t *testing.T) {
	for _, tt := range []struct {
		err    error
		typ    string
		status int
	}{
		{&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, "dns_error", 502},
		{&net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}, "dns_error", 502},
		{&net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}, "dns_timeout", 504},
	} {
		f := New(Options{Resolver: fails{tt.err}})
		_, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, H1)
		e := Classify(err)
		if e == nil || e.Type != tt.typ || e.Status != tt.status || e.Host != "api.example" || !errors.Is(err, tt.err) {
			t.Errorf("%v: %+v", tt.err, e)
		}
		f.Close()
	}
	f := New(Options{Resolver: table{"none.example": {}}})
	defer f.Close()
	if _, _, err := f.Dial(t.Context(), "none.example", 443, nil); Classify(err).Type != "dns_error" {
		t.Error(err)
	}
}

const canary = "sk-canary-7f3a"

// What a server answers must not come back in our words.
func TestFaultsOfServersAreToldWithoutTheirBytes(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct{ name, answer, typ string }{
		{"garbage", canary + "\r\n\r\n", "http_protocol_error"},
		{"a word that means something", "tls: GOAWAY timeout " + canary + "\r\n\r\n", ""},
		{"no answer", "", "connection_terminated"},
		{"half a head", head + "X: " + canary, "http_response_incomplete"},
		{"bad field", head + canary + "\r\n\r\n", "http_protocol_error"},
		{"two lengths", head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + canary, "http_protocol_error"},
		{"endless head", head + "X: " + strings.Repeat("x", 2*maxHead) + "\r\n\r\n", "http_response_header_section_size"},
		{"half a body", head + "Content-Length: 100\r\n\r\n" + canary, "http_response_incomplete"},
		{"broken chunks", head + "Transfer-Encoding: chunked\r\n\r\n" + canary + "\r\n", "http_protocol_error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, url := raw(t, tt.answer, nil)
			resp, err := f.RoundTrip(request(t, "GET", url+"/", ""), loopback, H1)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Fatal("no error")
			}
			e := Classify(err)
			if e.Status < 502 || e.Status > 504 || e.Detail == "" || tt.typ != "" && e.Type != tt.typ {
				t.Errorf("%+v, want %s", e, tt.typ)
			}
			if strings.Contains(e.Error()+e.Detail, canary) {
				t.Errorf("quotes the server: %v", e)
			}
		})
	}
}

func TestFaultsOfConnectionsAreTold(t *testing.T) {
	f := New(Options{TLSTimeout: 100 * time.Millisecond, HeaderTimeout: 100 * time.Millisecond})
	defer f.Close()
	send := func(url string) *Error {
		_, err := f.RoundTrip(request(t, "GET", url, ""), loopback, H2)
		return Classify(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if e := send("http://" + closed.Addr().String()); e == nil || e.Type != "connection_refused" || e.Status != 502 {
		t.Errorf("nobody listens: %+v", e)
	}

	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts and is silent
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if e := send("https://" + mute.Addr().String()); e == nil || e.Type != "connection_timeout" || e.Status != 504 {
		t.Errorf("no handshake: %+v", e)
	}
	if e := send("http://" + mute.Addr().String()); e == nil || e.Type != "http_response_timeout" || e.Status != 504 {
		t.Errorf("no answer: %+v", e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = f.RoundTrip(request(t, "GET", "http://"+mute.Addr().String(), "").WithContext(ctx), loopback, H1)
	if e := Classify(err); e == nil || e.Status != 504 {
		t.Errorf("the caller's time is over: %+v", e)
	}

	plain := httptest.NewServer(ok)
	defer plain.Close()
	if e := send(strings.Replace(plain.URL, "http:", "https:", 1)); e == nil || e.Type != "tls_protocol_error" {
		t.Errorf("a server without TLS: %+v", e)
	}
}

func TestAlertOfTheServerIsTold(t *testing.T) {
	s := newSite(t, ok, func(s *httptest.Server) { s.TLS.ClientAuth = 4; s.TLS.MaxVersion = 0x0303 }) // demands a client's certificate
	f := s.forwarder(t)
	_, err := f.RoundTrip(request(t, "GET", "https://api.example/", ""), nil, H1)
	if e := Classify(err); e == nil || e.Type != "tls_alert_received" {
		t.Errorf("%+v", e)
	}
}

func TestFaultsOfHTTP2AreTold(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	f := s.forwarder(t)
	_, err := f.RoundTrip(request(t, "POST", "https://api.example/", "x"), nil, H2)
	if e := Classify(err); e == nil || e.Type != "http_protocol_error" || !strings.Contains(e.Detail, "INTERNAL_ERROR") {
		t.Errorf("%+v", e)
	}
	resp, err := f.RoundTrip(request(t, "POST", "https://api.example/late", "x"), nil, H2)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	if e := Classify(err); e == nil || e.Type != "http_protocol_error" || !strings.Contains(e.Detail, "INTERNAL_ERROR") {
		t.Errorf("%+v", e)
	}
}

func TestRequestsThatCannotBeSentAreTheClientsFault(t *testing.T) {
	f := New(Options{})
	defer f.Close()
	for name, change := range map[string]func(*http.Request){
		"no host":    func(r *http.Request) { r.URL.Host = "" },
		"bad host":   func(r *http.Request) { r.URL.Host = "a b:80" },
		"bad scheme": func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no URL":     func(r *http.Request) { r.URL = nil },
		"bad port":   func(r *http.Request) { r.URL.Host = "api.example:99999" },
		"port 0":     func(r *http.Request) { r.URL.Host = "api.example:0" },
		"bad field":  func(r *http.Request) { r.Header["X\r\nY"] = []string{"1"} },
		"bad value":  func(r *http.Request) { r.Header["X"] = []string{"1\r\nY: 2"} },
		"bad method": func(r *http.Request) { r.Method = "GET /" },
	} {
		body := &closing{Reader: strings.NewReader("x")}
		req := request(t, "POST", "http://127.0.0.1/", "")
		req.Body, req.ContentLength = body, 1
		change(req)
		_, err := f.RoundTrip(req, loopback, H1)
		if e := Classify(err); e == nil || e.Type != "http_request_error" || e.Status != 400 {
			t.Errorf("%s: %+v", name, e)
		}
		if !body.closed {
			t.Errorf("%s: the body is left open", name)
		}
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestFaultsThatLastAreNotWorthATry(t *testing.T) {
	for _, tt := range []struct {
		err   error
		lasts bool
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, true},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, false},
		{x509.UnknownAuthorityError{}, true},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}, true},
		{&Refused{Rule: "r"}, true},
		{&proxyFault{err: errLoop}, true},
		{faultLogin(nil), true},
		{proxyAnswer{status: 403}.fault(), true},
		{proxyAnswer{status: 503}.fault(), false},
		{&unsendable{errors.New("x")}, true},
		{syscall.ECONNREFUSED, false},
		{syscall.ECONNRESET, false},
		{context.DeadlineExceeded, false},
		{io.EOF, false},
	} {
		if e := Classify(tt.err); e.Lasting() != tt.lasts {
			t.Errorf("%v: %s lasts: %v", tt.err, e.Type, e.Lasting())
		}
	}
}

func TestClassifyKeepsWhatIsClassified(t *testing.T) {
	if Classify(nil) != nil {
		t.Error("nil is a fault")
	}
	e := &Error{Type: "dns_error", Status: 502, Detail: "x"}
	if Classify(fmt.Errorf("wrapped: %w", e)) != e {
		t.Error("classified again")
	}
	if got := Classify(errors.New(canary)); got.Status != 502 || strings.Contains(got.Error(), canary) {
		t.Errorf("%+v", got)
	}
}

func TestFaultsOfThisMachineAreToldFromThoseOfTheServer(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.EMFILE: "no file descriptors left", syscall.EADDRINUSE: "no local port left",
		syscall.EPERM: "firewall", syscall.EACCES: "firewall",
		syscall.ENOBUFS: "could not be made: no buffer space available",
	} {
		err := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
		if e := Classify(err); !strings.Contains(e.Detail, want) {
			t.Errorf("%v is told as %q, want %q", errno, e.Detail, want)
		}
	}
}
