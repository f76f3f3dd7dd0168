package siege

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// sentence is what a user must get to see of a block.
const sentence = "Blocked by egress policy"

// Unmodified programs show their user why, after one request.
func TestProgramsShowTheSentence(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing+"  - {name: blocked too, to: \"*.blocked.example\", verdict: block}\n")
	s := serve(t, dir)
	ca := filepath.Join(dir, "ca.pem")
	env := []string{"https_proxy=http://" + s.Proxy, "HTTPS_PROXY=http://" + s.Proxy, "http_proxy=http://" + s.Proxy,
		"SSL_CERT_FILE=" + ca, "NODE_EXTRA_CA_CERTS=" + ca, "GIT_SSL_CAINFO=" + ca, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
		"npm_config_cafile=" + ca, "npm_config_update_notifier=false", "npm_config_registry=https://npm.blocked.example/", "PIP_CONFIG_FILE=/dev/null",
		"GOPROXY=https://go.blocked.example", "GONOSUMDB=*", "GONOSUMCHECK=1", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "PYTHONWARNINGS=ignore"}
	const urllib = `
import sys, urllib.request
try: urllib.request.urlopen(sys.argv[1])
except Exception as e: print(e)`
	const requests = `
import sys, requests
print(requests.get(sys.argv[1], verify=sys.argv[2]).reason)`
	const node = `
const http = require('http'), tls = require('tls'), u = new URL(process.argv[1]), p = new URL(process.env.https_proxy)
http.request({host: p.hostname, port: p.port, method: 'CONNECT', path: u.hostname + ':443'}).on('connect', (res, socket) => {
  const t = tls.connect({socket, servername: u.hostname}, () => http.get({createConnection: () => t, host: u.hostname, path: '/', defaultPort: 443}, r => {
    console.log(r.statusCode, r.statusMessage); process.exit(0) }))
}).end()`
	home := t.TempDir()
	write(t, home+"/go.mod", "module m\n\ngo 1.24\n\nrequire go.blocked.example/x v1.0.0\n")
	for _, c := range []struct {
		name, host string
		line       []string
		requests   int
	}{
		{"curl", "curl.blocked.example", []string{"curl", "-sS", "--cacert", ca, "https://curl.blocked.example/x"}, 1},
		{"curl http", "curlh.blocked.example", []string{"curl", "-sS", "http://curlh.blocked.example/x"}, 1},
		{"curl upload", "curlu.blocked.example", []string{"curl", "-sS", "--cacert", ca, "-T", twelveMegabytes(t), "https://curlu.blocked.example/x"}, 1},
		{"wget", "wget.blocked.example", []string{"wget", "-O", "-", "--ca-certificate=" + ca, "https://wget.blocked.example/x"}, 1},
		{"urllib", "py.blocked.example", []string{"python3", "-c", urllib, "https://py.blocked.example/x"}, 1},
		{"requests", "req.blocked.example", []string{"python3", "-c", requests, "https://req.blocked.example/x", ca}, 1},
		{"node", "node.blocked.example", []string{"node", "-e", node, "https://node.blocked.example/"}, 1},
		{"git", "git.blocked.example", []string{"git", "clone", "https://git.blocked.example/a/b.git", home + "/b"}, 1},
		{"npm", "npm.blocked.example", []string{"npm", "view", "left-pad", "--fetch-retries=2"}, 1},
		{"go", "go.blocked.example", []string{"go", "mod", "download"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, err := exec.LookPath(c.line[0])
			if err != nil {
				t.Skipf("no %s on this machine", c.line[0])
			}
			if c.name == "requests" && exec.Command(path, "-c", "import requests").Run() != nil {
				t.Skip("no requests on this machine")
			}
			t.Parallel()
			work := home
			e := append([]string{"GOPATH=" + home + "/go", "GOCACHE=" + home + "/cache"}, env...)
			_, out, errs := program(t, work, e, path, c.line[1:]...)
			hold(t, "sentence/"+c.name, strings.Contains(out+errs, sentence), "shows %s%s", out, errs)
			n := len(calls(t, dir, "host:"+c.host)[c.host])
			hold(t, "requests/"+c.name, n == c.requests, "%d requests, want %d: %s", n, c.requests, out+errs)
		})
	}
	t.Cleanup(func() { exec.Command("chmod", "-R", "u+w", home).Run() })
}

func twelveMegabytes(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(name, make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Secrets in every place of a request leave no trace below the state directory
// and in what serve prints.
func TestSecretsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	secret := "gh" + "p_" + "k7Qm2ZtR9vXc4LpW8s" + "Yb3NdF6hJa1G1cxYMD" // made up, with a right checksum
	dir := newState(t, allowing)
	a := newAuthority(t)
	var mu sync.Mutex
	arrived := 0
	web := a.https(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { mu.Lock(); arrived++; mu.Unlock() }))
	plain := newStrict(t)
	s := serve(t, dir, append(append(to("", "443", web), to("", "80", plain.port)...), "--upstream-ca", a.file)...)
	low := strings.ToLower(secret)
	rows := []string{
		"GET http://ok.example/" + secret + " HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"GET http://ok.example/?q=" + secret + " HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"GET http://" + secret + ".ok.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nProxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("run:"+secret)) + "\r\n\r\n",
		"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nX-Note: " + secret + "\r\n\r\n",
		"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nUser-Agent: " + secret + "\r\n\r\n",
		"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nX-" + secret + ": 1\r\n\r\n",
		"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nCookie: a=" + secret + "\r\n\r\n",
		"POST http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 40\r\n\r\n" + secret,
		"POST http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nContent-Length: 3\r\nContent-Type: " + secret + "\r\n\r\nabc",
		"POST http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n0\r\nX-T: " + secret + "\r\n\r\n",
		secret + " http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"GET http://ok.example/" + secret + "\x00 HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"GET http://" + secret + "@ok.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"GET http://ok.example:" + secret + "/ HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"GET " + secret + "://ok.example/ HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"GET http://ok.example/" + secret[:20] + "%" + fmt.Sprintf("%02x", secret[20]) + secret[21:] + " HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"CONNECT " + secret + ":443 HTTP/1.1\r\nHost: ok.example\r\n\r\n",
		"CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example\r\nUser-Agent: " + secret + "\r\n\r\nGET /" + secret + " HTTP/1.1\r\nHost: ok.example:443\r\n\r\n",
		"CONNECT ok.example:443 HTTP/1.1\r\nHost: ok.example\r\n\r\n\x00raw " + secret,
		"GET http://ok.example/ HTTP/1.1\r\nHost: " + secret + "\r\n\r\n",
		"GET http://ok.example/ HTTP/1.1\r\nHost: ok.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: " + secret + "\r\n\r\n",
	}
	each(len(rows), func(i int) { send(t, s.Proxy, []byte(rows[i]), 2e9) })
	if c, err := connect(s.Proxy, secret+":443"); err == nil {
		c.Close() // a tunnel in which nothing is asked
	}
	s.stop()
	files := map[string]string{"what serve prints": s.Errs.String()}
	_, files["log tail"], _ = outvet(t, "log", "tail", "--state", dir, "-n", "1000")
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, _ := os.ReadFile(path)
			files[path] = string(b)
		}
		return nil
	})
	for path, text := range files {
		if strings.Contains(path, "/log/") || path == "log tail" {
			continue // told below
		}
		hold(t, "no trace in "+place(dir, path), !strings.Contains(strings.ToLower(text), low), "%s holds a secret", path)
	}
	_, out, _ := outvet(t, "log", "tail", "--state", dir, "-n", "1000", "--json")
	found := map[string]string{"caller.agent.value": "", "method": "", "target": "", "host": "", "caller.session": ""}
	for line := range strings.Lines(out) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		walk(v, "", func(path, text string) {
			if strings.Contains(strings.ToLower(text), low) {
				found[path] = line
			}
		})
	}
	for path, line := range found {
		hold(t, "no secret in the record as "+path, line == "", "%s", line)
	}
	var left []string
	plain.mu.Lock()
	defer plain.mu.Unlock()
	for _, q := range plain.got {
		all := strings.ToLower(fmt.Sprintf("%s %s %s %s", q.method, q.target, q.head, q.body))
		if strings.Contains(all, low) {
			left = append(left, all)
		}
	}
	hold(t, "no secret leaves", len(left) == 0, "%q", left)
	if arrived > 0 {
		t.Errorf("%d requests with a secret arrived", arrived)
	}
	paired(t, dir)
	verified(t, dir)
}

// place is the folder of a file of the state directory.
func place(dir, path string) string {
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return path
	}
	first, _, _ := strings.Cut(rel, "/")
	return first
}

// walk calls f for each string in v, keys too.
func walk(v any, path string, f func(path, text string)) {
	switch v := v.(type) {
	case string:
		f(path, v)
	case []any:
		for _, e := range v {
			walk(e, path, f)
		}
	case map[string]any:
		for k, e := range v {
			f(path, k)
			walk(e, strings.TrimPrefix(path+"."+k, "."), f)
		}
	}
}
