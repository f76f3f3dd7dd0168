package forward

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A daemon is a proxy of others as a company may run it, to which api.example
// is this machine.
type daemon struct {
	port, denied uint16 // denied is a port of a server that it lets nobody reach, 0 for none
	url          string // with a login that is right
	wrong        string // with one that is wrong
	anonymous    string // without one
}

// start runs a program in the foreground with a file of hosts, until the test
// ends. Its port answers when start returns.
func start(t *testing.T, port uint16, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	hosts := filepath.Join(daemonDir(t), "hosts")
	write(t, hosts, "127.0.0.1 api.example localhost\n")
	// A mount namespace of its own, so that the program knows the name and
	// nobody else does.
	script := `mount --bind "$1" /etc/hosts || exit 77; shift; exec "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", hosts, path}, args...)...)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	for range 500 {
		select {
		case err := <-ended:
			ended <- err
			said, _ := os.ReadFile(out.Name())
			if e, ok := err.(*exec.ExitError); ok && e.ExitCode() == 77 || strings.Contains(string(said), "unshare") {
				t.Skipf("no mount namespace here: %s", said)
			}
			t.Fatalf("%s: %v\n%s", name, err, said)
		default:
		}
		if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))); err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	said, _ := os.ReadFile(out.Name())
	t.Fatalf("%s does not listen\n%s", name, said)
}

// daemonDir is a folder that a program may read after it gave up being root.
func daemonDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// free returns a port that was free.
func free(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func with(scheme, login string, port uint16) string {
	return fmt.Sprintf("%s://%s127.0.0.1:%d", scheme, login, port)
}

func tinyproxy(t *testing.T, _ *issuer) daemon {
	port := free(t)
	file := filepath.Join(daemonDir(t), "conf")
	write(t, file, fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\nBasicAuth user pass\nViaProxyName \"x\"\n", port))
	start(t, port, "tinyproxy", "-d", "-c", file)
	return daemon{port: port, url: with("http", "user:pass@", port), wrong: with("http", "user:wrong@", port), anonymous: with("http", "", port)}
}

// squid with a login, that serves its clients in clear text or over TLS.
func squid(t *testing.T, scheme string, root *issuer) daemon {
	if _, err := os.Stat("/usr/lib/squid/basic_ncsa_auth"); err != nil {
		t.Skip("squid is not installed")
	}
	port, denied := free(t), free(t)
	dir := daemonDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("users"), "user:$1$abcdefgh$1s0bv7.OjNizlrMAOIQD7.\n") // openssl passwd -1 -salt abcdefgh pass
	write(t, in("hosts"), "127.0.0.1 api.example\n")
	listen := fmt.Sprintf("http_port 127.0.0.1:%d", port)
	if scheme == "https" {
		leaf := issue(t, root, serverFor("proxy.example"))
		key, err := x509.MarshalPKCS8PrivateKey(leaf.key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, in("tls.pem"), string(pemOf(leaf.cert))+string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
		listen = fmt.Sprintf("https_port 127.0.0.1:%d tls-cert=%s tls-key=%s", port, in("tls.pem"), in("tls.pem"))
	}
	write(t, in("conf"), listen+`
pid_filename none
access_log none
cache_log `+in("log")+`
cache deny all
coredump_dir `+dir+`
hosts_file `+in("hosts")+`
shutdown_lifetime 0 seconds
auth_param basic program /usr/lib/squid/basic_ncsa_auth `+in("users")+`
auth_param basic realm x
acl known proxy_auth REQUIRED
acl closed port `+strconv.Itoa(int(denied))+`
http_access deny !known
http_access deny closed
http_access allow known
`)
	write(t, in("log"), "")
	if err := os.Chmod(in("log"), 0o666); err != nil {
		t.Fatal(err)
	}
	start(t, port, "squid", "-N", "-f", in("conf"))
	return daemon{port: port, denied: denied, url: with(scheme, "user:pass@", port), wrong: with(scheme, "user:wrong@", port), anonymous: with(scheme, "", port)}
}

func microsocks(t *testing.T, _ *issuer) daemon {
	port := free(t)
	start(t, port, "microsocks", "-i", "127.0.0.1", "-p", strconv.Itoa(int(port)), "-u", "user", "-P", "pass")
	return daemon{port: port, url: with("socks5h", "user:pass@", port), wrong: with("socks5h", "user:wrong@", port), anonymous: with("socks5h", "", port)}
}

// Dante asks for no login, which a client with one has to accept, too.
func dante(t *testing.T, _ *issuer) daemon {
	port, denied := free(t), free(t)
	file := filepath.Join(daemonDir(t), "conf")
	write(t, file, fmt.Sprintf(`logoutput: stderr
internal: 127.0.0.1 port = %d
external: 127.0.0.1
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
socks block { from: 0.0.0.0/0 to: 0.0.0.0/0 port = %d }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
`, port, denied))
	start(t, port, "danted", "-f", file)
	return daemon{port: port, denied: denied, url: with("socks5h", "user:pass@", port), anonymous: with("socks5h", "", port)}
}

func TestRealProxiesCarryCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("runs proxies")
	}
	root := newRoot(t)
	for _, tt := range []struct {
		name  string
		run   func(*testing.T, *issuer) daemon
		plain bool // takes absolute form
	}{
		{"tinyproxy", tinyproxy, true},
		{"squid", func(t *testing.T, r *issuer) daemon { return squid(t, "http", r) }, true},
		{"squid over TLS", func(t *testing.T, r *issuer) daemon { return squid(t, "https", r) }, true},
		{"microsocks", microsocks, false},
		{"dante", dante, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.run(t, &root)
			s, conns := counting(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Host, r.Header.Get("Proxy-Authorization"), r.Header.Get("Via"))
			}))
			trust := func(o *Options) { o.Roots = []*x509.Certificate{s.root.cert, root.cert} }
			conns.Store(0)
			f := through(t, d.url, trust)
			url := fmt.Sprintf("https://api.example:%d/", s.port)
			for _, proto := range []Proto{H1, H2} {
				for range 3 {
					_, got := get(t, f, proto, request(t, "GET", url, ""))
					if want := fmt.Sprintf("HTTP/%d.%d api.example:%d  ", proto+1, 1-proto, s.port); got != want {
						t.Errorf("the server got %q, want %q", got, want)
					}
				}
			}
			if n := conns.Load(); n != 2 {
				t.Errorf("%d connections for two protocols", n)
			}
			d.refusals(t, s, trust)
			if tt.plain {
				absoluteForm(t, f)
			}
			echo(t, f)
		})
	}
}

// refusals asks for what the proxy does not do.
func (d daemon) refusals(t *testing.T, s *site, trust func(*Options)) {
	t.Helper()
	check := func(what, url, host string, port uint16, types ...string) {
		t.Helper()
		c, _, err := through(t, url, trust).Dial(t.Context(), host, port, nil)
		if err == nil {
			c.Close()
			t.Errorf("%s: connected", what)
			return
		}
		e := Classify(err)
		if !slices.Contains(types, e.Type) || e.Status < 502 || !strings.HasPrefix(e.Detail, "the upstream proxy (--upstream-proxy) ") {
			t.Errorf("%s: %s %d %q (%v)", what, e.Type, e.Status, e.Detail, e.Err)
		}
		t.Logf("%s: %s", what, e.Detail)
	}
	if d.wrong != "" {
		check("a wrong login", d.wrong, "api.example", s.port, "proxy_configuration_error")
		check("no login", d.anonymous, "api.example", s.port, "proxy_configuration_error")
	}
	// Dante and microsocks close or reset some connections instead of answering.
	check("an unknown name", d.url, "nowhere.invalid", 443, "destination_unavailable", "destination_ip_unroutable", "connection_terminated")
	check("a closed port", d.url, "api.example", free(t), "destination_unavailable", "connection_refused", "destination_ip_unroutable", "connection_terminated")
	if d.denied != 0 {
		check("a port that is denied", d.url, "api.example", d.denied, "http_request_denied")
	}
}

// absoluteForm sends a plain request as an HTTP client does that knows of the
// proxy.
func absoluteForm(t *testing.T, f *Forwarder) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %q", r.Host, r.RequestURI, r.Header.Get("Proxy-Authorization"))
	})}
	go srv.Serve(l)
	defer srv.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	c, _, err := f.DialFor(t.Context(), "http", "api.example", port, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := c.(interface{ AbsoluteForm() string })
	fmt.Fprintf(c, "GET http://api.example:%d/a?b HTTP/1.1\r\nHost: api.example:%d\r\nProxy-Authorization: %s\r\n\r\n", port, port, a.AbsoluteForm())
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	want := fmt.Sprintf("api.example:%d /a?b \"\"", port)
	if string(b) != want {
		t.Errorf("absolute form: %d, the server got %q, want %q", resp.StatusCode, b, want)
	}
	for range 3 {
		if _, got := get(t, f, H1, request(t, "GET", fmt.Sprintf("http://api.example:%d/a?b", port), "")); got != want {
			t.Errorf("RoundTrip: the server got %q, want %q", got, want)
		}
	}
}

// echo sends raw bytes both ways.
func echo(t *testing.T, f *Forwarder) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, "220 ")
		io.Copy(c, c)
		c.Close()
	}()
	c, _, err := f.Dial(t.Context(), "api.example", uint16(l.Addr().(*net.TCPAddr).Port), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := strings.Repeat("\x00raw\xff", 100_000)
	go io.WriteString(c, text) // and no half-close, which some proxies take for the end
	got := make([]byte, 4+len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "220 "+text {
		t.Errorf("read %.20q, %v", got, err)
	}
}
