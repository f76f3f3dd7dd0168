package proxy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/ca"
	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

const (
	// pinned is a policy that lets TLS to the hosts of a rig pass unread, and
	// nothing else.
	pinned = "version: 1\ndefault: block\ninclude: preset:core\nrules:\n  - {name: pins, to: [" + host + ", raw.example], tls: passthrough, verdict: allow}\n"
	// read lets requests to them pass, read.
	read = "  - {name: reads, to: [" + host + ", raw.example], verdict: allow}\n"
)

// theirs returns the authority of an origin that a pinned client trusts alone.
func (r *rig) theirs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(r.upstreamRoot)
	return pool
}

func TestPinnedClientsPassUnread(t *testing.T) {
	for _, way := range ways {
		var got *http.Request
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) { got = r; io.WriteString(w, "theirs") }, nil, pinned)
		c := r.client(way.h2)
		c.Transport.(*http.Transport).TLSClientConfig.RootCAs = r.theirs()
		resp, err := c.Post("https://"+host+"/a/secret/path", "text/plain", strings.NewReader("AKIA"+"Z2XQ7LMN4RTP6VWY"))
		if err != nil {
			t.Fatal(way.name, err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != "theirs" || got.URL.Path != "/a/secret/path" || (got.ProtoMajor == 2) != way.h2 {
			t.Errorf("%s: %q, %+v", way.name, b, got)
		}
		c.CloseIdleConnections()
		p := r.log.wait(t, 1)[0]
		d, o := p.decided, p.closed.Outcome
		if d.Protocol != "tls" || d.Scheme != "tls" || d.Method != "connect" || d.Target != host+":443" || d.Grade != call.Unread || d.Size != -1 ||
			d.Decision.Rule != "pins" || len(d.Decision.Uninspected) != 1 || d.Listener != "proxy" {
			t.Errorf("%s: %+v", way.name, d)
		}
		if o.Sent < 500 || o.Received < 500 || o.Address == "" || o.Error != "" || o.Commit != "" || p.closed.Decision != nil {
			t.Errorf("%s: %+v", way.name, o)
		}
	}
}

func TestClientCertificatesReachTheServer(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}, nil, pinned)
	a, err := ca.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.Leaf("client.example")
	if err != nil {
		t.Fatal(err)
	}
	r.origin.TLS.ClientAuth = tls.RequireAnyClientCert
	curl := program(t, "curl")
	dir := t.TempDir()
	cert, key, roots := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem"), filepath.Join(dir, "r.pem")
	writePEM(t, cert, "CERTIFICATE", leaf.Certificate[0])
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, key, "PRIVATE KEY", der)
	writePEM(t, roots, "CERTIFICATE", r.upstreamRoot.Raw)
	for _, by := range []string{"http://", "socks5h://"} {
		r.expect(r.run(curl, "-sSv", "-x", by+"otter:x@"+r.addr, "--cacert", roots, "--cert", cert, "--key", key, "https://"+host+"/"), "client.example")
	}
	for _, p := range r.log.wait(t, 2) {
		if p.decided.Protocol != "tls" || p.decided.Caller.Session != "otter" {
			t.Errorf("%+v", p.decided)
		}
	}
}

// blind is a rig with a server at raw.example:7 that gets every byte.
func blind(t *testing.T, text string, serve func(net.Conn)) *rig { return rawRig(t, text, serve) }

// firstWords returns the ClientHello of a client for name.
func firstWords(t testing.TB, name string) []byte {
	a, b := net.Pipe()
	go tls.Client(a, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	buf := make([]byte, 8<<10)
	b.SetDeadline(time.Now().Add(5 * time.Second))
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	return buf[:n]
}

func TestUnreadBytesPassExactlyAndHalfClosed(t *testing.T) {
	const size = 3 << 20
	back := make([]byte, size)
	rand.Read(back)
	got := make(chan [32]byte, 1)
	r := blind(t, pinned, func(c net.Conn) {
		b, _ := io.ReadAll(c) // until the client's end
		got <- sha256.Sum256(b)
		c.Write(back)
	})
	c := r.dial("raw.example:7")
	sent := append(firstWords(t, "raw.example"), make([]byte, size)...)
	rand.Read(sent[len(sent)-size:])
	for i := range 100 { // byte by byte, then in pieces
		c.Write(sent[i : i+1])
	}
	c.Write(sent[100:])
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(b, back) {
		t.Errorf("%d bytes came back of %d, %v", len(b), size, err)
	}
	if <-got != sha256.Sum256(sent) {
		t.Error("other bytes arrived than were sent")
	}
	if o := r.log.wait(t, 1)[0].closed.Outcome; o.Sent != int64(len(sent)) || o.Received != size || o.Error != "" {
		t.Errorf("%+v", o)
	}
}

func TestTheServerMayEndFirst(t *testing.T) {
	got := make(chan string, 1)
	r := blind(t, pinned, func(c net.Conn) {
		io.CopyN(io.Discard, c, 100)
		io.WriteString(c, "bye")
		c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	})
	c := r.dial("raw.example:7")
	words := firstWords(t, "raw.example")
	c.Write(words)
	if b, err := io.ReadAll(c); string(b) != "bye" || err != nil {
		t.Fatal(b, err)
	}
	io.WriteString(c, "and more")
	c.(*net.TCPConn).CloseWrite()
	if s := <-got; !strings.HasSuffix(s, "and more") {
		t.Errorf("%q", s)
	}
	if o := r.log.wait(t, 1)[0].closed.Outcome; o.Sent != int64(len(words))+8 || o.Received != 3 || o.Error != "" {
		t.Errorf("%+v", o)
	}
}

// TestWhatDoesNotPassIsIntercepted gives hellos that may not pass unread.
func TestWhatDoesNotPassIsIntercepted(t *testing.T) {
	for _, tc := range []struct{ name, target, sni, told string }{
		{"another name", host + ":443", "other.example", "is not the host"},
		{"no name", host + ":443", "", "the client names no server"},
		{"a name below", host + ":443", "a." + host, "is not the host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reached := false
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) { reached = true }, nil, pinned)
			c := tls.Client(r.dial(tc.target), &tls.Config{RootCAs: r.theirs(), ServerName: tc.sni, InsecureSkipVerify: tc.sni == "",
				VerifyConnection: func(s tls.ConnectionState) error {
					_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: r.theirs(), DNSName: host})
					return err
				}})
			if err := c.Handshake(); err == nil {
				t.Error("the client trusts who answered")
			}
			c.Close()
			p := r.log.wait(t, 1)[0]
			if d := p.decided; reached || d.Protocol != "connect" || !strings.Contains(p.closed.Outcome.Error, tc.told) || !strings.Contains(p.closed.Outcome.Error, "did not pass unread") {
				t.Errorf("%+v %+v", d, p.closed.Outcome)
			}
		})
	}
}

func TestRequestsToANamedHostAreReadWhereTheyDoNotPass(t *testing.T) {
	r := newRig(t, ok, nil, pinned+"  - {name: no deletes, to: "+host+", method: DELETE, verdict: block}\n"+read)
	resp, err := r.client(false).Get("https://" + host + "/ok") // a client that trusts us
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "http" || p.decided.Decision.Rule != "reads" || p.decided.Grade != call.Cooperative {
		t.Errorf("%+v", p.decided)
	}
}

func TestNamesAreComparedInAnySpelling(t *testing.T) {
	for _, tc := range []struct{ target, name string }{{"RAW.example:7", "raw.example"}, {"raw.example.:7", "RAW.Example"}} {
		r := blind(t, pinned, echo)
		c := r.dial(tc.target)
		words := firstWords(t, tc.name)
		c.Write(words)
		c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(c); !bytes.Equal(b, words) || err != nil {
			t.Errorf("%s as %s: %d bytes, %v", tc.target, tc.name, len(b), err)
		}
		r.log.wait(t, 1)
	}
}

func TestAddressesPassWithoutAName(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			io.Copy(c, c)
		}
	}()
	const to = "version: 1\ndefault: block\nrules:\n  - {name: pins, to: {cidrs: [127.0.0.0/8]}, tls: passthrough, verdict: allow}\n"
	r := newRig(t, ok, nil, to)
	c := r.dial(l.Addr().String())
	words := firstWords(t, "127.0.0.1") // crypto/tls sends no name for it
	c.Write(words)
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); !bytes.Equal(b, words) || err != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "tls" || p.closed.Outcome.Address != l.Addr().String() {
		t.Errorf("%+v", p)
	}
}

// accessDenied is the alert by which a client is told what it can be told.
const accessDenied = "\x15\x03\x01\x00\x02\x02\x31"

func TestTheGuardJudgesWhereUnreadTLSLeads(t *testing.T) {
	up := forward.New(forward.Options{})
	t.Cleanup(up.Close)
	r := newRig(t, ok, nil, strings.Replace(pinned, "raw.example", "127.0.0.1", 1), func(s *proxy.Server) { s.Upstream = up })
	c := r.dial("127.0.0.1:1")
	c.Write(firstWords(t, "127.0.0.1"))
	if b, _ := io.ReadAll(c); string(b) != accessDenied {
		t.Errorf("%q", b)
	}
	p := r.log.wait(t, 1)[0]
	if d := p.closed.Decision; d == nil || d.Verdict != call.Block || d.Rule != call.RuleAddress || p.closed.Outcome.Address != "" {
		t.Errorf("%+v %+v", p.closed.Decision, p.closed.Outcome)
	}
}

func TestAQuarantinedSessionPassesNothing(t *testing.T) {
	reached := make(chan bool, 1)
	r := blind(t, pinned, func(net.Conn) { reached <- true })
	if err := r.gate.Quarantine("127.0.0.1", "test", "because"); err != nil {
		t.Fatal(err)
	}
	c := r.dial("raw.example:7")
	c.Write(firstWords(t, "raw.example"))
	if b, _ := io.ReadAll(c); string(b) != accessDenied {
		t.Errorf("%q", b)
	}
	if p := r.log.wait(t, 1)[0]; p.decided.Decision.Rule != call.RuleQuarantine || len(reached) > 0 {
		t.Errorf("%+v", p.decided)
	}
}

func TestUnreadTLSLivesUnderThePolicy(t *testing.T) {
	for name, stop := range map[string]func(*rig) error{
		"quarantine": func(r *rig) error { return r.gate.Quarantine("127.0.0.1", "test", "because") },
		"policy":     func(r *rig) error { r.install(t, "version: 1\ndefault: allow\n"); return nil },
		"block": func(r *rig) error {
			r.install(t, pinned+"  - {name: b, to: raw.example, verdict: block}\n")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan bool, 1)
			r := blind(t, pinned, func(c net.Conn) { echo(c); ended <- true })
			c := r.dial("raw.example:7")
			words := firstWords(t, "raw.example")
			c.Write(words)
			if _, err := io.ReadFull(c, make([]byte, len(words))); err != nil {
				t.Fatal(err)
			}
			if err := stop(r); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Error("it goes on")
			}
			<-ended
			if o := r.log.wait(t, 1)[0].closed.Outcome; !o.Aborted || o.Error == "" || o.Sent != int64(len(words)) {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestShutdownEndsUnreadTLS(t *testing.T) {
	r := blind(t, pinned, echo)
	c := r.dial("raw.example:7")
	words := firstWords(t, "raw.example")
	c.Write(words)
	io.ReadFull(c, make([]byte, len(words)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.server.Shutdown(ctx)
	if o := r.log.wait(t, 1)[0].closed.Outcome; o.Error != "the proxy was shut down" {
		t.Errorf("%+v", o)
	}
}

func TestUnreadTLSWhoseServerIsDownIsRecorded(t *testing.T) {
	r := newRig(t, ok, nil, pinned)
	r.origin.Close()
	c := r.dial(host + ":443")
	c.Write(firstWords(t, host))
	io.ReadAll(c)
	if p := r.log.wait(t, 1)[0]; p.decided.Decision.Verdict != call.Allow || !strings.Contains(p.closed.Outcome.Error, "refused the connection") {
		t.Errorf("%+v", p.closed.Outcome)
	}
}

func TestAHiddenNameInUnreadTLSIsRecorded(t *testing.T) {
	r := blind(t, pinned, echo)
	c := r.dial("raw.example:7")
	tls.Client(c, &tls.Config{ServerName: "hidden.example", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: echConfig(t, "raw.example")}).Handshake()
	c.Close()
	p := r.log.wait(t, 1)[0]
	if d := p.closed.Decision; d == nil || len(d.Uninspected) != 2 || !strings.Contains(d.Uninspected[1].Reason, "ECH") {
		t.Errorf("%+v", p.closed)
	}
}

func TestALogThatFailsLetsNothingPassUnread(t *testing.T) {
	reached := make(chan bool, 1)
	r := blind(t, pinned, func(net.Conn) { reached <- true })
	r.gate.Log = broken{}
	c := r.dial("raw.example:7")
	c.Write(firstWords(t, "raw.example"))
	if b, _ := io.ReadAll(c); string(b) != accessDenied || len(reached) > 0 {
		t.Errorf("%q", b)
	}
}

// broken is a log that takes nothing.
type broken struct{}

func (broken) Write(*call.Record) error { return os.ErrPermission }

// BenchmarkUnreadConnections makes a new connection each time, without the
// cost of TLS at its ends.
func BenchmarkUnreadConnections(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { echo(c); c.Close() }()
		}
	}()
	up := forward.New(forward.Options{ConnectTo: []forward.ConnectTo{connectTo("raw.example", 7, l.Addr())}})
	b.Cleanup(up.Close)
	r := newRig(b, ok, nil, pinned, func(s *proxy.Server) { s.Upstream = up })
	words := firstWords(b, "raw.example")
	head := []byte("CONNECT raw.example:7 HTTP/1.1\r\nHost: raw.example:7\r\n\r\n")
	buf := make([]byte, 8<<10)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			b.Fatal(err)
		}
		c.Write(head)
		c.Read(buf)
		c.Write(words)
		if _, err := io.ReadFull(c, buf[:len(words)]); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func BenchmarkUnreadTLS(b *testing.B) {
	r := newRig(b, ok, nil, pinned)
	c := r.client(false)
	c.Transport.(*http.Transport).TLSClientConfig.RootCAs = r.theirs()
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Get("https://" + host + "/")
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

func TestAHelloThatIsCutDoesNotPass(t *testing.T) {
	reached := make(chan bool, 1)
	r := blind(t, pinned, func(net.Conn) { reached <- true })
	c := r.dial("raw.example:7")
	c.Write(firstWords(t, "raw.example")[:100])
	c.Close()
	p := r.log.wait(t, 1)[0]
	if e := p.closed.Outcome.Error; p.decided.Protocol != "connect" || len(reached) > 0 || !strings.Contains(e, "within its first TLS message") || !strings.Contains(e, "did not come whole") {
		t.Errorf("%+v", p.closed.Outcome)
	}
}

func TestWhatPolicyRefusesIsToldInsideTLS(t *testing.T) {
	for _, tc := range []struct{ rule, told string }{
		{"{name: b, to: " + host + ", verdict: block, reason: Not today}", "Not today"},
		{"{name: h, to: " + host + ", verdict: hold}", "a person"},
		{"{name: m, to: " + host + ", method: GET, verdict: block, reason: No reading}", "No reading"},
	} {
		r := newRig(t, func(http.ResponseWriter, *http.Request) { t.Error("it arrived") }, nil, pinned+"  - "+tc.rule+"\n")
		resp, err := r.client(true).Get("https://" + host + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode < 400 || !strings.Contains(string(b), tc.told) {
			t.Errorf("%s: %d %s", tc.rule, resp.StatusCode, b)
		}
		if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "http" || p.decided.Decision.Verdict == call.Allow {
			t.Errorf("%s: %+v", tc.rule, p.decided)
		}
	}
}

func TestWhatIsOnlyObservedPassesUnread(t *testing.T) {
	r := blind(t, "version: 1\nmode: observe\nrules:\n  - {name: pins, to: raw.example, tls: passthrough, verdict: allow}\n  - {name: b, to: raw.example, verdict: block}\n", echo)
	c := r.dial("raw.example:7")
	words := firstWords(t, "raw.example")
	c.Write(words)
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); !bytes.Equal(b, words) || err != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if d := r.log.wait(t, 1)[0].decided; d.Protocol != "tls" || !d.Decision.Observed || d.Decision.Rule != "b" || d.Grade != call.Unread {
		t.Errorf("%+v", d)
	}
}
