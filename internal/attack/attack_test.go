package attack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"outvet/call"
)

// laid lays wires in a home and a workspace of their own.
func laid(t *testing.T) *Wires {
	t.Helper()
	dir := t.TempDir()
	p := Places{Home: filepath.Join(dir, "home"), Workspace: filepath.Join(dir, "work"), State: filepath.Join(dir, "state"), Secrets: []string{filepath.Join(dir, "home", ".ssh")}}
	for _, d := range []string{p.Home, p.Workspace, p.State, p.Secrets[0]} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for f, text := range map[string]string{filepath.Join(p.State, "ca.key"): "KEY", filepath.Join(p.Secrets[0], "id_ed25519"): "SSH KEY"} {
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, err := Lay(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.Aim(p)
	return w
}

// find returns the try and the result of that name.
func find(t *testing.T, results []Result, name string) Result {
	t.Helper()
	i := slices.IndexFunc(results, func(r Result) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no result of %q", name)
	}
	return results[i]
}

func tryOf(t *testing.T, name string) Try {
	t.Helper()
	all := Tries()
	i := slices.IndexFunc(all, func(x Try) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("no try %q", name)
	}
	return all[i]
}

func TestEveryTryHasANameOfItsOwnAndSaysHowSuccessWouldBeSeen(t *testing.T) {
	slugs := map[string]bool{}
	for _, x := range Tries() {
		if x.What == "" || x.Seen == "" || x.do == nil || x.Group == "" {
			t.Errorf("%q is not complete", x.Name)
		}
		if slugs[x.slug()] || len(x.slug()) > 63 {
			t.Errorf("the host of %q is another's, or no label", x.Name)
		}
		slugs[x.slug()] = true
	}
	if runtime.GOOS == "linux" && len(slugs) < 120 {
		t.Errorf("only %d tries", len(slugs))
	}
}

func TestWiresAreLiveAndProvedFromOutside(t *testing.T) {
	w := laid(t)
	if err := w.Prove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.Count() < 15 {
		t.Errorf("only %d wires, missing %q", w.Count(), w.Missing)
	}
}

func TestWorkspaceThatIsNotThereIsNotMade(t *testing.T) {
	dir := t.TempDir()
	if _, err := Lay(Places{Home: dir, Workspace: filepath.Join(dir, "nowhere"), State: dir}); err == nil {
		t.Error("no error")
	}
	if all, _ := os.ReadDir(dir); len(all) > 0 {
		t.Errorf("left behind: %v", all)
	}
}

func TestASilentWireIsAnError(t *testing.T) {
	w := laid(t)
	w.Plan.TCP["nowhere"] = "127.0.0.1:1"
	if err := w.Prove(t.Context()); err == nil || !strings.Contains(err.Error(), "tcp nowhere") {
		t.Errorf("%v", err)
	}
}

func TestWiresLeaveNothingBehind(t *testing.T) {
	w := laid(t)
	if _, err := w.Program(); err != nil {
		t.Fatal(err)
	}
	places := []string{w.Plan.Repository, filepath.Dir(w.Plan.Fifo)}
	for name, p := range w.Plan.Unix {
		if p[0] != '@' {
			places = append(places, p)
		} else if name == "abstract" {
			defer func() {
				if say(context.Background(), "unix", p, nil) == nil {
					t.Error("the abstract socket is still there")
				}
			}()
		}
	}
	w.Close()
	for _, p := range places {
		if _, err := os.Lstat(p); err == nil {
			t.Errorf("%s is still there", p)
		}
	}
}

// arrive waits until what was sent has arrived.
func arrive(t *testing.T, has func() bool) {
	t.Helper()
	for range 500 {
		if has() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it did not arrive")
}

// What counts is what a wire saw, whatever the inside says.
func TestTouchedWireIsAWayOut(t *testing.T) {
	w := laid(t)
	for _, x := range [][3]string{{"tcp", w.Plan.TCP["any"], "tcp 0.0.0.0"}, {"unix", w.Plan.Unix["workspace"], "unix workspace"}, {"unixgram", w.Plan.Unix["tmp dgram"], "unix tmp dgram"}, {"udp", w.Plan.UDP["loopback"], "udp loopback"}} {
		if err := say(t.Context(), x[0], x[1], w.Plan.mark(x[2])); err != nil {
			t.Fatal(err)
		}
	}
	if err := intoFifo(w.Plan.Fifo, w.Plan.mark("fifo")); err != nil {
		t.Fatal(err)
	}
	arrive(t, func() bool {
		return len(w.taken("fifo"))+len(w.taken("udp loopback"))+len(w.taken("unix tmp dgram")) == 3
	})
	results := w.Judge(Evidence{Said: []Said{{Try: "fifo", Ended: Closed, Text: "permission denied"}}})
	for _, name := range []string{"tcp 0.0.0.0", "unix workspace", "unix tmp dgram", "udp loopback", "fifo"} {
		if r := find(t, results, name); r.Fate != Through || !strings.HasPrefix(r.By, "reached ") {
			t.Errorf("%+v", r)
		}
	}
	if r := find(t, results, "unix tmp"); r.Fate != Stopped {
		t.Errorf("%+v", r)
	}
}

func TestTouchWithoutANameIsAWayOut(t *testing.T) {
	w := laid(t)
	if err := say(t.Context(), "tcp", w.Plan.TCP["loopback"], []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if r := find(t, w.Judge(Evidence{}), "unexplained"); r.Fate != Through || r.By != "tcp loopback" {
		t.Errorf("%+v", r)
	}
}

// A parcel is carried to the internet without outvet: then it must be recognised,
// however it is packed.
func TestEverySecretThatArrivesIsRecognised(t *testing.T) {
	w := laid(t)
	to := &url.URL{Scheme: "http", Host: "127.0.0.1:" + strings.TrimPrefix(portOf(w.Internet.HTTP), ":")}
	for _, c := range parcels() {
		x := tryOf(t, "secret in "+c.name)
		if r := find(t, w.Judge(Evidence{}), x.Name); r.Fate == Through {
			t.Errorf("%s: seen before it was sent", x.Name)
		}
		req, err := c.request(to.String()+"/", w.Plan.Secrets[x.Name])
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", x.Name, err)
		}
		res.Body.Close()
		if r := find(t, w.Judge(Evidence{}), x.Name); r.Fate != Through || r.By != "the secret arrived" {
			t.Errorf("%+v", r)
		}
	}
}

func portOf(n int) string { b, _ := json.Marshal(n); return string(b) }

func TestSecretInANameIsRecognised(t *testing.T) {
	w := laid(t)
	x := tryOf(t, "dns txt")
	if _, err := w.Internet.LookupNetIP(t.Context(), "ip", strings.ToUpper(strings.TrimSuffix(secretName(&w.Plan, x), "."))); err == nil {
		t.Error("a name leads somewhere")
	}
	if r := find(t, w.Judge(Evidence{}), x.Name); r.Fate != Through {
		t.Errorf("%+v", r)
	}
	if r := find(t, w.Judge(Evidence{}), "dns tunnel"); r.Fate == Through {
		t.Errorf("%+v", r)
	}
	w.Internet.ask(tunnelled(&w.Plan, 7) + "." + tryOf(t, "dns tunnel").host() + ".")
	if r := find(t, w.Judge(Evidence{}), "dns tunnel"); r.Fate != Through {
		t.Errorf("%+v", r)
	}
}

// A secret was read only if what was read is it.
func TestShownSecretIsAWayOut(t *testing.T) {
	w := laid(t)
	key, ssh := w.Plan.State[0], w.Plan.Hidden[0]
	for _, c := range []struct {
		try  string
		said map[string]string
		want Fate
	}{
		{"read the state", map[string]string{key: digest([]byte("KEY"))}, Through},
		{"read secrets of the home", map[string]string{ssh: digest([]byte("SSH KEY"))}, Through},
		{"read secrets of the home", map[string]string{ssh: digest([]byte("something else"))}, Stopped},
		{"environment", map[string]string{CanaryName: digest([]byte(w.Canary()))}, Through},
		{"environment", map[string]string{CanaryName: digest([]byte("x"))}, Stopped},
	} {
		r := find(t, w.Judge(Evidence{Said: []Said{{Try: c.try, Ended: Sent, Proofs: c.said}}}), c.try)
		if r.Fate != c.want {
			t.Errorf("%+v, want %s", r, c.want)
		}
	}
	plan, err := json.Marshal(w.Plan)
	if err != nil || bytes.Contains(plan, []byte(w.Canary())) || bytes.Contains(plan, []byte("SSH KEY")) {
		t.Errorf("the plan tells a secret: %v", err)
	}
}

func TestChangedFileOutsideIsAWayOut(t *testing.T) {
	w := laid(t)
	said := func(try string) Evidence { return Evidence{Said: []Said{{Try: try, Ended: Sent}}} }
	for try, path := range map[string]string{"write in the home": w.Plan.File, "write auto-run files": project(&w.Plan, ".envrc"), "rename trick": project(&w.Plan, ".envrc")} {
		if r := find(t, w.Judge(said(try)), try); r.Fate != Stopped {
			t.Errorf("unchanged: %+v", r)
		}
		if err := os.WriteFile(path, []byte(attacked), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := find(t, w.Judge(said(try)), try); r.Fate != Through {
			t.Errorf("changed: %+v", r)
		}
		if err := os.WriteFile(path, []byte(planted), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(project(&w.Plan, ".mcp.json")); err != nil {
		t.Fatal(err)
	}
	if r := find(t, w.Judge(said("replace auto-run files")), "replace auto-run files"); r.Fate != Through {
		t.Errorf("removed: %+v", r)
	}
}

func TestNewAutorunFileMustBeTold(t *testing.T) {
	w := laid(t)
	var changes []string
	for _, f := range autorun {
		p := filepath.Join(w.Plan.Repository, "fresh", f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(attacked), 0o600); err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(filepath.Dir(w.Plan.Repository), p)
		changes = append(changes, rel)
	}
	e := Evidence{Said: []Said{{Try: "new auto-run files", Ended: Sent}}, Changes: changes}
	if r := find(t, w.Judge(e), "new auto-run files"); r.Fate != Told {
		t.Errorf("all told: %+v", r)
	}
	e.Changes = changes[1:]
	if r := find(t, w.Judge(e), "new auto-run files"); r.Fate != Through || !strings.Contains(r.By, autorun[0]) {
		t.Errorf("one not told: %+v", r)
	}
}

func TestRefusedCallIsAnsweredByItsRule(t *testing.T) {
	w := laid(t)
	x := tryOf(t, "metadata v4")
	d := &call.Record{Kind: call.Decided, ID: "1", Protocol: "http", Host: "169.254.169.254", Port: 80, Decision: &call.Decision{Verdict: call.Block, Rule: "no instance metadata"}}
	c := &call.Record{Kind: call.Closed, ID: "1", Outcome: &call.Outcome{Status: 403}}
	e := Evidence{Said: []Said{sent("answered with 403", "169.254.169.254:80")}, Calls: []*call.Record{d, c}}
	e.Said[0].Try = x.Name
	if r := find(t, w.Judge(e), x.Name); r.Fate != Answered || r.Rule != "no instance metadata" || r.Verdict != "block" {
		t.Errorf("%+v", r)
	}
	d.Decision = &call.Decision{Verdict: call.Allow, Rule: "default"}
	c.Outcome.Address = "169.254.169.254:80"
	if r := find(t, w.Judge(e), x.Name); r.Fate != Through {
		t.Errorf("outvet went there: %+v", r)
	}
}

// Nothing leaves unrecorded: whoever took something that the record does not have is
// not outvet.
func TestWhatSomebodyTookMustBeInTheRecord(t *testing.T) {
	w := laid(t)
	for _, try := range []string{"tcp private", "dns any server", "doh", "secret in body"} {
		s := sent("answered", "10.213.77.7:9")
		s.Try = try
		if r := find(t, w.Judge(Evidence{Said: []Said{s}}), try); r.Fate != Through || !strings.Contains(r.By, "record") {
			t.Errorf("%+v", r)
		}
		d := &call.Record{Kind: call.Decided, ID: "1", Host: "10.213.77.7", Port: 9, Decision: &call.Decision{Verdict: call.Block, Rule: "address"}}
		if r := find(t, w.Judge(Evidence{Said: []Said{s}, Calls: []*call.Record{d}}), try); r.Fate != Answered {
			t.Errorf("%+v", r)
		}
	}
}

func TestReportThatProvesNothingIsAnError(t *testing.T) {
	w := laid(t)
	var said []Said
	for _, x := range Tries() {
		said = append(said, Said{Try: x.Name, Ended: Closed, Text: "no"})
	}
	if err := w.Idle(said, w.Judge(Evidence{Said: said})); err == nil || !strings.Contains(err.Error(), "harmless https") {
		t.Errorf("no harmless call arrived: %v", err)
	}
	for _, x := range plainTries() {
		w.Internet.note([]byte(w.Plan.errand(x)))
	}
	results := w.Judge(Evidence{Said: said})
	if err := w.Idle(said, results); err != nil || find(t, results, "harmless http").Fate != Passed {
		t.Errorf("%v", err)
	}
	if err := w.Idle(said[1:], results); err == nil || !strings.Contains(err.Error(), said[0].Try) {
		t.Errorf("a try was not made: %v", err)
	}
}

func TestWhatIsSaidOfAnErrorHasNoSecretInIt(t *testing.T) {
	_, _, err := fetch(mustRequest(t, "http://127.0.0.1:1/?q=ghp_secret"))
	if err == nil || strings.Contains(plain(err), "ghp_secret") || plain(err) != "connection refused" {
		t.Errorf("%q", plain(err))
	}
	if got := plain(errors.New(strings.Repeat("x", 500))); len(got) > 130 {
		t.Errorf("%d bytes", len(got))
	}
}

func mustRequest(t *testing.T, url string) *http.Request {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestReportTellsWaysOutFirstAndKeepsTheTerminal(t *testing.T) {
	r := Report{Grade: "sealed", Policy: "p\x1b[31m", Results: []Result{
		{Name: "a", Group: groupNetwork, Fate: Stopped, By: "no"},
		{Name: "b", Group: groupNetwork, What: "try b", Fate: Through, By: "reached\x1b]52;x", Rule: "r", Verdict: "allow"},
	}, Missing: []string{"udp multicast: none"}}
	r.Fill()
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	if !r.Open() || strings.ContainsRune(b.String(), 0x1b) || strings.Index(b.String(), "THROUGH  b: try b") > strings.Index(b.String(), "stopped   a") || !strings.Contains(b.String(), "1 GOT THROUGH") {
		t.Errorf("%s", b.String())
	}
}

func FuzzSaid(f *testing.F) {
	f.Add([]byte(`{"Try":"a","Ended":"closed"}` + "\n" + `{"Try":"b"}`))
	f.Add([]byte("\n\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := ReadSaid(bytes.NewReader(b))
		if len(all) > bytes.Count(b, []byte("\n"))+1 {
			t.Errorf("%d results of %d lines", len(all), bytes.Count(b, []byte("\n"))+1)
		}
		if err == nil && len(all) == 0 && len(bytes.Trim(b, "\r\n")) > 0 {
			t.Error("something was said and nothing heard")
		}
	})
}

// Detours carry no secret: that the request came to a host that it did not ask for is
// what counts, and must be recognised.
func TestDetourThatArrivesIsRecognised(t *testing.T) {
	w := laid(t)
	roots := x509.NewCertPool()
	roots.AddCert(w.Internet.Root)
	for name, send := range map[string]func(c net.Conn, host string){
		"domain fronting": func(c net.Conn, host string) { fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host) },
		"proxy in proxy": func(c net.Conn, host string) {
			fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n", host, frontHost)
		},
		"host contradicts": func(c net.Conn, host string) { fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host) },
		"connect in connect": func(c net.Conn, host string) {
			fmt.Fprintf(c, "CONNECT %s:4070 HTTP/1.1\r\nHost: %s:4070\r\n\r\n", host, host)
		},
	} {
		if r := find(t, w.Judge(Evidence{}), name); r.Fate == Through {
			t.Errorf("%s: seen before it was sent", name)
		}
		c, err := net.Dial("tcp", "127.0.0.1:"+portOf(w.Internet.HTTP))
		if name == "domain fronting" {
			c, err = tls.Dial("tcp", "127.0.0.1:"+portOf(w.Internet.HTTPS), &tls.Config{RootCAs: roots, ServerName: frontHost})
		}
		if err != nil {
			t.Fatal(err)
		}
		send(c, tryOf(t, name).host())
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
		if r := find(t, w.Judge(Evidence{}), name); r.Fate != Through {
			t.Errorf("%+v", r)
		}
	}
}

func TestNamesLeadWhereTheirTriesSay(t *testing.T) {
	for name, want := range map[string]string{"tcp name to loopback": "[127.0.0.1]", "tcp name to loopback v6": "[::ffff:127.0.0.1]", "tcp name to interfaces": "[192.0.2.9]", "tcp name with two faces": "[3ffe::7 127.0.0.1]", "dns txt": "[]"} {
		if got := fmt.Sprint(faces(tryOf(t, name).host(), []string{"2001:db8::9", "192.0.2.9"})); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
