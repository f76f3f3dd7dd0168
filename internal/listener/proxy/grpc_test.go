package proxy_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"outvet/internal/ca"
	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

// python returns a Python that has gRPC.
func python(t *testing.T) string {
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import grpc").Run() == nil {
			return p
		}
	}
	t.Skip("no Python with grpcio on this machine")
	return ""
}

// pyServer starts testdata/grpc/server.py. It returns what makes a rig use it
// and the file in which it writes down what it receives.
func pyServer(t *testing.T, python string) (func(*proxy.Server), string) {
	t.Helper()
	dir := t.TempDir()
	a, err := ca.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.Leaf(host)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, c := range leaf.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	cert, keyFile, log := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "log")
	os.WriteFile(cert, chain, 0o600)
	os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
	cmd := exec.Command(python, "testdata/grpc/server.py", cert, keyFile, log)
	cmd.Stderr = os.Stderr
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
	})
	var secure, clear int
	if _, err := fmt.Fscan(out, &secure, &clear); err != nil {
		t.Fatal("the server did not start")
	}
	at := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	up := forward.New(forward.Options{Roots: []*x509.Certificate{a.Certificate()},
		ConnectTo: []forward.ConnectTo{connectTo(host, 443, at(secure)), connectTo(host, 80, at(clear))}})
	t.Cleanup(up.Close)
	return func(s *proxy.Server) { s.Upstream = up }, log
}

// TestGRPCPassesBothWays has the C core of gRPC on both sides.
func TestGRPCPassesBothWays(t *testing.T) {
	py := python(t)
	t.Run("tls", func(t *testing.T) { passGRPC(t, py, true) })
	t.Run("in the clear", func(t *testing.T) { passGRPC(t, py, false) })
}

func passGRPC(t *testing.T, py string, secure bool) {
	use, log := pyServer(t, py)
	r := newRig(t, nil, nil, noSecrets, use)
	trusted := r.ca
	if !secure {
		trusted = ""
	}
	cmd := exec.Command(py, "testdata/grpc/client.py", trusted, host, token)
	cmd.Env = append(os.Environ(), "https_proxy=http://"+r.addr, "http_proxy=http://"+r.addr, "no_proxy=", "GRPC_VERBOSITY=none")
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, got)
	}
	lines := strings.Split(strings.TrimSpace(string(got)), "\n")
	const blocked = " PERMISSION_DENIED Blocked by egress policy"
	want := []string{
		"unary b'got 5'",
		`metadata (b'\x00\x01\xfe', 'x', b'\x00\xff\x01')`,
		"status FAILED_PRECONDITION no, because of ü",
		"unknown UNIMPLEMENTED",
		"down [b'0', b'1', b'2', b'3', b'4']",
		"up b'3'",
		"large b'got 3145728'",
		"gzip b'got 100000'",
		"secret" + blocked,
		"secret in gzip" + blocked,
		"secret in a stream" + blocked,
		"midst b'got one'", "midst b'got two'", "midst" + blocked,
		"cancel b'got stall'", "cancel CANCELLED",
		"deadline b'got stall'", "deadline DEADLINE_EXCEEDED",
		"many 20000",
		"alive b'got 10'",
	}
	for i, w := range want {
		if i >= len(lines) || !strings.HasPrefix(lines[i], w) {
			t.Fatalf("line %d is not %q:\n%s", i+1, w, got)
		}
	}
	heard, err := os.ReadFile(log)
	if err != nil || strings.Contains(string(heard), token) || !strings.Contains(string(heard), "talk b'two'") {
		t.Errorf("the server heard %s, %v", heard, err)
	}
	if n := strings.Count(string(heard), "over"); n != 3 { // midst, cancel and deadline
		t.Errorf("%d calls were over for the server: %s", n, heard)
	}
	for _, p := range r.log.wait(t, 16) {
		if p.decided.Protocol != "grpc" {
			t.Errorf("%+v", p.decided)
		}
	}
}

func TestAStreamOfGRPCStoppedInItsMidstEndsInATrailer(t *testing.T) {
	use, _ := h2Origin(t, nil, func(s *strm) {
		s.answer("200", false, "content-type", "application/grpc")
		s.send([]byte("begin"), false)
		s.end()
		s.headers(true, "grpc-status", "1") // as servers do that are left
	})
	r := newRig(t, nil, nil, noSecrets, use)
	p := r.h2(t)
	message := func(text string) []byte {
		return append([]byte{0, 0, 0, 0, byte(len(text))}, text...)
	}
	for range 30 {
		s := p.open(request("POST", "/t.S/Talk", "content-type", "application/grpc", "te", "trailers"), false)
		s.send(message("fine"), false)
		s.p.wait("answer", func() bool { return s.got == 5 })
		s.send(message("key "+token), false)
		if body, end := s.end(); body != "begin" || end != "end" || s.field(1, "grpc-status") != "7" || !strings.Contains(s.field(1, "grpc-message"), "Blocked") {
			t.Fatalf("%q %s %v", body, end, s.heads)
		}
	}
	for _, pr := range r.log.wait(t, 30) {
		if o := pr.closed.Outcome; !o.Aborted || o.Sent > 9 { // nothing of the second message
			t.Errorf("%+v", o)
		}
	}
}
