package hello

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// spoken returns the first bytes that a client of crypto/tls sends.
func spoken(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go tls.Client(a, c).Handshake()
	b.SetDeadline(time.Now().Add(5 * time.Second))
	_, all, err := Read(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(b []byte) (Hello, []byte, error) { return Read(nil, bytes.NewReader(b)) }

// records cuts the message of one record into records of n bytes.
func records(b []byte, n int) []byte {
	var out []byte
	for piece := range slices.Chunk(b[recordHead:], n) {
		out = append(out, 0x16, 3, 1, byte(len(piece)>>8), byte(len(piece)))
		out = append(out, piece...)
	}
	return out
}

func TestAHelloIsReadHoweverItIsCut(t *testing.T) {
	b := spoken(t, &tls.Config{ServerName: "Host.example", NextProtos: []string{"h2", "http/1.1"}})
	want := Hello{Name: "Host.example", Protocols: []string{"h2", "http/1.1"}, Version: TLS13}
	for _, n := range []int{1, 2, 3, 7, 100, 1 << 14} {
		cut := append(records(b, n), "and what follows"...)
		for _, r := range []io.Reader{bytes.NewReader(cut), iotest.OneByteReader(bytes.NewReader(cut)), iotest.DataErrReader(bytes.NewReader(cut)), iotest.HalfReader(bytes.NewReader(cut))} {
			h, took, err := Read(nil, r)
			if err != nil || h.Name != want.Name || !slices.Equal(h.Protocols, want.Protocols) || h.Version != want.Version || h.Encrypted || h.Early {
				t.Fatalf("records of %d bytes: %+v, %v", n, h, err)
			}
			rest, _ := io.ReadAll(r)
			if got := append(took, rest...); !bytes.Equal(got, cut) {
				t.Fatalf("records of %d bytes: %d bytes became %d", n, len(cut), len(got))
			}
		}
	}
	for i := range b {
		h, took, err := Read(b[:i:i], bytes.NewReader(b[i:]))
		if err != nil || h.Name != want.Name || !bytes.Equal(took, b) {
			t.Fatalf("begun with %d bytes: %+v, %v", i, h, err)
		}
		if _, _, err := read(b[:i]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("of %d bytes only %d: %v", len(b), i, err)
		}
	}
}

func TestAnEncryptedHelloIsSeen(t *testing.T) {
	b := spoken(t, &tls.Config{ServerName: "secret.example", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: echConfig(t, "public.example")})
	h, _, err := read(b)
	if err != nil || h.Name != "public.example" || !h.Encrypted {
		t.Errorf("%+v, %v", h, err)
	}
}

// echConfig returns a list of one configuration with a fresh key (RFC 9849).
func echConfig(t testing.TB, public string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := []byte{7, 0, 32, 0, 32} // identifier, X25519
	c = append(c, key.PublicKey().Bytes()...)
	c = append(c, 0, 4, 0, 1, 0, 1, 32, byte(len(public))) // HKDF-SHA256, AES-128-GCM
	c = append(append(c, public...), 0, 0)
	c = append([]byte{0xfe, 0x0d, 0, byte(len(c))}, c...)
	return append([]byte{0, byte(len(c))}, c...)
}

func TestOpenSSLIsRead(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	for _, tc := range []struct {
		args    string
		want    Hello
		refused string
	}{
		{args: "-servername a.example -alpn h2,http/1.1", want: Hello{Name: "a.example", Protocols: []string{"h2", "http/1.1"}, Version: TLS13}},
		{args: "-noservername", want: Hello{Version: TLS13}},
		{args: "-servername a.example. -tls1_2", want: Hello{Name: "a.example.", Version: TLS12}},
		{args: "-servername 127.0.0.1 -tls1_2", want: Hello{Name: "127.0.0.1", Version: TLS12}},
		{args: "-servername A.Example -tls1 -cipher ALL:@SECLEVEL=0", want: Hello{Name: "A.Example", Version: TLS10}},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"s_client", "-connect", l.Addr().String()}, strings.Fields(tc.args)...)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		h, _, err := Read(nil, c)
		c.Close()
		cmd.Wait()
		l.Close()
		if err != nil || h.Name != tc.want.Name || !slices.Equal(h.Protocols, tc.want.Protocols) || h.Version != tc.want.Version {
			t.Errorf("%s: %+v, %v", tc.args, h, err)
		}
	}
}

// made returns a hello with the given extensions, each with its kind and length.
func made(extensions ...string) []byte {
	ext := strings.Join(extensions, "")
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00" + string([]byte{byte(len(ext) >> 8), byte(len(ext))}) + ext
	msg := string([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}) + body
	return append([]byte{0x16, 3, 1, byte(len(msg) >> 8), byte(len(msg))}, msg...)
}

func ext(kind uint16, data string) string {
	return string([]byte{byte(kind >> 8), byte(kind), byte(len(data) >> 8), byte(len(data))}) + data
}

func named(names ...string) string {
	var list string
	for _, n := range names {
		list += "\x00\x00" + string([]byte{byte(len(n))}) + n
	}
	return ext(0, string([]byte{0, byte(len(list))})+list)
}

func TestWhatCanMeanTwoThingsIsMalformed(t *testing.T) {
	if h, _, err := read(made(named("a.example"))); err != nil || h.Name != "a.example" {
		t.Fatalf("%+v, %v", h, err)
	}
	for name, b := range map[string][]byte{
		"two names":              made(named("a.example", "b.example")),
		"two name extensions":    made(named("a.example"), named("a.example")),
		"another kind of name":   made(ext(0, "\x00\x04\x01\x00\x01a")),
		"no name":                made(ext(0, "\x00\x00")),
		"an empty name":          made(named("")),
		"a name with a NUL":      made(named("a.example\x00.b.example")),
		"a name with a space":    made(named("a .example")),
		"a name in UTF-8":        made(named("bücher.example")),
		"a name that is cut":     made(ext(0, "\x00\x0c\x00\x00\x09a.exa")),
		"bytes after the name":   made(ext(0, "\x00\x04\x00\x00\x01ax")),
		"an empty protocol":      made(ext(16, "\x00\x01\x00")),
		"no protocol":            made(ext(16, "\x00\x00")),
		"an odd list of version": made(ext(43, "\x03\x03\x04\x03")),
		"a key that is not last": made(ext(41, ""), named("a.example")),
		"a byte after it":        append(made(named("a.example"))[:4:4], append([]byte{made(named("a.example"))[4] + 1}, append(made(named("a.example"))[5:], 0)...)...),
		"an empty record":        append([]byte{0x16, 3, 1, 0, 0}, made()...),
		"an alert between":       append(records(made(named("a.example")), 20)[:25:25], 0x15, 3, 1, 0, 2, 1, 0),
		"a record of SSL 2":      {0x80, 0x2e, 1, 3, 3},
		"version 4":              append([]byte{0x16, 4, 1}, made()[3:]...),
		"a long record":          {0x16, 3, 1, 0x40, 1},
		"another message":        {0x16, 3, 1, 0, 4, 2, 0, 0, 0},
		"64 KiB":                 {0x16, 3, 1, 0, 4, 1, 1, 0, 0},
	} {
		var m *Malformed
		if h, _, err := read(b); !errors.As(err, &m) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	endless := append(records(append([]byte{0, 0, 0, 0, 0, 1, 0, 0xff, 0xff}, make([]byte, 0xffff)...), 1), make([]byte, 99)...)
	if _, took, err := read(endless); err == nil || len(took) > Max {
		t.Errorf("%d bytes were taken: %v", len(took), err)
	}
}

func TestHellosOfSSL2AreTold(t *testing.T) {
	for b, want := range map[string]bool{
		"\x80\x2e\x01\x03\x03": true, "\x80\x2e\x01\x00\x02": true, "\x80\x2e\x01": true, "\x80\x2e": false,
		"\x80\x2e\x04\x03\x03": false, "\x16\x03\x01": false, "\x80\x2e\x01\x09": false,
	} {
		if SSL2([]byte(b)) != want {
			t.Errorf("%q: %v", b, !want)
		}
	}
}

// taken is a connection that only gives b.
type taken struct {
	net.Conn
	r io.Reader
}

func (c taken) Read(b []byte) (int, error)       { return c.r.Read(b) }
func (c taken) Write(b []byte) (int, error)      { return len(b), nil }
func (c taken) SetDeadline(time.Time) error      { return nil }
func (c taken) SetReadDeadline(time.Time) error  { return nil }
func (c taken) SetWriteDeadline(time.Time) error { return nil }
func (c taken) Close() error                     { return nil }

var errRead = errors.New("read")

// standard returns what crypto/tls reads.
func standard(b []byte) (h Hello, ok bool) {
	c := tls.Server(taken{r: bytes.NewReader(b)}, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		h, ok = Hello{Name: i.ServerName, Protocols: i.SupportedProtos, Encrypted: slices.Contains(i.Extensions, extEncrypted)}, true
		return nil, errRead
	}})
	c.Handshake()
	return h, ok
}

func FuzzReadAgreesWithCryptoTLS(f *testing.F) {
	f.Add(spoken(f, &tls.Config{ServerName: "a.example", NextProtos: []string{"h2", "http/1.1"}}))
	f.Add(records(spoken(f, &tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12}), 50))
	f.Add(spoken(f, &tls.Config{ServerName: "b.example", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: echConfig(f, "p.example")}))
	f.Add(made(named("a.example"), ext(16, "\x00\x03\x02h2"), ext(43, "\x02\x03\x04")))
	f.Add(made(named("a.example", "b.example")))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, took, err := read(b)
		if !bytes.HasPrefix(b, took) || len(took) > Max {
			t.Fatalf("it took %d bytes that are not those of the client", len(took))
		}
		slow, _, slowErr := Read(nil, iotest.OneByteReader(bytes.NewReader(b)))
		if (err == nil) != (slowErr == nil) || slow.Name != h.Name || !slices.Equal(slow.Protocols, h.Protocols) {
			t.Fatalf("read byte by byte it is %+v, %v; else %+v, %v", slow, slowErr, h, err)
		}
		if err != nil {
			return
		}
		if s, ok := standard(b); ok && (s.Name != h.Name || !slices.Equal(s.Protocols, h.Protocols) || s.Encrypted != h.Encrypted) {
			t.Errorf("crypto/tls reads %+v, this package %+v", s, h)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	hello := spoken(b, &tls.Config{ServerName: "host.example", NextProtos: []string{"h2", "http/1.1"}})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Read(hello, nil); err != nil {
			b.Fatal(err)
		}
	}
}
