package outvet

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// floors lists the packages of each floor, lowest first. A package may import
// lower floors only.
var floors = [][]string{
	{"call", "internal/xconnect"},
	{"internal/payload/layer", "internal/payload/inflate", "internal/payload/wsframe", "internal/http1", "internal/match", "internal/filter", "internal/hostname", "internal/hello", "internal/kill", "internal/agent", "internal/sockdiag", "internal/synthetic"},
	{"internal/payload", "internal/session", "internal/policy", "internal/record", "internal/forward", "internal/ca", "internal/answer", "internal/metrics", "internal/process", "internal/summary",
		"internal/sandbox/loopback", "internal/sandbox/env", "internal/sandbox/trust", "internal/sandbox/terminal"}, // what a sandbox is given: nothing here makes one
	{"internal/inspect", "internal/doctor"},
	{"internal/inspect/*"},
	{"internal/gate"},
	{"internal/listener/*"},
	{"internal/sandbox", "internal/attack"},
	{"cmd/*"},
	{"test/process"},    // runs the program for the tests of it as a whole
	{"test/bench/load"}, // the benchmark stands above all, as a program beside the product
	{"test/bench/stand"},
	{"test/bench"},
	{"."},
}

// beside lists the imports of tests' packages that are no part of the program.
var beside = []string{"internal/*/recordtest", "internal/*/inspecttest", "internal/*/listenertest", "internal/sandbox/loopback/loopbacktest"}

// within lists the edges inside one floor that we allow, each with its reason.
var within = map[[2]string]string{
	{"internal/payload/layer", "internal/payload/inflate"}:  "a layer may be compressed; the codings are known in one place",
	{"internal/listener/sealed", "internal/listener/proxy"}: "what comes out of a sealed sandbox is a tunnel that nobody had to ask the proxy for",
}

// listenersMay is all that a listener may import of ours. A listener cannot
// decide and cannot record: it can only ask the gate, and answer.
var listenersMay = map[string]bool{
	"call": true, "internal/gate": true, "internal/payload": true, "internal/forward": true, "internal/ca": true,
	"internal/payload/wsframe":  true, // the messages of a WebSocket
	"internal/http1":            true, // the messages of HTTP/1.1
	"internal/xconnect":         true, // lets HTTP/2 take WebSockets
	"internal/hostname":         true, // the one spelling of a host
	"internal/hello":            true, // what a TLS client says first
	"internal/synthetic":        true, // which address stands for which name
	"internal/agent":            true, // who a request says it is from
	"internal/sockdiag":         true, // whether a client still holds its end
	"internal/kill":             true, // the words of the kill switch
	"internal/sandbox/loopback": true, // the sockets of a sealed namespace
	"internal/answer":           true, // renders a decision in the client's dialect; every HTTP listener needs the same
}

// inspectorsMay is all that an inspector may import of ours: it sees decoded
// text and reports.
var inspectorsMay = map[string]bool{
	"call": true, "internal/inspect": true, "internal/payload": true, "internal/match": true, "internal/session": true,
}

func floor(p string) int {
	for i, f := range floors {
		for _, pat := range f {
			if ok, _ := path.Match(pat, p); ok {
				return i
			}
		}
	}
	return -1
}

func aside(p string) bool {
	for _, pat := range beside {
		if ok, _ := path.Match(pat, p); ok {
			return true
		}
	}
	return false
}

// imports calls f with each of our imports in the non-test files below root.
func imports(t *testing.T, root string, f func(file, dir, imported string)) {
	t.Helper()
	sources(t, root, func(file string) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if floor(dir) < 0 && !aside(dir) {
			t.Errorf("%s: package is on no floor", dir)
		}
		src, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		for _, im := range src.Imports {
			ip, _ := strconv.Unquote(im.Path.Value)
			if to, ours := strings.CutPrefix(ip, "outvet/"); ours {
				f(file, dir, to)
			}
		}
	})
}

// sources calls f with every Go file below root that is no test.
func sources(t *testing.T, root string, f func(file string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "tools" || p != "." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(p, ".go") && !strings.HasSuffix(p, "_test.go") {
			f(p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImportsGoDownOnly(t *testing.T) {
	n := 0
	imports(t, ".", func(_, dir, to string) {
		n++
		if aside(dir) {
			return
		}
		if _, listed := within[[2]string{dir, to}]; !listed && floor(to) >= floor(dir) {
			t.Errorf("%s imports %s, which is not below it", dir, to)
		}
	})
	if n < 20 {
		t.Errorf("only %d imports were seen", n)
	}
}

func TestListenersOnlyAsk(t *testing.T) {
	only(t, "internal/listener", listenersMay, "a listener may only ask the gate and answer")
}

func TestInspectorsOnlyReport(t *testing.T) {
	only(t, "internal/inspect", inspectorsMay, "an inspector sees text and reports")
}

func only(t *testing.T, root string, may map[string]bool, law string) {
	n := 0
	imports(t, root, func(file, dir, to string) {
		if aside(dir) {
			return
		}
		n++
		if !may[to] && !strings.HasPrefix(to, root) {
			t.Errorf("%s imports %s; %s", file, to, law)
		}
	})
	if n == 0 {
		t.Errorf("found nothing to check below %s", root)
	}
}
