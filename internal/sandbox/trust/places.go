package trust

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A host is the file system that is looked at.
type host struct {
	root   string
	env    map[string]string
	listed map[string][]string // folders that were read
	leave  string              // the workspace
}

// systemBundles are the places of the system's roots, the most usual first.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch, NixOS
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem", // SUSE
	"/etc/ssl/certs/ca-bundle.crt",
	"/etc/pki/tls/cert.pem",
	"/etc/ssl/cert.pem",
	"/usr/lib/ssl/cert.pem",
	"/usr/local/ssl/cert.pem",
	"/etc/ca-certificates/extracted/tls-ca-bundle.pem",
}

// systemFolders hold the certificates of the system's bundle, one by one.
var systemFolders = []string{"/etc/ssl/certs", "/usr/lib/ssl/certs", "/etc/pki/tls/certs", "/usr/local/ssl/certs"}

// anchorFolders are where p11-kit takes further roots from: GnuTLS and NSS of
// Fedora, Arch and SUSE ask it instead of the bundle.
var anchorFolders = []string{"/etc/pki/ca-trust/source/anchors", "/etc/ca-certificates/trust-source/anchors", "/etc/pki/trust/anchors"}

// pythons are the folders that may hold packages of Python. A tilde is the
// user's home.
var pythons = []string{
	"/usr/lib/python3/dist-packages", "/usr/lib/python*/site-packages", "/usr/lib64/python*/site-packages",
	"/usr/local/lib/python*/dist-packages", "/usr/local/lib/python*/site-packages",
	"/opt/*/lib/python*/site-packages", "/opt/*/envs/*/lib/python*/site-packages",
	"~/.local/lib/python*/site-packages", "~/.local/share/pipx/venvs/*/lib/python*/site-packages",
	"~/.local/share/uv/*/*/lib/python*/site-packages", "~/.pyenv/versions/*/lib/python*/site-packages",
	"~/.asdf/installs/python/*/lib/python*/site-packages", "~/.local/share/mise/installs/python/*/lib/python*/site-packages",
	"~/mini*/lib/python*/site-packages", "~/mini*/envs/*/lib/python*/site-packages",
	"~/anaconda3/lib/python*/site-packages", "~/anaconda3/envs/*/lib/python*/site-packages",
	"/home/linuxbrew/.linuxbrew/lib/python*/site-packages",
	"/usr/local/aws-cli/v2/current/dist/awscli",
	"/usr/lib/google-cloud-sdk/lib/third_party", "/usr/lib/google-cloud-sdk/platform/*/third_party",
	"/usr/lib/google-cloud-sdk/platform/*/lib/python*/site-packages",
	"~/google-cloud-sdk/lib/third_party", "~/google-cloud-sdk/platform/*/third_party",
	"~/google-cloud-sdk/platform/*/lib/python*/site-packages",
	"$VIRTUAL_ENV/lib/python*/site-packages", "$CONDA_PREFIX/lib/python*/site-packages",
	"$PYENV_ROOT/versions/*/lib/python*/site-packages",
}

// vendored are the bundles that packages of Python bring along.
var vendored = []string{
	"certifi/cacert.pem", "certifi/certifi/cacert.pem", "pip/_vendor/certifi/cacert.pem", "pip/_vendor/requests/cacert.pem",
	"requests/cacert.pem", "botocore/cacert.pem", "httplib2/cacerts.txt", "grpc/_cython/_credentials/roots.pem",
}

// otherBundles are bundles of other programs.
var otherBundles = []string{
	"/usr/share/perl5/Mozilla/CA/cacert.pem", "/usr/local/share/perl/*/Mozilla/CA/cacert.pem",
	"/opt/*/ssl/cacert.pem", "~/mini*/ssl/cacert.pem", "~/anaconda3/ssl/cacert.pem", "$CONDA_PREFIX/ssl/cacert.pem",
	"/home/linuxbrew/.linuxbrew/etc/ca-certificates/cert.pem",
}

// javas are the homes of Java.
var javas = []string{
	"$JAVA_HOME", "$GRAALVM_HOME", "/usr/lib/jvm/*", "/usr/java/*", "/opt/*", "/opt/*/jbr", "/usr/local/*jdk*",
	"~/.sdkman/candidates/java/*", "~/.jdks/*", "~/.asdf/installs/java/*", "~/.local/share/mise/installs/java/*",
}

// javaStores are the places of the trust store in a home of Java.
var javaStores = []string{"lib/security/cacerts", "jre/lib/security/cacerts"}

// most bounds how many places are taken of one kind.
const most = 128

// find returns the files that the patterns fit, by their real names, each once.
// Looking is most of what a kit costs: folders are read once, and a name is asked
// for with one call before it is followed.
func (h host) find(patterns []string, below ...string) []string {
	var real []string
	for _, p := range patterns {
		p, ok := h.expand(p)
		if !ok {
			continue
		}
		for _, d := range h.glob("/", strings.Split(p[1:], "/")) {
			if _, err := os.Stat(d); err != nil {
				continue
			}
			for _, b := range below {
				f := filepath.Join(d, b)
				if _, err := os.Stat(f); err != nil || len(real) >= most || within(h.leave, h.inside(f)) {
					continue
				}
				if f, err := filepath.EvalSymlinks(f); err == nil && !within(h.leave, h.inside(f)) {
					real = append(real, f)
				}
			}
		}
	}
	slices.Sort(real)
	return slices.Compact(real)
}

// glob returns the names below dir that the parts of a pattern fit. Only those
// of parts with a star are known to exist.
func (h host) glob(dir string, parts []string) []string {
	for i, p := range parts {
		if !strings.Contains(p, "*") {
			dir = filepath.Join(dir, p)
			continue
		}
		var all []string
		for _, n := range h.list(dir) {
			if ok, _ := path.Match(p, n); ok && len(all) < most {
				all = append(all, h.glob(filepath.Join(dir, n), parts[i+1:])...)
			}
		}
		return all
	}
	return []string{dir}
}

// list returns the names in a folder, at most so many that it takes no time.
func (h host) list(dir string) []string {
	if names, known := h.listed[dir]; known {
		return names
	}
	var names []string
	if f, err := os.Open(dir); err == nil {
		names, _ = f.Readdirnames(4096)
		f.Close()
	}
	slices.Sort(names)
	h.listed[dir] = names
	return names
}

// expand makes a pattern one of the real file system.
func (h host) expand(p string) (string, bool) {
	if rest, ok := strings.CutPrefix(p, "~"); ok {
		p = "$HOME" + rest
	}
	if rest, ok := strings.CutPrefix(p, "$"); ok {
		name, rest, _ := strings.Cut(rest, "/")
		v := h.env[name]
		if !filepath.IsAbs(v) || strings.ContainsAny(v, `*?[\`) {
			return "", false
		}
		p = filepath.Join(v, rest)
	}
	return filepath.Join("/", h.root, p), true
}

// inside is the name that a file of the host has for programs.
func (h host) inside(real string) string {
	if h.root == "" {
		return real
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(real, filepath.Clean(h.root)), "/")
}

// own reports whether a file belongs to who runs us.
func own(real string) bool {
	i, err := os.Stat(real)
	if err != nil {
		return false
	}
	s, ok := i.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Getuid()
}

// within reports whether name is dir or below it.
func within(dir, name string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && dir != "" && filepath.IsLocal(rel)
}
