package agents

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// zipped returns an archive of files: alternately a name and a text.
func zipped(files ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// packed is zipped for tar.
func packed(files ...string) []byte {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	w := tar.NewWriter(g)
	for i := 0; i < len(files); i += 2 {
		err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))})
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := g.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// registries are those of four languages, as their clients see them: what each path
// answers.
func registries() map[string][]byte {
	crate := packed("six-1.0.0/Cargo.toml", "[package]\nname = \"six\"\nversion = \"1.0.0\"\nedition = \"2018\"\n", "six-1.0.0/src/lib.rs", "pub fn six() -> i32 { 6 }\n")
	sum := sha256.Sum256(crate)
	return map[string][]byte{
		"registry.npmjs.org/six": []byte(`{"name":"six","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"six","version":"1.0.0",
			"scripts":{"postinstall":"node -p 6"},"dist":{"tarball":"https://registry.npmjs.org/six/-/six-1.0.0.tgz"}}}}`),
		"registry.npmjs.org/six/-/six-1.0.0.tgz": packed("package/package.json", `{"name":"six","version":"1.0.0","main":"x.js"}`, "package/x.js", "module.exports=6\n"),

		"proxy.golang.org/example.com/six/@v/list":        []byte("v1.0.0\n"),
		"proxy.golang.org/example.com/six/@v/v1.0.0.info": []byte(`{"Version":"v1.0.0"}`),
		"proxy.golang.org/example.com/six/@v/v1.0.0.mod":  []byte("module example.com/six\n"),
		"proxy.golang.org/example.com/six/@v/v1.0.0.zip": zipped("example.com/six@v1.0.0/go.mod", "module example.com/six\n",
			"example.com/six@v1.0.0/six.go", "package six\n\nconst Six = 6\n"),

		"pypi.org/simple/sixx/": []byte(`<!DOCTYPE html><a href="https://files.pythonhosted.org/sixx-1.0-py3-none-any.whl">sixx-1.0-py3-none-any.whl</a>`),
		"files.pythonhosted.org/sixx-1.0-py3-none-any.whl": zipped("sixx.py", "SIX = 6\n", "sixx-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sixx\nVersion: 1.0\n",
			"sixx-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "sixx-1.0.dist-info/RECORD", "sixx.py,,\n"),

		"index.crates.io/config.json":                []byte(`{"dl":"https://static.crates.io/crates"}`),
		"index.crates.io/3/s/six":                    []byte(`{"name":"six","vers":"1.0.0","deps":[],"cksum":"` + hex.EncodeToString(sum[:]) + `","features":{},"yanked":false}` + "\n"),
		"static.crates.io/crates/six/1.0.0/download": crate,
	}
}

// packages are what gets a package of each language and uses it.
var packages = []struct {
	client, row, script string
}{
	{"npm", "npm packages", `mkdir n && cd n && echo '{}' > package.json && npm install --no-audit --no-fund six >&2 && node -p 'require("six")'`},
	{"go", "go modules", `mkdir g && cd g && printf 'module x\n' > go.mod && printf 'package main\nimport "example.com/six"\nfunc main(){print(six.Six)}\n' > m.go && GOTOOLCHAIN=local GOFLAGS=-mod=mod GONOSUMDB='*' GONOSUMCHECK=1 go get example.com/six >&2 && GOTOOLCHAIN=local go run . 2>&1`},
	{"pip3", "pip packages", `python3 -m venv p && p/bin/pip install -q --disable-pip-version-check sixx >&2 && p/bin/python -c 'import sixx; print(sixx.SIX)'`},
	{"cargo", "cargo crates", `mkdir -p c/src && cd c && printf '[package]\nname="c"\nversion="0.1.0"\nedition="2018"\n[dependencies]\nsix="1"\n' > Cargo.toml && printf 'fn main(){println!("{}", six::six())}\n' > src/main.rs && cargo run -q`},
}

func TestPackagesAreInstalledSealed(t *testing.T) {
	for _, p := range packages {
		t.Run(p.client, func(t *testing.T) {
			path, err := exec.LookPath(p.client)
			if err != nil {
				t.Skipf("no %s is here", p.client)
			}
			s := newStage(t, "")
			if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(path, home+"/") {
				s.home = home // where it is installed; what is written there is gone at the end
			}
			s.origin.files = registries()
			out, err := s.run(t, []string{"sh", "-c", p.script})
			if err != nil || strings.TrimSpace(out) != "6" {
				t.Errorf("it does not work: %v %s\n%s\n%s", err, out, s.table, s.origin.log())
			}
			if !slices.ContainsFunc(strings.Split(s.table, "\n"), func(l string) bool { return strings.Contains(l, p.row) && strings.Contains(l, " allow ") }) {
				t.Errorf("the table does not tell of %s:\n%s", p.row, s.table)
			}
		})
	}
}

// file answers with a file of a registry. It reports false if there is none.
func (o *origin) file(w http.ResponseWriter, r *http.Request) bool {
	if o.files == nil || r.Method != http.MethodGet {
		return false
	}
	b, ok := o.files[r.Host+r.URL.Path]
	if !ok {
		http.Error(w, fmt.Sprintf("there is no %s%s", r.Host, r.URL.Path), http.StatusNotFound)
		return true
	}
	if strings.HasPrefix(string(b), "{") {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Write(b)
	return true
}
