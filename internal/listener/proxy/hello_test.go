package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"outvet/call"
)

// echConfig returns a list of one ECH configuration with a fresh key (RFC 9849).
func echConfig(t testing.TB, public string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := append([]byte{7, 0, 32, 0, 32}, key.PublicKey().Bytes()...) // identifier, X25519
	c = append(c, 0, 4, 0, 1, 0, 1, 32, byte(len(public)))           // HKDF-SHA256, AES-128-GCM
	c = append(append(c, public...), 0, 0)
	c = append([]byte{0xfe, 0x0d, 0, byte(len(c))}, c...)
	return append([]byte{0, byte(len(c))}, c...)
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get makes one request in TLS that stands.
func get(c net.Conn, to string) (*http.Response, error) {
	fmt.Fprintf(c, "GET /ok HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", to)
	return http.ReadResponse(bufio.NewReader(c), nil)
}

func TestAMadeUpEncryptedHelloChangesNothing(t *testing.T) {
	// The name outside is that of the tunnel, as with GREASE. A client of
	// crypto/tls gives up then; one that made its ECH up goes on.
	r := newRig(t, ok, nil, allow)
	c := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: r.roots, ServerName: "hidden.example", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: echConfig(t, host)})
	if err := c.Handshake(); err == nil || !strings.Contains(err.Error(), "ECH") {
		t.Errorf("%v", err)
	}
	c.Close()
	cl := &stepwise{Conn: r.dial(host + ":443"), grease: true, t: t}
	tc := tls.Client(cl, &tls.Config{RootCAs: r.roots, ServerName: host, MaxVersion: tls.VersionTLS12})
	if err := tc.Handshake(); err == nil { // the transcripts differ: only the answer to the hello counts
		t.Error("the hello was not changed")
	}
	if !cl.answered {
		t.Error("a hello with a made-up ECH was not answered")
	}
	r.log.wait(t, 1)
}

// A stepwise is a connection that sends in small steps. With grease it adds an
// ECH extension to the hello.
type stepwise struct {
	net.Conn
	t        *testing.T
	step     int
	grease   bool
	answered bool
}

func (c *stepwise) Write(b []byte) (int, error) {
	send := b
	if c.grease {
		c.grease = false
		send = withExtension(b, "\xfe\x0d\x00\xba\x00\x00\x01\x00\x01\x07\x00\x20"+strings.Repeat("k", 32)+"\x00\x90"+strings.Repeat("p", 144))
	}
	for len(send) > 0 && c.step > 0 {
		n := min(c.step, len(send))
		if _, err := c.Conn.Write(send[:n]); err != nil {
			return 0, err
		}
		send = send[n:]
		time.Sleep(100 * time.Microsecond)
	}
	_, err := c.Conn.Write(send)
	return len(b), err
}

func (c *stepwise) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.answered = c.answered || n > 0 && b[0] == 0x16
	return n, err
}

// withExtension adds an extension at the end of a hello that is one record.
func withExtension(hello []byte, ext string) []byte {
	b := bytes.Clone(hello)
	at := 5 + 4 + 2 + 32
	at += 1 + int(b[at])
	at += 2 + int(b[at])<<8 + int(b[at+1])
	at += 1 + int(b[at])
	more := func(i, n int) {
		v := int(b[i])<<8 + int(b[i+1]) + n
		b[i], b[i+1] = byte(v>>8), byte(v)
	}
	more(at, len(ext))
	more(3, len(ext))
	more(7, len(ext))
	return append(b, ext...)
}

func TestAHiddenNameIsRecorded(t *testing.T) {
	r := newRig(t, ok, nil, allow)
	c := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: r.roots, ServerName: host, MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: echConfig(t, "public.example")})
	if err := c.Handshake(); err == nil || !strings.Contains(err.Error(), "ECH") {
		t.Errorf("%v", err)
	}
	c.Close()
	if p := r.log.wait(t, 1)[0]; p.decided.Host != host || !strings.Contains(p.closed.Outcome.Error, "ECH") {
		t.Errorf("%+v %+v", p.decided, p.closed.Outcome)
	}
}

// TestOddHellos sends hellos of clients that cannot be served, or only with
// care, and reads what the record says of them.
func TestOddHellos(t *testing.T) {
	openssl := program(t, "openssl")
	for _, tc := range []struct {
		name, args, target, told string // told in the record; "" for a request that is answered
	}{
		{"TLS 1.0", "-tls1 -cipher ALL:@SECLEVEL=0 -servername " + host, host, "TLS 1.2 or newer"},
		{"TLS 1.1", "-tls1_1 -cipher ALL:@SECLEVEL=0 -servername " + host, host, "TLS 1.2 or newer"},
		{"TLS 1.2", "-tls1_2 -servername " + host, host, ""},
		{"no name", "-noservername", host, ""},
		{"capitals", "-servername " + strings.ToUpper(host), host, ""},
		{"a dot at the end", "-servername " + host + ".", host, "ends in a dot"},
		{"an address as name", "-servername 192.0.2.7", "192.0.2.7", ""},
		{"an address without a name", "-noservername", "192.0.2.7", ""},
		{"acme-tls/1", "-alpn acme-tls/1 -servername " + host, host, "another protocol in TLS than HTTP"},
		{"h2c", "-alpn h2c -servername " + host, host, "tls: passthrough"},
		{"http/1.0", "-alpn http/1.0 -servername " + host, host, ""},
		{"http/1.0 and 1.1", "-alpn http/1.0,http/1.1 -servername " + host, host, ""},
		{"what nobody knows, and http/1.1", "-alpn odd,http/1.1 -servername " + host, host, ""},
		{"small records", "-max_send_frag 512 -split_send_frag 512 -servername " + host, host, ""},
		{"a cipher that nobody should use", "-tls1_2 -cipher AES128-GCM-SHA256:@SECLEVEL=0 -servername " + host, host, "no TLS cipher suite"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, ok, nil, "version: 1\ndefault: block\n")
			cmd := exec.CommandContext(t.Context(), openssl, append([]string{"s_client", "-ign_eof", "-proxy", r.addr, "-connect", tc.target + ":443", "-CAfile", r.ca}, strings.Fields(tc.args)...)...)
			cmd.Stdin = strings.NewReader("GET /ok HTTP/1.1\r\nHost: " + tc.target + "\r\nConnection: close\r\n\r\n")
			cmd.WaitDelay = 10 * time.Second
			out, _ := cmd.CombinedOutput()
			p := r.log.wait(t, 1)[0]
			if tc.told == "" {
				if p.decided.Target != "/ok" || !strings.Contains(string(out), "HTTP/1.1 403 ") && !strings.Contains(string(out), "HTTP/1.0 403 ") {
					t.Errorf("%+v\n%s", p.decided, out)
				}
				return
			}
			if p.decided.Protocol != "connect" || p.decided.Host != tc.target || !strings.Contains(p.closed.Outcome.Error, tc.told) {
				t.Errorf("%+v\n%s", p.closed.Outcome, out)
			}
			if !strings.Contains(string(out), "alert") {
				t.Errorf("the client was told nothing:\n%s", out)
			}
		})
	}
}

// raws are hellos that no client of today sends.
func TestBrokenHellos(t *testing.T) {
	words := firstWords(t, host)
	twice := withExtension(words, "\xff\x01\x00\x01\x00\xff\x01\x00\x01\x00")
	for _, tc := range []struct{ name, send, answer, told string }{
		{"SSL 2", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("x", 37), "\x15\x03\x01\x00\x02\x02\x46", "TLS 1.2 or newer"},
		{"SSL 2 that offers TLS", "\x80\x2e\x01\x03\x03\x00\x15\x00\x00\x00\x10" + strings.Repeat("x", 37), "\x15\x03\x01\x00\x02\x02\x46", "TLS 1.2 or newer"},
		{"closed within", string(words[:100]), "", "within its first TLS message"},
		{"closed after a byte", "\x16", "", "within its first TLS message"},
		{"two names", string(twoNames(words)), "\x15\x03", "malformed"},
		{"an extension twice", string(twice), "\x15\x03", "given twice"},
		{"no handshake", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", "\x15\x03", "malformed"},
		{"longer than anything", "\x16\x03\x01\x00\x04\x01\x7f\xff\xff", "\x15\x03", "malformed"},
		{"HTTP after a record type", "\x16GET / HTTP/1.1\r\n\r\n", "", "malformed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, ok, nil, allow)
			c := r.dial(host + ":443")
			io.WriteString(c, tc.send)
			c.(*net.TCPConn).CloseWrite()
			if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), tc.answer) {
				t.Errorf("answered %q", b)
			}
			if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "connect" || !strings.Contains(p.closed.Outcome.Error, tc.told) {
				t.Errorf("%+v", p.closed.Outcome)
			}
		})
	}
}

// twoNames puts a second name into the server name of a hello.
func twoNames(hello []byte) []byte {
	b := bytes.Clone(hello)
	at := bytes.Index(b, []byte(host)) - 9 // kind, length, length of the list, kind of name, length
	add := []byte("\x00\x00\x07b.other")
	i := at + 9 + len(host)
	b = append(b[:i:i], append(add, b[i:]...)...)
	more := func(i int) { v := int(b[i])<<8 + int(b[i+1]) + len(add); b[i], b[i+1] = byte(v>>8), byte(v) }
	more(at + 2)
	more(at + 4)
	more(3)
	more(7)
	list := 5 + 4 + 2 + 32
	list += 1 + int(b[list])
	list += 2 + int(b[list])<<8 + int(b[list+1])
	list += 1 + int(b[list])
	more(list)
	return b
}

func TestAHelloInAnyPiecesIsRead(t *testing.T) {
	many := make([]string, 500) // more than a record holds
	for i := range many {
		many[i] = strings.Repeat("p", 60) + strconv.Itoa(i)
	}
	for name, c := range map[string]struct {
		step   int
		protos []string
	}{"byte by byte": {1, nil}, "in pieces": {700, []string{"http/1.1"}}, "more than a record": {9000, append(many, "http/1.1")}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ok, nil, allow)
			tc := tls.Client(&stepwise{Conn: r.dial(host + ":443"), t: t, step: c.step}, &tls.Config{RootCAs: r.roots, ServerName: host, NextProtos: c.protos})
			if err := tc.Handshake(); err != nil {
				t.Fatal(err)
			}
			if resp, err := get(tc, host); err != nil || resp.StatusCode != 200 {
				t.Error(resp, err)
			}
			r.log.wait(t, 1)
		})
	}
}

// TestEarlyDataIsRefusedWithAReason lets a client keep a session of the server
// itself, and then come by the proxy with data before the handshake.
func TestEarlyDataIsRefusedWithAReason(t *testing.T) {
	openssl := program(t, "openssl")
	r := newRig(t, ok, nil, allow)
	dir := t.TempDir()
	cert, key, saved, early := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem"), filepath.Join(dir, "s.pem"), filepath.Join(dir, "early")
	if out, err := exec.Command(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN="+host, "-days", "2").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	if err := os.WriteFile(early, []byte("GET /early HTTP/1.1\r\nHost: "+host+"\r\n\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(int(netip.MustParseAddrPort(l.Addr().String()).Port()))
	l.Close()
	server := exec.CommandContext(t.Context(), openssl, "s_server", "-accept", port, "-cert", cert, "-key", key, "-early_data", "-quiet", "-tls1_3")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		client := exec.Command(openssl, "s_client", "-connect", "127.0.0.1:"+port, "-servername", host, "-sess_out", saved, "-ign_eof")
		in, err := client.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // for the ticket
		in.Close()
		client.Process.Kill()
		client.Wait()
		if _, err := os.Stat(saved); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Skip("openssl saved no session")
		}
	}
	client := exec.CommandContext(t.Context(), openssl, "s_client", "-proxy", r.addr, "-connect", host+":443", "-servername", host, "-sess_in", saved, "-early_data", early)
	client.WaitDelay = 10 * time.Second
	out, _ := client.CombinedOutput()
	if p := r.log.wait(t, 1)[0]; !strings.Contains(p.closed.Outcome.Error, "0-RTT") {
		t.Errorf("%+v\n%s", p.closed.Outcome, out)
	}
}

func TestAbsoluteFormInATunnelStaysInIt(t *testing.T) {
	r := newRig(t, func(http.ResponseWriter, *http.Request) { t.Error("it arrived") }, nil, allow)
	c := r.dialTLS(host+":443", host)
	fmt.Fprintf(c, "GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 421 {
		t.Error(resp, err)
	}
	r.log.wait(t, 1)
}

// TestHTTPInTheClearToAPortOfTLSIsNotTakenForHTTPS: its scheme is http, its port
// the tunnel's.
func TestHTTPInTheClearToAPortOfTLSIsNotTakenForHTTPS(t *testing.T) {
	const only = "version: 1\ndefault: block\nrules: [{name: https, to: " + host + ", scheme: https, verdict: allow}]\n"
	r := newRig(t, func(http.ResponseWriter, *http.Request) { t.Error("it arrived") }, nil, only)
	for i, tc := range []struct {
		host   string
		status int
	}{{host, 421}, {host + ":443", 403}} {
		c := r.dial(host + ":443")
		resp, err := get(c, tc.host)
		if err != nil || resp.StatusCode != tc.status {
			t.Error(resp, err)
		}
		if p := r.log.wait(t, i+1)[i]; p.decided.Scheme != "http" || p.closed.Outcome.Address != "" {
			t.Errorf("%+v", p.decided)
		}
	}
}

func TestSOCKSInATunnelIsARawConnection(t *testing.T) {
	r := rawRig(t, "version: 1\ndefault: block\n", echo)
	c := r.dial("raw.example:7")
	c.Write([]byte(noAuth))
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("%q", b)
	}
	if p := r.log.wait(t, 1)[0]; p.decided.Protocol != "tcp" || p.decided.Decision.Verdict != call.Block {
		t.Errorf("%+v", p.decided)
	}
}
