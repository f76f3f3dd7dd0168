package siege

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	exitLogin = "Basic dXMzcjpodW50ZXIy" // us3r:hunter2
	exitUser  = "us3r:hunter2@"
)

// exit is the proxy of a company: it demands a login, and knows where a name
// leads that nobody else knows.
func exit(t *testing.T, names map[string]string, asked *atomic.Int32) (port string) {
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		asked.Add(1)
		if q.Header.Get("Proxy-Authorization") != exitLogin {
			io.WriteString(c, "HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic realm=\"corp\"\r\nContent-Length: 0\r\n\r\n")
			return
		}
		host := q.Host
		if q.Method != "CONNECT" && !strings.Contains(host, ":") {
			host += ":80"
		}
		up, err := net.Dial("tcp", "127.0.0.1:"+names[host])
		if err != nil || names[host] == "" {
			io.WriteString(c, "HTTP/1.1 503 No\r\nX-Why: inside.corp.example\r\nContent-Length: 0\r\n\r\n")
			return
		}
		defer up.Close()
		if q.Method == "CONNECT" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		} else {
			q.Header.Del("Proxy-Authorization")
			q.Write(up)
		}
		go func() { io.Copy(up, r); up.(*net.TCPConn).CloseWrite() }()
		io.Copy(c, up)
	})
}

func TestServeLeavesThroughTheProxyOfItsEnvironment(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	answer := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Host, r.Header.Get("Proxy-Authorization"))
	}
	secure := a.https(t, http.HandlerFunc(answer))
	plain := listen(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain")
		}
	})
	var asked atomic.Int32
	mail := listen(t, func(c net.Conn) { io.WriteString(c, "220 ready\r\n"); io.Copy(c, c) })
	port := exit(t, map[string]string{"api.invalid:443": secure, "web.invalid:80": plain, "mail.invalid:25": mail}, &asked)
	proxy := "http://" + exitUser + "127.0.0.1:" + port
	// The preset refuses metadata addresses: that must not stop a call whose
	// address only the proxy knows.
	dir := newState(t, `version: 1
default: allow
include: [preset:core]
rules:
  - {name: blocked host, to: blocked.example, verdict: block}
`)
	s, err := tryServe(t, dir, []string{"env", "HTTPS_PROXY=" + proxy, "http_proxy=" + proxy, "NO_PROXY=inside.invalid"}, "--upstream-ca", filepath.Dir(a.file))
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Errs)
	}
	get := func(url string) (int, string) {
		t.Helper()
		tr := s.client()
		defer tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	said := s.Errs
	for url, want := range map[string]string{"https://api.invalid/": "200 api.invalid ", "http://web.invalid/": "200 plain"} {
		if status, body := get(url); fmt.Sprint(status, " ", body) != want {
			t.Errorf("%s: %d %q, want %q", url, status, body, want)
		}
	}
	before := asked.Load()
	if before != 2 {
		t.Errorf("the proxy was asked %d times", before)
	}
	raw, err := connect(s.Proxy, "mail.invalid:25")
	if err != nil {
		t.Fatal(err)
	}
	greeting := make([]byte, 14)
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(raw, greeting[:11]); err != nil {
		t.Errorf("a raw connection: %v", err)
	}
	io.WriteString(raw, "abc")
	if _, err := io.ReadFull(raw, greeting[11:]); err != nil || string(greeting) != "220 ready\r\nabc" {
		t.Errorf("a raw connection: %q, %v", greeting, err)
	}
	raw.Close()
	before++
	status, body := get("https://none.invalid/")
	if status != 502 || !strings.Contains(body, "upstream proxy (HTTPS_PROXY) could not reach the server") || strings.Contains(body, "corp") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get("https://inside.invalid/"); status != 502 || asked.Load() != before+1 {
		t.Errorf("NO_PROXY: %d, the proxy was asked", status)
	}
	for _, url := range []string{"https://blocked.example/", "http://10.0.0.1/", "http://127.0.0.1:" + port + "/"} {
		if status, body := get(url); status != 403 || asked.Load() != before+1 {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
	s.stop()
	if !strings.Contains(said.String(), "upstream proxy") || !strings.Contains(said.String(), "127.0.0.1:"+port) {
		t.Errorf("the log does not say that the environment counts: %s", said)
	}
	if strings.Contains(said.String(), "hunter2") || strings.Contains(body, "hunter2") {
		t.Errorf("the password is told: %s %s", said, body)
	}
	noTrace(t, dir, "hunter2", "dXMzcjpodW50ZXIy")
	through := 0
	found := calls(t, dir, "method:GET")
	maps.Copy(found, calls(t, dir, "proto:tcp"))
	for host, l := range found {
		via := ""
		if l[0].Closed != nil && l[0].Closed.Outcome != nil {
			via = l[0].Closed.Outcome.Via
		}
		want := ""
		if host == "api.invalid" || host == "web.invalid" || host == "mail.invalid" {
			want = "http://127.0.0.1:" + port + " (the name was looked up there)"
		}
		if want != "" {
			through++
		}
		if via != want {
			t.Errorf("%s: the record says via %q, want %q", host, via, want)
		}
	}
	if n := paired(t, dir); n != 8 || through != 3 {
		t.Errorf("%d calls recorded, %d through the proxy", n, through)
	}
}

// Where the policy refuses addresses and nobody here knows that of a name, the
// call does not leave, and says why.
func TestRuleAboutAddressesHoldsBehindAProxy(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	secure := a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") }))
	var asked atomic.Int32
	port := exit(t, map[string]string{"api.invalid:443": secure}, &asked)
	dir := newState(t, `version: 1
default: allow
destinations:
  partner: {cidrs: [93.184.216.0/24]}
rules:
  - {name: not the partner, to: "@partner", verdict: block}
`)
	s, err := tryServe(t, dir, []string{"env", "HTTPS_PROXY=http://" + exitUser + "127.0.0.1:" + port}, "--upstream-ca", a.file)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Errs)
	}
	tr := s.client()
	defer tr.CloseIdleConnections()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://api.invalid/", nil)
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 403 || !strings.Contains(string(b), "only the upstream proxy knows") || asked.Load() > 0 {
		t.Errorf("%s %s; the proxy was asked %d times", res.Status, b, asked.Load())
	}
	s.stop()
	found := calls(t, dir, "host:api.invalid")["api.invalid"]
	if len(found) != 1 {
		t.Errorf("%d calls recorded", len(found))
	}
	for _, l := range found {
		if l.Closed == nil || l.Closed.Decision == nil || l.Closed.Decision.Rule != "not the partner" || l.Closed.Decision.Verdict != "block" {
			t.Errorf("the record: %+v", l.Closed)
		}
	}
}

func TestServeRefusesAProxyThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	for _, tt := range []struct{ env, flag, says string }{
		{"HTTPS_PROXY=ftp://" + exitUser + "a:1", "env", "HTTPS_PROXY"},
		{"HTTPS_PROXY=http://" + exitUser + "a:1/x", "env", "HTTPS_PROXY"},
		{"X=", "socks4://" + exitUser + "a", "--upstream-proxy"},
	} {
		s, err := tryServe(t, dir, []string{"env", tt.env}, "--upstream-proxy", tt.flag)
		if err == nil {
			t.Errorf("%v: serves", tt)
			s.stop()
			continue
		}
		if code := s.Cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(s.Errs.String(), tt.says) || strings.Contains(s.Errs.String(), "hunter2") {
			t.Errorf("%v: exit %d, %s", tt, code, s.Errs)
		}
	}
	// The variables of whoever uses outvet, in its own environment.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := l.Addr().String()
	l.Close()
	s, err := tryServe(t, dir, []string{"env", "HTTPS_PROXY=http://" + own}, "--listen", own)
	if err == nil || !strings.Contains(s.Errs.String(), "outvet itself") {
		t.Errorf("a circle: %v, %s", err, s.Errs)
	}
	s, err = tryServe(t, dir, []string{"env", "HTTPS_PROXY=http://" + own}, "--listen", own, "--upstream-proxy", "none")
	if err != nil {
		t.Fatalf("none: %v, %s", err, s.Errs)
	}
	s.stop()
}
