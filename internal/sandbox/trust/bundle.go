package trust

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// takesMerged are the variables that name a file of all roots. Of those that
// the user has set, the files are merged in.
var takesMerged = strings.Fields("SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO PIP_CERT npm_config_cafile CARGO_HTTP_CAINFO " +
	"CODEX_CA_CERTIFICATE DENO_CERT AWS_CA_BUNDLE CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE HTTPLIB2_CA_CERTS GRPC_DEFAULT_SSL_ROOTS_FILE_PATH " +
	"NIX_SSL_CERT_FILE PERL_LWP_SSL_CA_FILE")

// takesOurs is the variable that names roots beside the built-in ones.
const takesOurs = "NODE_EXTRA_CA_CERTS"

// vars sets all variables.
func (m *maker) vars() {
	for _, v := range takesMerged {
		m.Vars = append(m.Vars, v+"="+m.path("merged.pem"))
	}
	m.Vars = append(m.Vars, takesOurs+"="+m.path("ours.pem"), "NODE_USE_SYSTEM_CA=1", "DENO_TLS_CA_STORE=system", "WGETRC="+m.path("wgetrc"))
	slices.Sort(m.Vars)
}

// systems finds the system's bundles and reads the first.
func (m *maker) systems() {
	m.system = m.host.find(systemBundles, "")
	for _, s := range systemBundles {
		data, err := m.host.read(s, 0)
		if err == nil && len(data) > 0 {
			m.roots = data
			return
		}
	}
	m.note("this system has no bundle of certificate authorities: inside, only hosts that outvet reads will be trusted")
}

// users adds to ours the certificates of the files that the user's variables
// name, as far as the system's bundle lacks them.
func (m *maker) users(ours []certificate) []certificate {
	u := union{ours: ours, known: func() map[[32]byte]bool { return in(join(slices.Clip(m.roots), encode(ours))) }}
	done := slices.Clone(m.system)
	for _, v := range append(slices.Clone(takesMerged), takesOurs) {
		name := m.host.env[v]
		if name == "" {
			continue
		}
		if !filepath.IsAbs(name) {
			m.note("%s=%s is not absolute: its certificates are not trusted inside", v, name)
			continue
		}
		if real, err := filepath.EvalSymlinks(filepath.Join("/", m.host.root, name)); err == nil {
			if slices.Contains(done, real) {
				continue
			}
			done = append(done, real)
		}
		data, err := m.host.read(name, 0)
		var certs []certificate
		if err == nil {
			certs, err = certificates(data)
		}
		if err != nil {
			m.note("%s=%s: %v: its certificates are not trusted inside", v, name, err)
			continue
		}
		u.add(certs)
	}
	for _, dir := range filepath.SplitList(m.host.env["SSL_CERT_DIR"]) {
		if filepath.IsAbs(dir) && !slices.Contains(systemFolders, filepath.Clean(dir)) {
			m.folder(dir, &u)
		}
	}
	return u.ours
}

// folder adds the certificates of a folder as SSL_CERT_DIR names it. What else
// is in it is no fault.
func (m *maker) folder(dir string, u *union) {
	names := m.host.list(filepath.Join("/", m.host.root, dir))
	for _, n := range names[:min(len(names), most)] {
		if data, err := m.host.read(filepath.Join(dir, n), 0); err == nil {
			if certs, err := certificates(data); err == nil {
				u.add(certs)
			}
		}
	}
}

// A union is certificates without repetition.
type union struct {
	ours  []certificate
	known func() map[[32]byte]bool // those that need not be added; costs something
	have  map[[32]byte]bool
}

func (u *union) add(certs []certificate) {
	if u.have == nil {
		u.have = u.known()
	}
	for _, c := range certs {
		if d := sha256.Sum256(c); !u.have[d] {
			u.have[d] = true
			u.ours = append(u.ours, c)
		}
	}
}

// bundles appends ours to every bundle that is found.
func (m *maker) bundles(added []byte) {
	for _, s := range m.system {
		m.bind("merged.pem", s)
	}
	type bundle struct {
		file string
		data []byte // as it was
	}
	known := map[int][]bundle{} // by size: comparing is cheaper than a digest
	n, size := 0, 0
	for _, f := range append(m.host.find(pythons, vendored...), m.host.find(otherBundles, "")...) {
		name := m.host.inside(f)
		if slices.Contains(m.system, f) {
			continue
		}
		data, err := m.host.read(name, len(added)+1)
		if err == nil {
			err = only(data)
		}
		if err != nil {
			m.note("%s cannot be read: %v: a program that uses it will not trust outvet", name, err)
			continue
		}
		i := slices.IndexFunc(known[len(data)], func(k bundle) bool { return bytes.Equal(k.data, data) })
		if i < 0 {
			if size += len(data) + len(added); size > total {
				m.note("%s and others are too many: programs that use them will not trust outvet but by its variables", name)
				return
			}
			n++
			i = len(known[len(data)])
			k := bundle{fmt.Sprintf("bundle-%d.pem", n), data}
			known[len(data)] = append(known[len(data)], k)
			m.file(k.file, join(data, added))
		}
		m.bind(known[len(data)][i].file, f)
	}
}

// anchors shows, in the place of each folder of further roots, one with ours in
// it besides.
func (m *maker) anchors(added []byte) {
	for i, dir := range m.host.find(anchorFolders, "") {
		name := m.host.inside(dir)
		folder := fmt.Sprintf("anchors-%d", i+1)
		m.file(folder+"/outvet.pem", added)
		size := 0
		for _, f := range m.host.list(dir) {
			data, err := m.host.read(filepath.Join(name, f), 0)
			if size += len(data); err != nil || size > limit || f == "outvet.pem" || only(data) != nil && !der(data) {
				m.note("%s/%s is left out: it is no certificate, or cannot be read", name, f)
				continue
			}
			m.file(folder+"/"+f, data)
		}
		m.bind(folder, dir)
	}
}

// bind shows a file of the kit in the place of one of the host.
func (m *maker) bind(file, real string) {
	m.Binds = append(m.Binds, Bind{File: file, Target: m.host.inside(real), Own: own(real)})
}
