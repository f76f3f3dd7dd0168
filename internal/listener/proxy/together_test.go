package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"outvet/call"
	"outvet/internal/kill"
	"outvet/internal/payload/wsframe"
)

// What works alone is tried here together.

func TestAWebSocketOverHTTP2ThroughSOCKSIsJudged(t *testing.T) {
	site := newSite()
	r := newRig(t, site.serve, nil, noSecrets)
	conn := r.plainConn()
	io.WriteString(conn, noAuth+asks(1, host, 443))
	if _, err := io.ReadFull(conn, make([]byte, len(granted))); err != nil {
		t.Fatal(err)
	}
	tc := tls.Client(conn, &tls.Config{RootCAs: r.roots, ServerName: host, NextProtos: []string{"h2"}})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	p := startH2(t, tc)
	s := p.open([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", host, ":path", "/", "sec-websocket-version", "13"}, false)
	c := &wsClient{t: t, conn: streamConn{strm: s}}
	c.br = bufio.NewReader(c.conn)
	if s.status() != "200" {
		t.Fatal(s.heads)
	}
	c.text("one")
	c.want(wsframe.Text, "got 3")
	c.text("a " + token)
	c.wantClose(1008, "")
	if msgs, codes := site.ended(t); fmt.Sprint(msgs, codes) != "[one] [1001]" {
		t.Error(msgs, codes)
	}
	if p := r.one(t); !p.closed.Outcome.Aborted || p.closed.Decision.Rule != "no secrets" {
		t.Errorf("%+v %+v", p.closed.Outcome, p.closed.Decision)
	}
}

// Policies that change while a body is read in windows: those that allow it leave
// it whole, the one that does not ends it.
func TestPolicyThatChangesAmidABodyCutsNoneThatItAllows(t *testing.T) {
	const part = 96 << 10
	for _, way := range ways {
		for _, last := range []string{noSecrets, "version: 1\ndefault: block\n"} {
			allowed := last == noSecrets
			t.Run(fmt.Sprintf("%s, allowed %t", way.name, allowed), func(t *testing.T) {
				t.Parallel()
				arrived := make(chan string, 1)
				r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
					b, err := io.ReadAll(r.Body)
					if err == nil && !allowed {
						t.Error("a body arrived whole that policy stopped")
					}
					arrived <- sum(b)
				}, nil, noSecrets)
				r.gate.Patience = 20 * time.Millisecond
				pr, pw := io.Pipe()
				var sent bytes.Buffer
				go func() {
					for i := range 12 {
						b := text('A', i, part)
						sent.Write(b)
						if _, err := pw.Write(b); err != nil {
							return
						}
						switch i {
						case 2:
							time.Sleep(100 * time.Millisecond) // a pause: it is read in windows
						case 4, 6, 8:
							r.install(t, []string{maskSecrets, "version: 1\ndefault: allow\n", noSecrets}[i/2-2])
						case 10:
							r.install(t, last)
						}
					}
					pw.Close()
				}()
				defer pw.Close()
				resp, err := r.client(way.h2).Post("https://"+host+"/", "text/plain", pr)
				if err == nil {
					resp.Body.Close()
				}
				switch {
				case !allowed && err == nil && resp.StatusCode != 403:
					t.Errorf("%s", resp.Status)
				case allowed && (err != nil || resp.StatusCode != 200):
					t.Fatalf("%v, %v", resp, err)
				case allowed:
					if got := <-arrived; got != sum(sent.Bytes()) {
						t.Errorf("%s arrived of %s", got, sum(sent.Bytes()))
					}
				}
				r.log.wait(t, 1)
			})
		}
	}
}

func TestAChunkedBodyIsRedactedAndItsTrailerToo(t *testing.T) {
	type arrival struct{ body, trailer, other string }
	arrived := make(chan arrival, 1)
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrived <- arrival{string(b), r.Trailer.Get("X-Note"), r.Trailer.Get("X-Sum")}
	}, nil, maskSecrets)
	half := len(token) / 2
	for name, chunks := range map[string][]string{
		"in one chunk":    {"before " + token + " after"},
		"over two chunks": {"before " + token[:half], token[half:] + " after"},
		"byte for byte":   strings.Split("before "+token+" after", ""),
	} {
		c := r.dialTLS(host+":443", host)
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nTrailer: X-Note, X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n", host)
		for _, s := range chunks {
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(s), s)
		}
		fmt.Fprintf(c, "0\r\nX-Note: see %s\r\nX-Sum: 7\r\n\r\n", token)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := <-arrived
		if resp.StatusCode != 200 || !strings.HasPrefix(got.body, "before ") || !strings.HasSuffix(got.body, " after") || strings.Contains(got.body, token[half:]) ||
			!strings.HasPrefix(got.trailer, "see ") || strings.Contains(got.trailer, token) || got.other != "7" {
			t.Errorf("%s: %s %+v", name, resp.Status, got)
		}
	}
	r.log.wait(t, 3)
}

// A kill counts, too, for what a proxy that ends still lets end.
func TestAKillReachesCallsThatShutdownWaitsFor(t *testing.T) {
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := &sea{over: make(chan struct{}, 4), up: make(chan struct{}, 4)}
			r := newRig(t, s.serve, nil, noSecrets)
			r.gate.Cut = func() { r.server.Sever(300 * time.Millisecond) }
			read := f.begin(t, r, s)
			<-s.up
			ended, down := make(chan error, 1), make(chan error, 1)
			go func() { ended <- read() }()
			go func() { down <- r.server.Shutdown(context.Background()) }()
			time.Sleep(50 * time.Millisecond)
			if err := r.gate.Kill(kill.Notice{By: "ada", How: "hand", Why: "test"}); err != nil {
				t.Error(err)
			}
			r.cut(t, call.RuleKill, s.over, ended)
			select {
			case err := <-down:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(cutTime):
				t.Error("Shutdown still waits")
			}
		})
	}
}

// Many streams of one connection whose client reads slowly get their answers,
// each its own, while another asks and is answered.
func TestManySlowReadersOnOneConnectionGetWhatIsTheirs(t *testing.T) {
	const streams, size = 100, 60 << 10
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/%d", &n)
		w.Write(text('A'+byte(n%26), n, size))
	}, nil, noSecrets)
	p := r.h2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3000}) // manual: each gets what is granted
	var all []*strm
	for i := range streams {
		all = append(all, p.open(request("GET", fmt.Sprint("/", i)), true))
	}
	for granted := 3000; granted < size; granted += 9000 {
		p.write(func() error { return p.fr.WriteWindowUpdate(0, streams*9000) })
		for _, s := range all {
			p.write(func() error { return p.fr.WriteWindowUpdate(s.id, 9000) })
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.write(func() error { return p.fr.WriteWindowUpdate(0, 1<<20) })
	for i, s := range all {
		if body, end := s.end(); end != "end" || body != string(text('A'+byte(i%26), i, size)) {
			t.Errorf("stream %d: %d bytes, %s", i, len(body), end)
		}
	}
	r.log.wait(t, streams)
}

// Clients that wait for 100 and servers that answer before they have read: the
// answer arrives, whether the client sends its body, breaks off or stands still.
func TestAnEarlyAnswerReachesAClientThatExpects100(t *testing.T) {
	for _, policy := range []string{allow, noSecrets} {
		for _, status := range []string{"413 Too Large", "401 Who are you"} {
			r := exact(t, policy, func(c net.Conn, br *bufio.Reader) {
				head(br)
				fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: 4\r\nConnection: close\r\n\r\nearl", status)
			})
			for _, tt := range []struct{ sends, framing string }{
				{strings.Repeat("plain text", 10_000), "Content-Length: 100000"},
				{"", "Content-Length: 100000"}, // it never does
				{"5\r\nplain\r\n0\r\n\r\n", "Transfer-Encoding: chunked"},
			} {
				if tt.sends == "" && policy != allow {
					continue // the body is read before anything leaves
				}
				c := r.plainConn()
				fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\n%s\r\n\r\n", host, host, tt.framing)
				br := bufio.NewReader(c)
				resp, err := http.ReadResponse(br, nil)
				if err == nil && resp.StatusCode == 100 {
					go io.WriteString(c, tt.sends)
					resp, err = http.ReadResponse(br, nil)
				}
				if err != nil {
					t.Fatalf("%s, %s: %v", status, tt.framing, err)
				}
				if b, err := io.ReadAll(resp.Body); resp.Status != status || string(b) != "earl" || err != nil {
					t.Errorf("%s: %s %q %v", tt.framing, resp.Status, b, err)
				}
				c.Close()
			}
		}
	}
}

// A client that stands still amid its upload gets the answer that came meanwhile.
func TestAnEarlyAnswerDoesNotWaitForTheRestOfTheUpload(t *testing.T) {
	for _, way := range ways {
		for _, policy := range []string{allow, noSecrets} {
			r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				http.NewResponseController(w).EnableFullDuplex()
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				io.WriteString(w, "earl")
			}, nil, policy)
			r.gate.Patience = 20 * time.Millisecond
			pr, pw := io.Pipe()
			go io.WriteString(pw, "beginning")
			resp, err := r.client(way.h2).Post("https://"+host+"/", "application/json", pr)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); resp.StatusCode != 413 || string(b) != "earl" || err != nil {
				t.Errorf("%s %q %v", resp.Status, b, err)
			}
			pw.Close()
			if o := r.log.wait(t, 1)[0].closed.Outcome; o.Status != 413 {
				t.Errorf("%+v", o)
			}
		}
	}
}

// A call that is refused takes its body with it, and nothing of the one behind.
func TestARefusalAmidPipelinedRequestsDisturbsNeitherSide(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, b)
	}, nil, noSecrets)
	for _, chunked := range []bool{false, true} {
		c := r.dialTLS(host+":443", host)
		var all strings.Builder
		add := func(path, body string) {
			fmt.Fprintf(&all, "POST %s HTTP/1.1\r\nHost: %s\r\n", path, host)
			if chunked {
				fmt.Fprintf(&all, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
			} else {
				fmt.Fprintf(&all, "Content-Length: %d\r\n\r\n%s", len(body), body)
			}
		}
		bodies := []string{"first", "with " + token, "GET /hidden HTTP/1.1\r\nHost: " + host + "\r\n\r\n", strings.Repeat("long ", 20_000) + token, "last"}
		for i, b := range bodies {
			add(fmt.Sprint("/", i), b)
		}
		go io.WriteString(c, all.String())
		br := bufio.NewReader(c)
		for i, b := range bodies {
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(i, err)
			}
			got, _ := io.ReadAll(resp.Body)
			if refused := strings.Contains(b, token); refused && resp.StatusCode != 403 || !refused && string(got) != fmt.Sprintf("/%d %s", i, b) {
				t.Errorf("answer %d: %s %q", i, resp.Status, got)
			}
		}
	}
	r.log.wait(t, 10)
}

// The last answer on a connection is read whole by a client that already sends
// what comes next, which nobody reads any more.
func TestTheLastAnswerOutlivesWhatIsPipelinedBehindIt(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "last")
	}, nil, noSecrets)
	for name, tt := range map[string]struct {
		first string
		want  string
	}{
		"misdirected":                     {"GET http://" + host + "/ HTTP/1.1\r\nHost: other.example\r\n\r\n", " 421 "},
		"asked to close":                  {"GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n", " 200 "},
		"malformed":                       {"GET http://" + host + "/ HTTP/1.1\r\nHost : " + host + "\r\n\r\n", " 400 "},
		"of HTTP/1.0":                     {"GET http://" + host + "/ HTTP/1.0\r\nHost: " + host + "\r\n\r\n", " 200 "},
		"no body where a CONNECT has one": {"CONNECT " + host + ":443 HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\n\r\nabcde", " 400 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.plainConn()
			next := strings.Repeat("GET http://"+host+"/next HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 2000)
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(c, tt.first+next)
				c.(*net.TCPConn).CloseWrite()
				sent <- err
			}()
			time.Sleep(50 * time.Millisecond)
			b, err := io.ReadAll(c)
			if err != nil || !strings.Contains(string(b[:min(len(b), 20)]), tt.want) || strings.Count(string(b), "HTTP/1.1 ") != 1 {
				t.Errorf("%.100q, %v", b, err)
			}
			if err := <-sent; err != nil {
				t.Errorf("the client cannot send to its end: %v", err)
			}
		})
	}
}

// An answer without a body has none, whatever length it tells; the connection
// goes on with the next.
func TestAnswersWithoutABodyDoNotDisturbTheNext(t *testing.T) {
	answers := map[string]string{
		"HEAD /length":  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"HEAD /chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HEAD /until":   "HTTP/1.1 200 OK\r\nX: y\r\n\r\n",
		"GET /204":      "HTTP/1.1 204 No Content\r\nContent-Length: 10\r\n\r\n",
		"GET /204c":     "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET /304":      "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: \"a\"\r\n\r\n",
		"GET /304c":     "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST /205":     "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
	}
	r := exact(t, allow, func(c net.Conn, br *bufio.Reader) {
		for {
			h, err := head(br)
			if err != nil {
				return
			}
			line, _, _ := strings.Cut(h, " HTTP/1.1")
			if a, ok := answers[line]; ok {
				io.WriteString(c, a)
			} else {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
			}
		}
	})
	c := r.dial(host + ":80")
	br := bufio.NewReader(c)
	for line := range answers {
		method, _, _ := strings.Cut(line, " ")
		more := ""
		if method == "POST" {
			more = "Content-Length: 0\r\n"
		}
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: %s\r\n%s\r\nGET /next HTTP/1.1\r\nHost: %s\r\n\r\n", line, host, more, host)
		for _, m := range []string{method, "GET"} {
			resp, err := http.ReadResponse(br, &http.Request{Method: m})
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if b, err := io.ReadAll(resp.Body); err != nil || resp.Close || m != method && string(b) != "next" {
				t.Errorf("%s: %s %q %v, close %t", line, resp.Status, b, err, resp.Close)
			}
		}
	}
}

// A client of HTTP/1.0 that keeps its connection is served call after call, also
// when one is refused, has a body, or no body comes back.
func TestAClientOfHTTP10KeepsItsConnection(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Write(b)
	}, nil, noSecrets)
	c := r.dialTLS(host+":443", host)
	br := bufio.NewReader(c)
	for i, tt := range []struct {
		method, body string
		status       int
	}{{"POST", "one", 200}, {"POST", token, 403}, {"HEAD", "", 200}, {"GET", "", 200}, {"POST", strings.Repeat("x", 70_000), 200}, {"PUT", "last", 200}} {
		fmt.Fprintf(c, "%s / HTTP/1.0\r\nHost: %s\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n%s", tt.method, host, len(tt.body), tt.body)
		resp, err := http.ReadResponse(br, &http.Request{Method: tt.method})
		if err != nil {
			t.Fatal(i, err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != tt.status || resp.Header.Get("Connection") != "keep-alive" || tt.status == 200 && tt.method != "HEAD" && string(b) != tt.body {
			t.Errorf("call %d: %s %v, %d bytes, %v", i, resp.Status, resp.Header, len(b), err)
		}
	}
}

// A server that answers while the upload runs, and reads on: the client gets the
// answer as it comes, and the server what the client sends meanwhile.
func TestAnAnswerBeginsWhileTheUploadStillRuns(t *testing.T) {
	for i, policy := range []string{allow, noSecrets, allow, noSecrets} {
		secure := i < 2
		got := make(chan string, 8)
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			io.WriteString(w, "begun ")
			w.(http.Flusher).Flush()
			b := make([]byte, 4)
			for {
				_, err := io.ReadFull(r.Body, b)
				if err != nil {
					break
				}
				got <- string(b)
			}
			io.WriteString(w, "ended")
		}, nil, policy)
		r.gate.Patience = 20 * time.Millisecond
		c, target := net.Conn(nil), "/"
		if secure {
			c = r.dialTLS(host+":443", host)
		} else {
			c, target = r.plainConn(), "http://"+host+"/"
		}
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nn000\r\n", target, host)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 6)
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "begun " {
			t.Fatalf("%q %v", b, err)
		}
		for i := range 5 {
			s := fmt.Sprintf("n%03d", i)
			if i > 0 { // it is sent already
				fmt.Fprintf(c, "4\r\n%s\r\n", s)
			}
			if g := <-got; g != s {
				t.Errorf("%q arrived, not %q", g, s)
			}
		}
		io.WriteString(c, "0\r\n\r\n")
		if b, err := io.ReadAll(resp.Body); string(b) != "ended" || err != nil {
			t.Errorf("%q %v", b, err)
		}
		r.log.wait(t, 1)
	}
}
