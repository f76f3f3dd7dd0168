package siege

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Streams of HTTP/2 that clients reset at any time leave two leaves each or
// none, and the connection stays of use.
func TestStreamsResetAnywhereLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	a := newAuthority(t)
	port := a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for range 20 {
			w.Write(make([]byte, 10<<10))
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	}))
	s := serve(t, dir, append(to("", "443", port), "--upstream-ca", a.file)...)
	tr := s.client()
	defer tr.CloseIdleConnections()
	each(300, func(i int) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%60)*time.Millisecond)
		defer cancel()
		var body io.Reader = strings.NewReader(strings.Repeat("a", i*100))
		if i%3 == 0 {
			r, w := io.Pipe() // a body that does not come to its end
			defer w.Close()
			go io.WriteString(w, "beginning")
			body = r
		}
		req, _ := http.NewRequestWithContext(ctx, "POST", fmt.Sprintf("https://ok.example/%d", i), body)
		if res, err := tr.RoundTrip(req); err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "https://ok.example/last", nil)
	res, err := tr.RoundTrip(req)
	if err != nil || res.StatusCode != 200 {
		t.Errorf("after 300 resets: %v %v", res, err)
	} else {
		res.Body.Close()
	}
	tr.CloseIdleConnections()
	ended := s.ends(14 * time.Second)
	hold(t, "reset streams do not keep serve from ending", ended, "serve does not end")
	if !ended {
		s.where()
		return
	}
	if strings.Contains(s.Errs.String(), "panic") {
		t.Errorf("%s", s.Errs)
	}
	paired(t, dir)
	verified(t, dir)
}

// With no descriptor left, calls fail; with some again, all works.
func TestNoDescriptorsHeals(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("no prlimit on this machine")
	}
	dir := newState(t, allowing)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	n := s.footprint().files
	if out, err := exec.Command("prlimit", "--pid", fmt.Sprint(s.Cmd.Process.Pid), fmt.Sprintf("--nofile=%d:", n+12)).CombinedOutput(); err != nil {
		t.Skipf("prlimit: %v %s", err, out)
	}
	const get = "GET http://ok.example/x HTTP/1.1\r\nHost: ok.example\r\n\r\n"
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			c, err := net.Dial("tcp", s.Proxy)
			if err != nil {
				return
			}
			defer c.Close()
			x := talk(c, []byte(get), 1500*time.Millisecond)
			for i, st := range x.status {
				if st/100 != 2 && st/100 != 5 && st != 403 {
					t.Errorf("without descriptors: %d %s", st, x.bodies[i])
				}
			}
		})
	}
	all.Wait()
	s.alive()
	time.Sleep(1500 * time.Millisecond) // net/http waits up to a second before it accepts again
	x := send(t, s.Proxy, []byte(get), 3*time.Second)
	hold(t, "descriptors are back", len(x.status) == 1 && x.status[0] == 200, "%v %q\n%.2000s", x.status, x.bodies, s.Errs)
	s.stop()
	paired(t, dir)
	verified(t, dir)
}

// Policies that change, good and bad, under load: the bad never gets in force,
// and no call is without its decision.
func TestPolicyThatFlipsUnderLoad(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	policy := filepath.Join(filepath.Dir(dir), "policy.yaml")
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				x := send(t, s.Proxy, []byte("GET http://blocked.example/x HTTP/1.1\r\nHost: blocked.example\r\nConnection: close\r\n\r\n"), 5*time.Second)
				if len(x.status) != 1 || x.status[0] != 403 {
					t.Errorf("blocked: %v %q", x.status, x.bodies)
				}
			}
		})
	}
	for i := range 12 {
		text := allowing + fmt.Sprintf("# %d\n", i)
		if i%2 == 1 {
			text = []string{"version: 1\nrules: [", "", "version: 1\ndefault: allow\nrule: []\n", strings.Repeat("- ", 10000), "\x00"}[i/2%5]
		}
		os.WriteFile(policy, []byte(text), 0o600)
		s.Cmd.Process.Signal(syscall.SIGHUP)
		time.Sleep(80 * time.Millisecond)
	}
	os.Remove(policy)
	s.Cmd.Process.Signal(syscall.SIGHUP)
	time.Sleep(200 * time.Millisecond)
	cancel()
	all.Wait()
	s.alive()
	if !strings.Contains(s.Errs.String(), "policy.yaml") {
		t.Errorf("no word of bad policies: %s", s.Errs)
	}
	s.stop()
	if got := web.of("blocked.example"); len(got) > 0 {
		t.Errorf("%d requests arrived", len(got))
	}
	paired(t, dir)
	verified(t, dir)
}

// The check API is for who has the token, and for no web page.
func TestCheckAPIWithstands(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	s := serve(t, dir)
	b, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(b))
	const body = `{"http":{"method":"GET","url":"https://ok.example/"}}`
	post := func(head, body string) string {
		return fmt.Sprintf("POST /v1/check HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", s.Console, head, len(body), body)
	}
	auth := "Authorization: Bearer " + token + "\r\n"
	for _, c := range []struct {
		name, raw string
		want      []int
	}{
		{"right", post(auth, body), []int{200}},
		{"no token", post("", body), []int{401, 403}},
		{"wrong token", post("Authorization: Bearer x\r\n", body), []int{401, 403}},
		{"empty token", post("Authorization: Bearer \r\n", body), []int{401, 403}},
		{"two tokens", post("Authorization: Bearer x\r\n"+auth, body), []int{401, 403, 400}},
		{"not JSON", post(auth, "{"), []int{400, 422}},
		{"deep JSON", post(auth, strings.Repeat("[", 100000)), []int{400, 413, 422}},
		{"null", post(auth, "null"), []int{400, 422}},
		{"no URL", post(auth, `{"http":{"method":"GET"}}`), []int{400, 422}},
		{"odd URL", post(auth, `{"http":{"method":"GET","url":"ftp://x"}}`), []int{400, 422}},
		{"no method", post(auth, `{"http":{"url":"https://ok.example/"}}`), []int{200, 400, 422}},
		{"odd method", post(auth, `{"http":{"method":"G T\r\nX: y","url":"https://ok.example/"}}`), []int{400, 422}},
		{"unknown key", post(auth, `{"http":{"method":"GET","url":"https://ok.example/","nonsense":1}}`), []int{400, 422}},
		{"two values", post(auth, body+body), []int{400, 422}},
		{"GET", "GET /v1/check HTTP/1.1\r\nHost: x\r\n" + auth + "Connection: close\r\n\r\n", []int{405, 404}},
		{"path", "GET /../v1/nothing HTTP/1.1\r\nHost: x\r\n" + auth + "Connection: close\r\n\r\n", []int{404, 301, 307, 400}},
		{"a page's origin", post(auth+"Origin: https://evil.example\r\n", body), []int{200, 403}},
		{"rebound name without token", strings.Replace(post("", body), "Host: "+s.Console, "Host: evil.example", 1), []int{401, 403, 421}},
		{"too large", post(auth, `{"http":{"method":"POST","url":"https://ok.example/","body":"`+strings.Repeat("a", 20<<20)+`"}}`), []int{413, 400, 200}},
		{"cut", strings.Replace(post(auth, body), "Content-Length: ", "Content-Length: 9", 1), []int{400, 0}},
	} {
		x := send(t, s.Console, []byte(c.raw), 4*time.Second)
		first := 0
		if len(x.status) > 0 {
			first = x.status[0]
		}
		ok := false
		for _, w := range c.want {
			ok = ok || w == first
		}
		hold(t, "api/"+c.name, ok, "%v %.300q, want %v", x.status, x.bodies, c.want)
		for _, b := range x.bodies {
			if strings.Contains(b, token) {
				t.Errorf("%s: the token is in the answer", c.name)
			}
		}
	}
	secret := "gh" + "p_" + "k7Qm2ZtR9vXc4LpW8s" + "Yb3NdF6hJa1G1cxYMD"
	fields := []string{"session", "agent", "session_type", "principal", "purpose"}
	for _, f := range fields {
		send(t, s.Console, []byte(post(auth, fmt.Sprintf(`{%q:"in-%s-%s","http":{"method":"GET","url":"https://ok.example/"}}`, f, f, secret))), 4*time.Second)
	}
	for _, tool := range []string{`"name":"in-tool-` + secret + `","args":{}`, `"name":"t","call":"in-call-` + secret + `","args":{}`, `"name":"t","args":{"in-key-` + secret + `":1}`} {
		send(t, s.Console, []byte(post(auth, `{"tool":{`+tool+`}}`)), 4*time.Second)
	}
	_, out, _ := outvet(t, "log", "tail", "--state", dir, "-n", "1000", "--json")
	for _, f := range append(fields, "tool", "call", "key") {
		hold(t, "no secret of a check in the record as "+f, !strings.Contains(out, "in-"+f+"-"+secret), "it is there")
	}
	s.stop()
	paired(t, dir)
	verified(t, dir)
}
