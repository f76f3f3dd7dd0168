package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"outvet/internal/ca"
	"outvet/internal/forward"
	"outvet/internal/listener/proxy"
)

// knownFailures are what h2spec finds fault with in net/http's HTTP/2, and why
// we leave it so.
var knownFailures = map[string]string{
	`http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field`:                     "it is answered by 400, which RFC 9113 §8.1.1 allows, and not sent on",
	`http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`: "the same",
	`http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE`:                                          "a SETTINGS frame that sets a value twice ends the connection",
}

// TestHTTP2Conforms runs h2spec, a conformance suite, against what clients meet
// in a tunnel. What fails and is not known, or is known and does not fail,
// fails the test.
func TestHTTP2Conforms(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("skipped, because it takes seconds and shows no race")
	}
	dir := t.TempDir()
	suite := filepath.Join(dir, "h2spec")
	build := exec.Command("go", "build", "-modfile=tools/go.mod", "-o", suite, "github.com/summerwind/h2spec/cmd/h2spec")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("h2spec cannot be built here: %v\n%s", err, out)
	}
	port := tunnelled(t)
	report := filepath.Join(dir, "report.xml")
	out, err := exec.Command(suite, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-t", "-k", "-S", "-o", "2", "-j", report).CombinedOutput()
	failed, passed := outcome(t, report)
	if passed < 130 {
		t.Fatalf("only %d cases passed: %v\n%s", passed, err, out)
	}
	for name, why := range failed {
		if knownFailures[name] == "" {
			t.Errorf("%s\n%s", name, why)
		}
	}
	for name := range knownFailures {
		if _, ok := failed[name]; !ok {
			t.Errorf("%s does not fail any more", name)
		}
	}
}

// tunnelled starts a proxy and, for programs that know no proxy, a port whose
// connections go through it to a server of that address. It returns the port.
func tunnelled(t *testing.T) int {
	shim, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shim.Close() })
	to := shim.Addr().(*net.TCPAddr)
	a, err := ca.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.Leaf("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "an answer with a body")
	}))
	origin.EnableHTTP2 = true
	origin.TLS = &tls.Config{Certificates: []tls.Certificate{*leaf}}
	origin.StartTLS()
	t.Cleanup(origin.Close)
	up := forward.New(forward.Options{Roots: []*x509.Certificate{a.Certificate()},
		ConnectTo: []forward.ConnectTo{connectTo("127.0.0.1", uint16(to.Port), origin.Listener.Addr())}})
	t.Cleanup(up.Close)
	r := newRig(t, nil, nil, allow, func(s *proxy.Server) { s.Upstream = up })
	go func() {
		for {
			c, err := shim.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				p, err := net.Dial("tcp", r.addr)
				if err != nil {
					return
				}
				defer p.Close()
				io.WriteString(p, "CONNECT "+to.String()+" HTTP/1.1\r\nHost: "+to.String()+"\r\n\r\n")
				if _, err := io.CopyN(io.Discard, p, int64(len("HTTP/1.1 200 Connection established\r\n\r\n"))); err != nil {
					return
				}
				go func() {
					io.Copy(p, c)
					p.(*net.TCPConn).CloseWrite()
				}()
				io.Copy(c, p)
			}()
		}
	}()
	return to.Port
}

// outcome reads a report in JUnit's form: why which cases failed, and how many
// did not.
func outcome(t *testing.T, file string) (failed map[string]string, passed int) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Suites []struct {
			ID    string `xml:"id,attr"`
			Pkg   string `xml:"package,attr"`
			Cases []struct {
				Name    string  `xml:"classname,attr"`
				Failure *string `xml:"failure"`
				Error   *string `xml:"error"`
				Skipped *string `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b, &report); err != nil {
		t.Fatal(err)
	}
	failed = map[string]string{}
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			name := s.Pkg + ": " + c.Name
			switch {
			case c.Failure != nil:
				failed[name] = *c.Failure
			case c.Error != nil:
				failed[name] = *c.Error
			case c.Skipped == nil:
				passed++
			}
		}
	}
	if strings.TrimSpace(string(b)) == "" || passed+len(failed) == 0 {
		t.Fatal("the report is empty")
	}
	return failed, passed
}
