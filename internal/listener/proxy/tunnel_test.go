package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

// rawRig is a rig with a server of a raw protocol at raw.example:7.
func rawRig(t *testing.T, text string, serve func(net.Conn)) *rig {
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
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	up := forward.New(forward.Options{ConnectTo: []forward.ConnectTo{connectTo("raw.example", 7, l.Addr())}})
	t.Cleanup(up.Close)
	h := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "http") }
	return newRig(t, h, nil, text, func(s *proxy.Server) {
		s.Upstream, s.Peek = both{up, s.Upstream}, 20*time.Millisecond
	})
}

func echo(c net.Conn) { io.Copy(c, c) }

func TestARawConnectionIsCarried(t *testing.T) {
	r := rawRig(t, allow, echo)
	c := r.dial("raw.example:7")
	io.WriteString(c, "\x00\x01binary")
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); string(b) != "\x00\x01binary" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	p := r.log.wait(t, 1)[0]
	if d := p.decided; d.Protocol != "tcp" || d.Method != "connect" || d.Target != "raw.example:7" || d.Scheme != "tcp" {
		t.Errorf("%+v", d)
	}
	if o := p.closed.Outcome; o.Sent != 8 || o.Received != 8 || o.Address == "" || o.Error != "" {
		t.Errorf("%+v", o)
	}
}

func TestAServerMaySpeakFirst(t *testing.T) {
	r := rawRig(t, allow, func(c net.Conn) {
		io.WriteString(c, "220 hello\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, "250 "+line)
	})
	c := r.dial("raw.example:7")
	br := bufio.NewReader(c)
	if s, err := br.ReadString('\n'); s != "220 hello\r\n" {
		t.Fatal(s, err)
	}
	io.WriteString(c, "EHLO me\r\n")
	if s, err := br.ReadString('\n'); s != "250 EHLO me\r\n" {
		t.Fatal(s, err)
	}
	c.Close()
	r.log.wait(t, 1)
}

func TestWaitingIsNoWayAroundInspection(t *testing.T) {
	r := rawRig(t, allow, echo)
	c := r.dial("raw.example:7")
	time.Sleep(100 * time.Millisecond)
	tc := tls.Client(c, &tls.Config{RootCAs: r.roots, ServerName: "raw.example", NextProtos: []string{"http/1.1"}})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(tc, "GET /secret HTTP/1.1\r\nHost: raw.example:7\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(tc), nil); err != nil {
		t.Fatal(err)
	}
	pairs := r.log.wait(t, 2)
	if a, b := pairs[0], pairs[1]; a.decided.Protocol != "tcp" || a.closed.Outcome.Sent != 0 || b.decided.Target != "/secret" {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// both dials with one and carries requests with the other.
type both struct{ raw, http proxy.Upstream }

func (b both) Dial(ctx context.Context, h string, p uint16, g *call.Guard) (net.Conn, netip.Addr, error) {
	return b.raw.Dial(ctx, h, p, g)
}

func (b both) RoundTrip(r *http.Request, g *call.Guard, p forward.Proto) (*http.Response, error) {
	return b.http.RoundTrip(r, g, p)
}

func TestARefusedRawConnectionReachesNobody(t *testing.T) {
	reached := make(chan bool, 1)
	r := rawRig(t, "version: 1\ndefault: block\n", func(net.Conn) { reached <- true })
	c := r.dial("raw.example:7")
	c.Write([]byte{0, 1, 2})
	if b, err := io.ReadAll(c); len(b) > 0 && err == nil {
		t.Errorf("%q", b)
	}
	p := r.log.wait(t, 1)[0]
	if p.decided.Decision.Verdict != call.Block || len(reached) != 0 {
		t.Errorf("%+v", p.decided)
	}
}

func TestHTTPInTheClearInATunnelIsJudged(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "http") }, nil, allow)
	c := r.dial(host + ":80")
	fmt.Fprintf(c, "GET /in HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
	if b, err := io.ReadAll(c); !strings.HasSuffix(string(b), "http") || err != nil {
		t.Errorf("%q %v", b, err)
	}
	if p := r.log.wait(t, 1)[0]; p.decided.Scheme != "http" || p.decided.Target != "/in" {
		t.Errorf("%+v", p.decided)
	}
}

func TestTheHostMustBeThatOfTheTunnel(t *testing.T) {
	for _, tc := range []struct{ name, target, sni, host string }{
		{"Host", host + ":443", host, "other.example"},
		{"port", host + ":443", host, host + ":8443"},
		{"server name", "other.example:443", host, "other.example"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) { t.Error("it arrived") }, nil, allow)
			c := r.dialTLS(tc.target, tc.sni)
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", tc.host)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != 421 {
				t.Fatal(resp, err)
			}
			if p := r.log.wait(t, 1)[0]; p.closed.Outcome.Status != 421 || p.closed.Outcome.Error == "" {
				t.Errorf("%+v", p.closed.Outcome)
			}
		})
	}
}

func TestAClientThatDistrustsUsIsRecordedOnce(t *testing.T) {
	r := newRig(t, nil, nil, allow)
	for range 5 {
		c := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: x509.NewCertPool(), ServerName: host})
		if err := c.Handshake(); err == nil {
			t.Fatal("trusted")
		}
		c.Close()
	}
	time.Sleep(50 * time.Millisecond)
	p := r.log.wait(t, 1)[0]
	if d, o := p.decided, p.closed.Outcome; d.Protocol != "connect" || d.Method != "CONNECT" || d.Target != host+":443" ||
		!strings.Contains(o.Error, "does not trust") || !strings.Contains(o.Error, "ca.pem") {
		t.Errorf("%+v %+v", d, o)
	}
}

// GnuTLS ends the handshake before its user looks at the certificate.
func TestAClientThatDistrustsUsAfterTheHandshakeIsRecordedOnce(t *testing.T) {
	for name, protos := range map[string][]string{"h1": nil, "h2": {"h2"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {}, nil, allow)
			flee := func() {
				c := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: r.roots, ServerName: host, NextProtos: protos})
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
			for range 3 {
				flee()
			}
			p := r.log.wait(t, 1)[0]
			if d, o := p.decided, p.closed.Outcome; d.Protocol != "connect" || !strings.HasPrefix(o.Error, call.Distrusts) || !strings.Contains(o.Error, "it seems") {
				t.Errorf("%+v %+v", d, o)
			}
		})
	}
}

func TestWhoTrustedUsMayFleeAnother(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {}, nil, allow)
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	r.dialTLS(host+":443", host).Close()
	time.Sleep(50 * time.Millisecond)
	if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "http" {
		t.Errorf("%+v", p.decided)
	}
}

func TestTheRecordOfDistrustNamesTheCure(t *testing.T) {
	r := newRig(t, nil, nil, allow)
	r.server.Cure = func(program string) string { return "set THIS for " + program }
	c := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: x509.NewCertPool(), ServerName: host})
	if err := c.Handshake(); err == nil {
		t.Fatal("trusted")
	}
	c.Close()
	if o := r.log.wait(t, 1)[0].closed.Outcome; !strings.Contains(o.Error, "bad certificate") || !strings.Contains(o.Error, "set THIS for ") || !strings.Contains(o.Error, "passthrough") {
		t.Errorf("%+v", o)
	}
}

// The ways of real programs, which differ in what they say before they go.
func TestRealClientsThatDistrustUsAreRecordedOnce(t *testing.T) {
	for _, c := range []struct{ name, line string }{
		{"curl", "curl -sS https://HOST/"},
		{"wget", "wget -q -t2 -O- https://HOST/"},
		{"git", "git ls-remote https://HOST/x"},
		{"python3", "python3 -c 'import urllib.request; urllib.request.urlopen(\"https://HOST/\")'"},
		{"openssl", "echo | openssl s_client -proxy $P -verify_return_error -connect HOST:443"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.name); err != nil {
				t.Skip("not installed")
			}
			r := newRig(t, nil, nil, allow)
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(c.line, "HOST", host))
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "https_proxy=http://" + r.addr, "P=" + r.addr}
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Fatalf("it trusted: %s", out)
			}
			if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "connect" || !strings.HasPrefix(p.closed.Outcome.Error, call.Distrusts) {
				t.Errorf("%+v %+v", p.decided, p.closed.Outcome)
			}
		})
	}
}

func TestATunnelWithoutARequestIsRecorded(t *testing.T) {
	r := newRig(t, nil, nil, allow)
	r.dial(host + ":443").Close()
	if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "connect" || !strings.Contains(p.closed.Outcome.Error, "without a request") {
		t.Errorf("%+v", p)
	}
}

func TestASpareTunnelLeavesNoRecord(t *testing.T) {
	r := newRig(t, nil, nil, allow)
	c := r.dialTLS(host+":443", host) // kept for a while
	time.Sleep(1100 * time.Millisecond)
	c.Close()
	c = r.dialTLS(host+":443", host)
	io.WriteString(c, "rubbish\r\n\r\n")
	if b, _ := io.ReadAll(c); !bytes.HasPrefix(b, []byte("HTTP/1.1 400 ")) {
		t.Errorf("%q", b)
	}
	if p := r.log.wait(t, 1)[0]; !strings.Contains(p.closed.Outcome.Error, "no request") {
		t.Errorf("%+v", p.closed)
	}
}

func TestMalformedRequestsAreAnsweredAndReachNobody(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) { t.Error("it arrived") }, nil, allow)
	for _, tc := range []struct{ send, status string }{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		{"GET / HTTP/1.0\r\n\r\n", "400"},
		{"CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "400"},
		{"CONNECT " + host + ":0 HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "400"},
		{"CONNECT a..b:443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "400"},
		{"GET ftp://" + host + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		{"GET http://u:p@" + host + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		{"GET http://" + host + ":99999/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		{"POST http://" + host + "/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
		{"GET http://" + host + "/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", "431"},
		{"GET http://" + host + "/a#b HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		{"GET http://" + r.addr + "/ HTTP/1.1\r\nHost: " + r.addr + "\r\n\r\n", "508"},
		{"\x16\x03\x01\x00\x05hello\r\n\r\n", "400"},
	} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, tc.send)
		b, _ := io.ReadAll(c)
		if _, rest, _ := bytes.Cut(b, []byte(" ")); !bytes.HasPrefix(rest, []byte(tc.status)) {
			t.Errorf("%.60q: answered %.200q", tc.send, b)
		}
		c.Close()
	}
}

func TestABlockedToolCallIsAnsweredByItsID(t *testing.T) {
	r := newRig(t, nil, nil, "version: 1\ndefault: block\n")
	body := `{"method":"tools/call","params":{"name":"x","arguments":{"a":"` + strings.Repeat("y", 8000) + `"}},"jsonrpc":"2.0","id":17}`
	for _, way := range ways {
		resp, err := r.client(way.h2).Post("https://"+host+"/mcp", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(b), `"id":17`) || !strings.Contains(string(b), `"isError":true`) {
			t.Errorf("%s: %d %s", way.name, resp.StatusCode, b)
		}
	}
}
