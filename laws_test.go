package outvet

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Sizes at which a reader should look twice. What is longer stands here with its
// reason.
const (
	fileMax     = 500
	functionMax = 80
)

var longFiles = map[string]string{}

// decoders are the packages of others that undo encodings. Only package payload
// may use them on what an agent sends.
var decoders = regexp.MustCompile(`^(compress/|encoding/(base32|base64|hex|xml|pem)$|mime(/|$)|html$|net/url$|github\.com/(klauspost|andybalholm)/)`)

// decodes lists who else may import one, and what for: never to read what an
// agent sends.
var decodes = map[string]string{
	"internal/ca":                    "PEM of keys and certificates",
	"internal/record":                "text forms of hashes, keys and salts",
	"internal/http1":                 "the URL of a request line",
	"internal/gate":                  "the URL of a request is its destination",
	"internal/forward":               "the URL of a request is its destination",
	"internal/listener/proxy":        "the URL of a request is its destination; proxy credentials",
	"internal/listener/api":          "the URL that is asked about",
	"internal/listener/listenertest": "test servers",
	"internal/policy":                "digests; paths in rules",
	"internal/inspect/secret":        "digests; the forms in which a known value may stand; checksums of tokens",
	"internal/answer":                "escapes what goes into answers",
	"internal/sandbox/trust":         "certificates of the host and of ours",
	"internal/attack":                "packs secrets as whoever steals them would; digests",
	"cmd/outvet":                     "tokens; certificates and URLs of the command line",
	"test/bench/load":                "proxy credentials of the benchmark's client",
	"test/bench/stand":               "certificates of the benchmark's origin",
}

func TestEncodingsBelongToPayload(t *testing.T) {
	sources(t, ".", func(file string) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if strings.HasPrefix(dir, "internal/payload") {
			return
		}
		src, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, im := range src.Imports {
			if p := strings.Trim(im.Path.Value, `"`); decoders.MatchString(p) && decodes[dir] == "" {
				t.Errorf("%s imports %s: encodings belong to internal/payload", file, p)
			}
		}
	})
}

// dials are the ways of the standard library to the network.
var dials = regexp.MustCompile(`\b(net\.(Dial\w*|Resolver|Lookup\w+|DefaultResolver)|tls\.Dial\w*|http\.((Get|Post|Head|PostForm)\(|DefaultClient|DefaultTransport|Client\{|Transport\{))`)

func TestOnlyForwardDials(t *testing.T) {
	allowed := map[string]string{
		"internal/record/door.go":  "a socket of the file system: who does not hold the log gives its records to who does",
		"cmd/outvet/client.go":     "the command line asks the running outvet on its console address",
		"cmd/outvet/runinside.go":  "asks the outvet that holds this sandbox, on its socket",
		"cmd/outvet/systemd.go":    "tells the service manager, on the socket that it names, that we are ready",
		"internal/attack/reach.go": "tries to get out, from inside a sandbox, and proves from outside that its wires are live",
	}
	lines(t, func(file string, n int, line string) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if dir == "internal/forward" || allowed[filepath.ToSlash(file)] != "" || strings.HasSuffix(dir, "test") || strings.HasPrefix(dir, "test/") {
			return
		}
		if code, _, _ := strings.Cut(line, "//"); dials.MatchString(code) {
			t.Errorf("%s:%d: only internal/forward may dial or resolve: %s", file, n, strings.TrimSpace(line))
		}
	})
}

func TestUpstreamCertificatesAreAlwaysVerified(t *testing.T) {
	lines(t, func(file string, n int, line string) {
		if code, _, _ := strings.Cut(line, "//"); strings.Contains(code, "InsecureSkipVerify") {
			t.Errorf("%s:%d: %s", file, n, strings.TrimSpace(line))
		}
	})
}

// unsafeWords are what a verdict, a record or a rule may be called elsewhere, but
// not here.
var unsafeWords = regexp.MustCompile(`(?i)^(util|utils|common|manager|helper|helpers|misc|shared)$`)

func TestPackagesAreNamedAndDocumented(t *testing.T) {
	documented := map[string]bool{}
	sources(t, ".", func(file string) {
		dir := filepath.ToSlash(filepath.Dir(file))
		src, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		documented[dir] = documented[dir] || src.Doc != nil
		if unsafeWords.MatchString(src.Name.Name) {
			t.Errorf("%s: %q names nothing of the domain", file, src.Name.Name)
		}
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package documentation", dir)
		}
	}
}

func TestThereAreNoInitsAndNoLongFunctions(t *testing.T) {
	sources(t, ".", func(file string) {
		set := token.NewFileSet()
		src, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range src.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s: an init runs unseen; build the value where it is used", set.Position(f.Pos()))
			}
			if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > functionMax {
				t.Errorf("%s: %s has %d lines, more than %d", set.Position(f.Pos()), f.Name.Name, n, functionMax)
			}
		}
		if n := set.Position(src.FileEnd).Line; n > fileMax && longFiles[filepath.ToSlash(file)] == "" {
			t.Errorf("%s has %d lines, more than %d: split it, or say why in longFiles", file, n, fileMax)
		}
	})
}

// TestDependenciesHaveAReason holds go.mod against the list that gives each
// direct dependency its reason.
func TestDependenciesHaveAReason(t *testing.T) {
	list, err := os.ReadFile("doc/design/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]bool{}
	for line := range strings.Lines(string(mod)) {
		f := strings.Fields(line)
		if len(f) == 2 && strings.Contains(f[0], ".") && strings.HasPrefix(f[1], "v") {
			direct[f[0]] = true
		}
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(list), -1) {
		listed[m[1]] = true
		if !direct[m[1]] {
			t.Errorf("doc/design/dependencies.md lists %s, which go.mod does not require", m[1])
		}
	}
	for m := range direct {
		if !listed[m] {
			t.Errorf("go.mod requires %s: give its reason in doc/design/dependencies.md", m)
		}
	}
	if len(direct) == 0 {
		t.Error("no direct dependency was seen")
	}
}

func lines(t *testing.T, f func(file string, n int, line string)) {
	t.Helper()
	sources(t, ".", func(file string) {
		b, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		s := bufio.NewScanner(b)
		s.Buffer(nil, 1<<20)
		for n := 1; s.Scan(); n++ {
			f(file, n, s.Text())
		}
		if err := s.Err(); err != nil {
			t.Error(fmt.Errorf("%s: %w", file, err))
		}
	})
}
