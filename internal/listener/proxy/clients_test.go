package proxy_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// told is a policy that lets GET of /ok pass and blocks all else.
const told = `version: 1
default: block
rules:
  - {name: reading, to: ` + host + `, method: GET, path: /ok, verdict: allow}
  - {name: no uploads, to: ` + host + `, method: POST, verdict: block, reason: Uploads are not for agents}
`

// program skips the test if name is not installed, and returns its path.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipped, because %s is not installed", name)
	}
	return path
}

// run runs a client with the proxy and its authority in the environment, and
// returns all that it prints.
func (r *rig) run(name string, arg ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), name, arg...)
	cmd.Dir = r.t.TempDir()
	proxy := "http://otter:x@" + r.addr
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "https_proxy="+proxy, "HTTPS_PROXY="+proxy, "http_proxy="+proxy, "HTTP_PROXY="+proxy,
		"no_proxy=", "NO_PROXY=", "NODE_USE_ENV_PROXY=1", "NODE_EXTRA_CA_CERTS="+r.ca, "SSL_CERT_FILE="+r.ca, "CURL_CA_BUNDLE="+r.ca,
		"GIT_SSL_CAINFO="+r.ca, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 20 * time.Second
	cmd.Run() // a refused client fails
	return out.String()
}

func (r *rig) expect(out string, want ...string) {
	r.t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			r.t.Errorf("printed %q, want %q in it", out, w)
		}
	}
}

func ok(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine\n") }

func TestCurlShowsTheRefusal(t *testing.T) {
	curl := program(t, "curl")
	for _, version := range []string{"--http1.1", "--http2"} {
		r := newRig(t, ok, nil, told)
		r.expect(r.run(curl, "-sS", version, "https://"+host+"/ok"), "fine")
		r.expect(r.run(curl, "-sS", version, "http://"+host+"/ok"), "fine")
		r.expect(r.run(curl, "-sS", version, "-d", "x=1", "https://"+host+"/up"), "Uploads are not for agents", "no uploads", "Blocked by egress policy")
		r.expect(r.run(curl, "-sSI", version, "https://"+host+"/nowhere"), "HTTP/", " 403", "utvet-")
		big := filepath.Join(t.TempDir(), "big")
		if err := os.WriteFile(big, make([]byte, 8<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		r.expect(r.run(curl, "-sS", version, "-T", big, "-X", "POST", "https://"+host+"/up"), "Uploads are not for agents")
		for _, p := range r.log.wait(t, 5) {
			if p.decided.Caller.Session != "otter" {
				t.Errorf("session %q", p.decided.Caller.Session)
			}
		}
	}
}

func TestGitShowsTheRefusal(t *testing.T) {
	r := newRig(t, ok, nil, told)
	r.expect(r.run(program(t, "git"), "ls-remote", "https://"+host+"/a/b.git"), "remote: Blocked by egress policy: GET "+host+"/a/b.git/info/refs")
	r.log.wait(t, 1)
}

func TestPythonShowsTheRefusal(t *testing.T) {
	python := program(t, "python3")
	const script = `
import sys, urllib.request, urllib.error
base = sys.argv[1]
print(urllib.request.urlopen(base + "/ok").read().decode())
try:
    urllib.request.urlopen(base + "/up", data=b"x" * 8000000)
except urllib.error.HTTPError as e:
    print(e, e.read().decode())
`
	r := newRig(t, ok, nil, told)
	out := r.run(python, "-c", script, "https://"+host)
	r.expect(out, "fine", "HTTP Error 403: Blocked by egress policy: POST "+host+" not allowed (id ", "Uploads are not for agents")
	r.log.wait(t, 2)
}

func TestNodeShowsTheRefusal(t *testing.T) {
	node := program(t, "node")
	// Older versions of fetch know no proxy, so the tunnel is made by hand.
	const script = `
const http = require("http"), tls = require("tls");
const [proxy, host, ca] = process.argv.slice(1);
const [phost, pport] = proxy.split(":");
function go(method, path, body, done) {
  const req = http.request({host: phost, port: pport, method: "CONNECT", path: host + ":443",
    headers: {"proxy-authorization": "Basic " + Buffer.from("otter:x").toString("base64")}});
  req.on("connect", (res, socket) => {
    const s = tls.connect({socket, servername: host, ALPNProtocols: ["http/1.1"]}, () => {
      const r = http.request({method, path, headers: {host}, createConnection: () => s}, res => {
        let t = ""; res.on("data", d => t += d); res.on("end", () => { console.log(res.statusCode, res.statusMessage, t); done(); });
      });
      r.on("error", e => { console.log("error", e.message); done(); });
      r.end(body);
    });
    s.on("error", e => { console.log("tls", e.message); done(); });
  });
  req.end();
}
go("GET", "/ok", undefined, () => go("POST", "/up", Buffer.alloc(8000000), () => process.exit()));
`
	r := newRig(t, ok, nil, told)
	r.expect(r.run(node, "-e", script, r.addr, host), "200 OK fine", "403 Blocked by egress policy", "Uploads are not for agents")
	r.log.wait(t, 2)
	out := r.run(node, "-e", `if (+process.versions.node.split(".")[0] < 24) { console.log("too old"); process.exit() }
		fetch(process.argv[1]).then(async r => console.log(r.status, await r.text()), e => console.log(e))`, "https://"+host+"/ok")
	if strings.Contains(out, "too old") {
		t.Log("fetch skipped, because this node has no proxy support")
		return
	}
	r.expect(out, "200 fine")
}
