package operate

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secret is what must not be in a log: text of agents and of servers.
const secret = "Zq7payloadZq7"

// TestLogHoldsNoPayload makes outvet log all it can: calls that pass, that are
// refused, that fail, and requests that nobody understands.
func TestLogHoldsNoPayload(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		state := filepath.Join(t.TempDir(), "state")
		o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/broken" {
				c, _, _ := w.(http.Hijacker).Hijack()
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", secret)
				c.Close()
				return
			}
			w.Header().Set("X-Secret", secret)
			fmt.Fprint(w, secret)
		})
		s := start{state: state, args: append(o.args(), "--log-format", format, "--log-level", "debug")}.serve(t)
		c := client(t, s.Proxy, state)
		for _, path := range []string{"/" + secret, "/?q=" + secret, "/broken?" + secret} {
			for _, scheme := range []string{"http", "https"} {
				req, _ := http.NewRequest("POST", scheme+"://example.com"+path, strings.NewReader(`{"a":"`+secret+`"}`))
				req.Header.Set("Authorization", "Bearer "+secret)
				req.Header.Set("Content-Type", "application/json")
				if res, err := c.Do(req); err == nil {
					res.Body.Close()
				}
			}
		}
		c.Get("https://nowhere.invalid:1/" + secret)
		for _, wire := range []string{
			"GET http://example.com/" + secret + " HTTP/9.9\r\n\r\n",
			secret + "\r\n\r\n",
			"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n" + secret + "\r\n\r\n",
			"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n",
			"POST http://example.com/ HTTP/1.1\r\nHost: example.com\r\nContent-Length: " + secret + "\r\n\r\n",
			"CONNECT " + secret + ".invalid HTTP/1.1\r\n\r\n",
			"CONNECT example.com:443 HTTP/1.1\r\n\r\n" + secret,
			"CONNECT example.com:443 HTTP/1.1\r\n\r\nGET /" + secret + " HTTP/1.1\r\n" + secret + "\r\n\r\n",
		} {
			send(t, s.Proxy, wire)
		}
		distrust(t, s.Proxy)
		send(t, s.Console, "POST /v1/check HTTP/1.1\r\nHost: "+secret+"\r\nContent-Length: 3\r\n\r\n"+secret)
		s.signal(t, syscall.SIGTERM, 20*time.Second)
		log := s.Errs.String()
		if strings.Contains(log, secret) {
			t.Errorf("%s:\n%s", format, log)
		}
		if !strings.Contains(log, "policy in force") || !strings.Contains(log, "draining") || !strings.Contains(log, "does not trust") {
			t.Errorf("%s: too little was logged:\n%s", format, log)
		}
		if format == "json" {
			eachIsJSON(t, log)
		}
		verified(t, state)
	}
}

// send writes wire to addr and reads what comes until it ends.
func send(t *testing.T, addr, wire string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	fmt.Fprint(c, wire)
	c.(*net.TCPConn).CloseWrite()
	bufio.NewReader(c).WriteTo(discard{})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// distrust makes a TLS client that refuses our certificate.
func distrust(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "CONNECT example.com:443 HTTP/1.1\r\nUser-Agent: curl/8\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatal(line, err)
	}
	if err := tls.Client(c, &tls.Config{ServerName: "example.com"}).Handshake(); err == nil {
		t.Error("our certificate is trusted by the system")
	}
}

func eachIsJSON(t *testing.T, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var v struct {
			Time, Level, Msg string
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Msg == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestWrongLogFlagsAreToldAtOnce(t *testing.T) {
	for flag, value := range map[string]string{"--log-format": "xml", "--log-level": "loud"} {
		out, code := outvet(t, "serve", "--state", t.TempDir(), flag, value)
		if code != 2 || !strings.Contains(out, value) || !strings.Contains(out, flag) {
			t.Errorf("%d %s", code, out)
		}
	}
}
