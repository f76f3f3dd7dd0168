// Package operate runs the real binary as those run it who operate it: under a
// service manager, in a container, with signals, from a shell.
package operate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"outvet/test/process"
)

// binary is where outvet was built.
var binary string

func TestMain(m *testing.M) { os.Exit(process.Main(m, &binary)) }

// An origin is a server that stands for the internet, in TLS and in the clear.
type origin struct {
	tls, plain *httptest.Server
	ca         string // file
}

func newOrigin(t *testing.T, h http.HandlerFunc) *origin {
	t.Helper()
	o := &origin{tls: httptest.NewUnstartedServer(h), plain: httptest.NewServer(h)}
	o.tls.StartTLS()
	t.Cleanup(func() {
		o.tls.CloseClientConnections()
		o.plain.CloseClientConnections()
		o.tls.Close()
		o.plain.Close()
	})
	o.ca = filepath.Join(t.TempDir(), "origin.pem")
	write(t, o.ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.tls.Certificate().Raw})))
	return o
}

// name is one that the origin's certificate has.
const name = "example.com"

// args let outvet find the origin under any name.
func (o *origin) args() []string {
	return []string{"--upstream-ca", o.ca, "--connect-to", ":443:" + o.tls.Listener.Addr().String(), "--connect-to", ":80:" + o.plain.Listener.Addr().String()}
}

func ok(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "origin") }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A start is how outvet is started.
type start struct {
	state string
	args  []string
	env   []string
	files []*os.File // from descriptor 3
	attr  *syscall.SysProcAttr
	dir   string
	line  []string // in place of the binary and serve on free ports
}

// A served is a running outvet.
type served struct{ *process.Process }

// begin starts outvet. wait waits until it is ready, or says that it ended.
func (s start) begin(t *testing.T) (o *served, wait func() error) {
	t.Helper()
	line := s.line
	if line == nil {
		line = append([]string{binary}, process.Args(s.state, append([]string{"--policy", policyFile(t)}, s.args...)...)...)
	}
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = process.Environment("/nonexistent", s.env...)
	cmd.ExtraFiles, cmd.SysProcAttr, cmd.Dir = s.files, s.attr, s.dir
	p, err := process.Begin(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &served{p}, func() error { return p.Ready(30 * time.Second) }
}

// serve starts outvet and waits until it is ready.
func (s start) serve(t *testing.T) *served {
	t.Helper()
	o, wait := s.begin(t)
	if err := wait(); err != nil {
		t.Fatalf("%v:\n%s", err, o.Errs)
	}
	return o
}

// policyFile is a policy that lets all pass but secrets.
func policyFile(t *testing.T) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, f, "version: 1\ndefault: allow\nrules:\n  - {name: no secrets out, finding: {kind: \"secret/*\"}, verdict: block}\n")
	return f
}

// signal sends sig and waits for the end, most at most.
func (o *served) signal(t *testing.T, sig syscall.Signal, most time.Duration) {
	t.Helper()
	if err := o.Cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	o.wait(t, most)
}

func (o *served) wait(t *testing.T, most time.Duration) {
	t.Helper()
	select {
	case <-o.Ended:
		if o.Err != nil {
			t.Fatalf("%v:\n%s", o.Err, o.Errs)
		}
	case <-time.After(most):
		t.Fatalf("it did not end within %s:\n%s", most, o.Errs)
	}
}

// client returns one that goes through the proxy at addr, with a connection of
// its own for each request.
func client(t *testing.T, addr, state string) *http.Client {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(state, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b)
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: addr}), DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: pool},
	}}
}

func get(c *http.Client, url string) (string, error) {
	res, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// outvet runs a command and returns what it printed and its exit code.
func outvet(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = []string{"HOME=/nonexistent", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// verified checks the record of state.
func verified(t *testing.T, state string) {
	t.Helper()
	if out, code := outvet(t, "log", "verify", "--state", state); code != 0 || !strings.Contains(out, " 0 open") {
		t.Errorf("log verify: %d %s", code, out)
	}
}

// fileOf returns the socket of l as a service manager passes it.
func fileOf(t *testing.T, l net.Listener) *os.File {
	t.Helper()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
