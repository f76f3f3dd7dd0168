package siege

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Other spellings of a path or a method that a rule blocks, which servers take
// for the same, are blocked as well.
func TestSpellingsOfABlockedPathAreBlocked(t *testing.T) {
	t.Parallel()
	dir := newState(t, `version: 1
default: allow
rules:
  - {name: not this path, to: ok.example, path: "/private/**", verdict: block}
  - {name: nobody deletes, to: ok.example, method: DELETE, verdict: block}
`)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	lines := []string{
		"GET /private/x", "GET /x/../private/x", "GET /./private/x", "GET //private/x", "GET /%70rivate/x", "GET /private%2fx", "GET /x/%2e%2e/private/x",
		"GET /x%2f..%2fprivate/x", "GET /private//x", "GET /private/../private/x", "GET /%2570rivate/x", "GET /private;a=b/x", "GET /private/x?y", "GET /private\\x",
		"GET \\private/x", "GET /x/..%5cprivate/x", "GET /private/%00", "GET /PRIVATE/x", "DELETE /x", "delete /x", "Delete /x",
	}
	for i, line := range lines {
		method, path, _ := strings.Cut(line, " ")
		send(t, s.Proxy, fmt.Appendf(nil, "%s http://ok.example%s HTTP/1.1\r\nHost: ok.example\r\nX-Row: %d\r\nConnection: close\r\n\r\n", method, path, i), 3*time.Second)
	}
	s.stop()
	for _, q := range web.of("ok.example") {
		// A server of another kind may tell capitals, double coding and
		// parameters apart; those are no spelling of the same.
		line := q.method + " " + q.target
		switch line {
		case "GET /PRIVATE/x", "GET /%2570rivate/x", "delete /x", "Delete /x":
			t.Logf("passes: %s", line)
			continue
		}
		hold(t, "spelling/"+line, false, "passes")
	}
	paired(t, dir)
}

// A secret that comes in two pieces with a pause, on whatever kind of stream,
// does not leave.
func TestSecretsInPiecesDoNotLeave(t *testing.T) {
	t.Parallel()
	secret := "gh" + "p_" + "k7Qm2ZtR9vXc4LpW8s" + "Yb3NdF6hJa1G1cxYMD"
	dir := newState(t, allowing)
	var mu sync.Mutex
	var got []string
	port := listen(t, func(c net.Conn) {
		b, _ := io.ReadAll(io.LimitReader(c, 1<<20)) // till the proxy is done
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(b))
	})
	s := serve(t, dir, to("", "80", port)...)
	coded := base64.StdEncoding.EncodeToString([]byte(secret))
	half, rest := secret[:20], secret[20:]
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	head := "POST http://ok.example/x HTTP/1.1\r\nHost: ok.example\r\nTransfer-Encoding: chunked\r\n"
	pad := strings.Repeat("some text ", 20000)
	rows := map[string][]string{
		"benign":          {head + "\r\n" + chunk("a b"), chunk("c d") + "0\r\n\r\n"},
		"chunked":         {head + "\r\n" + chunk("a "+half), chunk(rest+" b") + "0\r\n\r\n"},
		"chunked in json": {head + "Content-Type: application/json\r\n\r\n" + chunk(`{"a":"`+half), chunk(rest+`"}`) + "0\r\n\r\n"},
		"chunked late":    {head + "\r\n" + chunk(pad), chunk(pad + half), chunk(rest + pad), "0\r\n\r\n"},
		"grpc":            {head + "Content-Type: application/grpc\r\n\r\n" + chunk("\x00\x00\x00\x00\x28"+half), chunk(rest) + "0\r\n\r\n"},
		"byte by byte":    append([]string{head + "\r\n"}, split(secret, chunk)...),
		"raw":             {"CONNECT ok.example:80 HTTP/1.1\r\nHost: ok.example\r\n\r\n", "\x00" + half, rest + "\n"},
		"raw bytewise":    append([]string{"CONNECT ok.example:80 HTTP/1.1\r\nHost: ok.example\r\n\r\n", "\x00"}, split(secret, func(s string) string { return s })...),
		"raw base64":      {"CONNECT ok.example:80 HTTP/1.1\r\nHost: ok.example\r\n\r\n", "\x00", coded[:24], coded[24:] + "\n"},
	}
	var all sync.WaitGroup
	for _, pieces := range rows {
		all.Go(func() {
			c, err := net.Dial("tcp", s.Proxy)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			pause := 1200 * time.Millisecond
			if len(pieces) > 10 {
				pause = 60 * time.Millisecond
			}
			for _, p := range pieces {
				io.WriteString(c, p)
				time.Sleep(pause)
			}
		})
	}
	all.Wait()
	s.ends(14 * time.Second)
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d connections arrived", len(got))
	for _, b := range got {
		b = strings.NewReplacer("1\r\n", "", "\r\n", "").Replace(b)
		i := strings.Index(b, rest[len(rest)-6:])
		hold(t, "secrets in pieces", i < 0 && !strings.Contains(b, coded[40:]), "the end of a secret left: …%q", b[max(0, len(b)-200):])
	}
	noTrace(t, filepath.Join(dir, "log"), secret)
}

func split(s string, f func(string) string) (out []string) {
	for i := range len(s) {
		out = append(out, f(s[i:i+1]))
	}
	return out
}
