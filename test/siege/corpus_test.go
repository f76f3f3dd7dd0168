package siege

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func readLines[T any](t *testing.T, file string) []T {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for line := range bytes.Lines(b) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

type message struct {
	ID, Title, Type string
	Raw             []byte  `json:"raw_b64"`
	Error           *string `json:"llhttp_error"`
}

// Requests of a parser's tests, as they are and with a host, through a tunnel:
// what arrives was judged, and what is refused is told.
func TestOddRequestsAreJudgedOrRefused(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	var all []message
	for _, m := range readLines[message](t, "llhttp-messages.jsonl") {
		if m.Type != "request" {
			continue
		}
		all = append(all, m)
		if i := bytes.IndexByte(m.Raw, '\n'); i > 0 {
			host := "Host: HOST\r\n"
			if m.Raw[i-1] != '\r' {
				host = "Host: HOST\n"
			}
			m.ID += "+host"
			m.Raw = bytes.Join([][]byte{m.Raw[:i+1], []byte(host), m.Raw[i+1:]}, nil)
			all = append(all, m)
		}
	}
	answers, failed := make([]exchange, len(all)), make([]error, len(all))
	each(len(all), func(i int) {
		host := fmt.Sprintf("m%d.example", i)
		c, err := connect(s.Proxy, host+":80")
		if err != nil {
			failed[i] = err
			return
		}
		defer c.Close()
		answers[i] = talk(c, bytes.ReplaceAll(all[i].Raw, []byte("HOST"), []byte(host)), 700*time.Millisecond)
	})
	s.alive()
	ended := s.ends(14 * time.Second)
	hold(t, "serve ends after odd requests", ended, "SIGTERM does not end serve")
	if !ended {
		s.where()
	}
	by := calls(t, dir, "")
	arrived := 0
	for i, m := range all {
		host := fmt.Sprintf("m%d.example", i)
		got, told := web.of(host), by[host]
		arrived += len(got)
		if failed[i] != nil {
			t.Errorf("%s: %v", m.ID, failed[i])
		}
		judged := 0
		for _, c := range told {
			if c.Decision != nil && c.Decision.Verdict == "allow" {
				judged++
			}
		}
		if len(got) > judged {
			t.Errorf("%s (%s): %d requests arrived, %d were judged\n%q", m.ID, m.Title, len(got), judged, m.Raw)
		}
		refused := len(answers[i].status) > 0 && answers[i].status[0]/100 == 4
		hold(t, "told/"+m.ID, len(told) > 0 || refused || bytes.Contains(m.Raw, []byte("localhost")), "%s: no record and no refusal: %v %q %s\n%q", m.Title, answers[i].status, answers[i].bodies, answers[i].rest, m.Raw)
	}
	if arrived < 30 {
		t.Errorf("only %d requests of %d arrived: the test tests nothing", arrived, len(all))
	}
	hold(t, "odd requests leave as strict HTTP/1.1", len(web.faults) == 0, "%q", web.faults)
	paired(t, dir)
	verified(t, dir)
}

// Answers of a parser's tests, sent by a server: the client gets an answer that
// is one, and the record how it ended.
func TestOddAnswersAreCarriedOrToldAsFaults(t *testing.T) {
	t.Parallel()
	var all []message
	for _, m := range readLines[message](t, "llhttp-messages.jsonl") {
		if m.Type == "response" {
			all = append(all, m)
		}
	}
	dir := newState(t, allowing)
	port := listen(t, func(c net.Conn) {
		q, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		var n int
		fmt.Sscanf(q.Host, "r%d.example", &n)
		c.Write(all[n].Raw)
	})
	s := serve(t, dir, to("", "80", port)...)
	answers := make([]exchange, len(all))
	each(len(all), func(i int) {
		raw := fmt.Sprintf("GET http://r%d.example/ HTTP/1.1\r\nHost: r%[1]d.example\r\nConnection: close\r\n\r\n", i)
		answers[i] = send(t, s.Proxy, []byte(raw), 5*time.Second)
	})
	s.alive()
	s.stop()
	for i, m := range all {
		x := answers[i]
		hold(t, "answered/"+m.ID, len(x.status) == 1 && x.rest == nil || len(x.status) == 0 && x.closed, "%s: %v %.300q closed=%v %s\n%q", m.Title, x.status, x.bodies, x.closed, x.rest, m.Raw)
		if m.Error != nil {
			t.Logf("%s: llhttp says %s, we %v %.60q for %q", m.ID, *m.Error, x.status, x.bodies, m.Raw)
		}
	}
	if n := paired(t, dir); n != len(all) {
		t.Errorf("%d calls in the record, %d made", n, len(all))
	}
	verified(t, dir)
}

type spelling struct{ ID, URL, Label string }

// No spelling of an address that is not of the internet leads to loopback, by
// any way through the proxy.
func TestNoSpellingReachesLoopback(t *testing.T) {
	t.Parallel()
	var touched atomic.Int64
	ln, err := net.Listen("tcp", ":0") // every address of this machine
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			touched.Add(1)
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	dir := newState(t, allowing)
	s := serve(t, dir)
	var urls []string
	for _, row := range readLines[spelling](t, "spellings.jsonl") {
		if row.Label != "block" {
			continue
		}
		rest, ok := strings.CutPrefix(row.URL, "http://")
		host, path, _ := strings.Cut(rest, "/")
		if !ok || strings.HasPrefix(row.ID, "ssrf/flow") {
			continue // a redirect is the client's next request
		}
		urls = append(urls, "http://"+strings.TrimSuffix(host, ":80")+":"+port+"/"+path)
	}
	urls = append(urls, "http://localhost.:"+port+"/", "http://a.localhost:"+port+"/", "http://[::1]:"+port+"/", "http://0:"+port+"/", "http://[::]:"+port+"/",
		"http://127.0.0.1.:"+port+"/", "http://[::ffff:7f00:1]:"+port+"/", "http://127.000.000.001:"+port+"/")
	each(len(urls), func(i int) {
		host, _, _ := strings.Cut(strings.TrimPrefix(urls[i], "http://"), "/")
		x := send(t, s.Proxy, []byte("GET "+urls[i]+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"), 8*time.Second)
		_, name := url.Parse(urls[i])
		refused := len(x.status) == 1 && (x.status[0] == 403 || x.status[0] == 400)
		// What resolves nowhere here is an upstream fault.
		if !refused && !(len(x.status) == 1 && x.status[0] == 502 && strings.Contains(x.bodies[0], "dns_error")) {
			t.Errorf("GET %s: %v %.300q (%v)", urls[i], x.status, x.bodies, name)
		}
		c, err := connect(s.Proxy, host)
		if err != nil {
			return
		}
		defer c.Close()
		y := talk(c, []byte("GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"), 8*time.Second)
		if len(y.status) > 0 && y.status[0]/100 != 4 && y.status[0] != 502 {
			t.Errorf("CONNECT %s: %v %.300q", host, y.status, y.bodies)
		}
		if c, err := connect(s.Proxy, host); err == nil {
			talk(c, []byte("\x00raw bytes\n"), 2*time.Second)
			c.Close()
		}
	})
	s.stop()
	if n := touched.Load(); n != 0 {
		t.Errorf("loopback was reached %d times", n)
	}
	paired(t, dir)
	verified(t, dir)
}
