package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority returns a certificate in DER and its key in PEM.
func authority(t testing.TB, name string) (certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})
}

// tree makes a host of files; the content "-> X" is a link to X.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, link := strings.CutPrefix(text, "-> "); link {
			err = os.Symlink(to, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func file(k *Kit, name string) []byte {
	for _, f := range k.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func bound(k *Kit, target string) string {
	for _, b := range k.Binds {
		if b.Target == target {
			return b.File
		}
	}
	return ""
}

func pemOf(c certificate) string { return string(encode([]certificate{c})) }

func TestNobodyLosesARootThatHeHad(t *testing.T) {
	ours, _ := authority(t, "ours")
	sys, _ := authority(t, "system")
	corp, corpKey := authority(t, "corporation")
	pip, _ := authority(t, "pip")
	conda, _ := authority(t, "conda")
	java, _ := authority(t, "java")
	root := tree(t, map[string]string{
		"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": "# roots\n" + pemOf(sys),
		"etc/pki/tls/certs/ca-bundle.crt":                  "-> ../../ca-trust/extracted/pem/tls-ca-bundle.pem",
		"etc/ssl/cert.pem":                                 "-> ../pki/tls/certs/ca-bundle.crt",
		"corp.pem":                                         string(corpKey) + pemOf(corp) + pemOf(sys),
		"home/u/.pyenv/versions/3.9.1/lib/python3.9/site-packages/certifi/cacert.pem":             strings.TrimSuffix(pemOf(conda), "\n"),
		"home/u/.pyenv/versions/3.9.1/lib/python3.9/site-packages/pip/_vendor/certifi/cacert.pem": pemOf(pip),
		"usr/lib/python3/dist-packages/certifi/cacert.pem":                                        "-> ../../../../../etc/ssl/cert.pem",
		"usr/lib/python3/dist-packages/pip/_vendor/certifi/cacert.pem":                            pemOf(pip),
		"home/u/w/.venv/lib/python3.9/site-packages/certifi/cacert.pem":                           pemOf(pip),
		"usr/lib/jvm/a/lib/security/cacerts":                                                      string(writeJKS([]entry{{"java", java}})),
		"home/u/.wgetrc":                                                                          "quiet = on",
	})
	k, err := Make(Options{CA: []byte(pemOf(ours)), Root: root, Workspace: "/home/u/w",
		Env: []string{"HOME=/home/u", "VIRTUAL_ENV=/home/u/w/.venv", "SSL_CERT_FILE=/corp.pem", "GIT_SSL_CAINFO=/corp.pem", "REQUESTS_CA_BUNDLE=/gone.pem", "CURL_CA_BUNDLE=rel.pem", "SSL_CERT_FILE=/second"}})
	if err != nil {
		t.Fatal(err)
	}
	added := pemOf(ours) + pemOf(corp)
	for name, want := range map[string]string{
		"merged.pem":   "# roots\n" + pemOf(sys) + added,
		"ours.pem":     added,
		"bundle-1.pem": pemOf(conda) + added,
		"bundle-2.pem": pemOf(pip) + added,
		"wgetrc":       "ca_certificate = /run/outvet/trust/merged.pem\n",
	} {
		if got := string(file(k, name)); got != want {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
	}
	for target, want := range map[string]string{
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem":                                        "merged.pem",
		"/home/u/.pyenv/versions/3.9.1/lib/python3.9/site-packages/certifi/cacert.pem":             "bundle-1.pem",
		"/home/u/.pyenv/versions/3.9.1/lib/python3.9/site-packages/pip/_vendor/certifi/cacert.pem": "bundle-2.pem",
		"/usr/lib/python3/dist-packages/pip/_vendor/certifi/cacert.pem":                            "bundle-2.pem",
		"/usr/lib/jvm/a/lib/security/cacerts":                                                      "java-1.jks",
		"/home/u/.pki/nssdb":                                                                       "nssdb",
	} {
		if got := bound(k, target); got != want {
			t.Errorf("over %s lies %q, want %q", target, got, want)
		}
	}
	if len(k.Binds) != 6 {
		t.Errorf("there are %d binds: %+v", len(k.Binds), k.Binds)
	}
	store, err := readStore(file(k, "java-1.jks"))
	if err != nil {
		t.Fatal(err)
	}
	var certs []string
	for _, e := range store {
		certs = append(certs, string(e.cert))
	}
	if !slices.Equal(certs, []string{string(java), string(ours), string(corp)}) {
		t.Errorf("the store of Java has %d certificates, not its own, ours and the user's", len(certs))
	}
	for _, f := range k.Files {
		if bytes.Contains(f.Data, []byte("PRIVATE")) {
			t.Errorf("%s has the key that stood beside a certificate", f.Name)
		}
	}
	if len(k.Notes) != 2 || !strings.Contains(k.Notes[0]+k.Notes[1], "/gone.pem") || !strings.Contains(k.Notes[0]+k.Notes[1], "rel.pem") {
		t.Errorf("notes: %q", k.Notes)
	}
}

func TestShownIsEveryFileInEachOfItsPlaces(t *testing.T) {
	k := &Kit{Dir: "/d", Files: []File{{"a", []byte("A")}, {"db/x", []byte("X")}, {"db/y", nil}, {"dbx", nil}}, Binds: []Bind{{File: "a", Target: "/t"}, {File: "db", Target: "/h/db", Make: true, Write: true}}}
	var got []string
	for _, s := range k.Shown() {
		got = append(got, s.To+"="+string(s.Content))
	}
	if want := []string{"/d/a=A", "/d/db/x=X", "/d/db/y=", "/d/dbx=", "/t=A", "/h/db/x=X", "/h/db/y="}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFoldersOfTheUserAreMergedToo(t *testing.T) {
	ours, _ := authority(t, "ours")
	corp, key := authority(t, "corporation")
	root := tree(t, map[string]string{"etc/ssl/certs/ca-certificates.crt": pemOf(ours), "corp/certs/12345678.0": pemOf(corp), "corp/certs/again.pem": pemOf(corp), "corp/certs/key.pem": string(key),
		"etc/ssl/certs/other.pem": pemOf(corp)})
	for dirs, want := range map[string]string{"/corp/certs": pemOf(ours) + pemOf(corp), "/none:/corp/certs": pemOf(ours) + pemOf(corp), "/etc/ssl/certs/": pemOf(ours), "corp/certs": pemOf(ours)} {
		k, err := Make(Options{CA: []byte(pemOf(ours)), Root: root, Env: []string{"HOME=/h", "SSL_CERT_DIR=" + dirs}})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(file(k, "ours.pem")); got != want {
			t.Errorf("SSL_CERT_DIR=%s: ours.pem is\n%s\nwant\n%s", dirs, got, want)
		}
	}
}

func TestAnEmptyHostGetsWhatThereIs(t *testing.T) {
	ours, _ := authority(t, "ours")
	k, err := Make(Options{CA: []byte(pemOf(ours)), Root: t.TempDir(), Dir: "/x"})
	if err != nil {
		t.Fatal(err)
	}
	if string(file(k, "merged.pem")) != pemOf(ours) || len(k.Binds) != 0 || len(k.Notes) != 2 {
		t.Errorf("kit: binds %v, notes %q", k.Binds, k.Notes)
	}
	if !slices.Contains(k.Vars, "SSL_CERT_FILE=/x/merged.pem") || !slices.Contains(k.Vars, "NODE_EXTRA_CA_CERTS=/x/ours.pem") {
		t.Errorf("variables: %q", k.Vars)
	}
}

func TestAnAuthorityWithoutCertificateIsAnError(t *testing.T) {
	_, key := authority(t, "ours")
	for _, ca := range []string{"", "x", string(key), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if k, err := Make(Options{CA: []byte(ca), Root: t.TempDir()}); err == nil {
			t.Errorf("a kit was made of %.30q: %v", ca, k.Vars)
		}
	}
}

func TestWhatIsNoFileOfCertificatesIsLeftAlone(t *testing.T) {
	ours, _ := authority(t, "ours")
	locked, err := asn1.Marshal(pfx{Version: 3, AuthSafe: contentInfo{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}}})
	if err != nil {
		t.Fatal(err)
	}
	root := tree(t, map[string]string{"etc/ssl/certs/ca-certificates.crt": pemOf(ours), "usr/lib/jvm/locked/lib/security/cacerts": string(locked), "usr/lib/python3/dist-packages/certifi/cacert.pem/x": "a folder",
		"usr/lib/jvm/bad/lib/security/cacerts": "neither", "usr/lib/jvm/loop/lib/security/cacerts": "-> cacerts", "big": ""})
	if err := os.Truncate(filepath.Join(root, "big"), limit+1); err != nil {
		t.Fatal(err)
	}
	k, err := Make(Options{CA: []byte(pemOf(ours)), Root: root, Env: []string{"HOME=/h", "SSL_CERT_FILE=/big", "PIP_CERT=/etc", "VIRTUAL_ENV=/x*y"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(k.Notes) != 5 { // /big, /etc, the folder, the store that is none, the one that was replaced
		t.Errorf("notes %q", k.Notes)
	}
	if bad, locked := bound(k, "/usr/lib/jvm/bad/lib/security/cacerts"), bound(k, "/usr/lib/jvm/locked/lib/security/cacerts"); bad != "" || locked != "java-1.jks" {
		t.Errorf("over what is no store lies %q, over one that is encrypted %q", bad, locked)
	}
}

// An agent may have put links where bundles are looked for, in a session before
// this one. What they lead to must not be shown by way of the kit.
func TestAPlantedLinkShowsNothingHidden(t *testing.T) {
	ours, key := authority(t, "ours")
	both := string(key) + pemOf(ours)
	root := tree(t, map[string]string{
		"etc/ssl/certs/ca-certificates.crt": pemOf(ours), "secret/key": string(key), "secret/both": both, "secret/token": "hush-token", "secret/bin": pemOf(ours) + "hush\x00",
		"secret/bundle": pemOf(ours) + "hush",
	})
	for i, to := range []string{"key", "both", "token", "bin"} {
		for name, dir := range map[string]string{"certifi/cacert.pem": "h/.pyenv/versions/%/lib/python3/site-packages/", "lib/security/cacerts": "h/.jdks/%/"} {
			p := filepath.Join(root, strings.Replace(dir, "%", string(rune('0'+i)), 1), name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.Symlink(filepath.Join(root, "secret", to), p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The workspace is the agent's own: a link there may lead to a true bundle, too.
	for _, p := range []string{"h/w/.venv/lib/python3/site-packages/certifi/cacert.pem", "h/w/jdk/lib/security/cacerts"} {
		p = filepath.Join(root, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.Symlink(filepath.Join(root, "secret/bundle"), p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "secret/token"), filepath.Join(root, "h/.wgetrc")); err != nil {
		t.Fatal(err)
	}
	k, err := Make(Options{CA: []byte(pemOf(ours)), Root: root, Workspace: "/h/w", Env: []string{"HOME=/h", "VIRTUAL_ENV=/h/w/.venv", "JAVA_HOME=/h/w/jdk", "SSL_CERT_FILE=/secret/both"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range k.Files {
		if bytes.Contains(f.Data, []byte("PRIVATE")) || bytes.Contains(f.Data, []byte("hush")) {
			t.Errorf("%s shows what is hidden", f.Name)
		}
	}
	for _, b := range k.Binds {
		if within("/h/w", b.Target) || strings.HasPrefix(b.Target, "/secret") && strings.HasSuffix(b.File, ".pem") {
			t.Errorf("%s is shown over %s", b.File, b.Target)
		}
	}
}

func TestFoldersOfFurtherRootsKeepWhatTheyHave(t *testing.T) {
	ours, key := authority(t, "ours")
	corp, _ := authority(t, "corporation")
	root := tree(t, map[string]string{"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": pemOf(corp), "etc/pki/ca-trust/source/anchors/corp.pem": pemOf(corp),
		"etc/pki/ca-trust/source/anchors/corp.der": string(corp), "etc/pki/ca-trust/source/anchors/key.pem": string(key), "etc/pki/ca-trust/source/anchors/README": "text"})
	k, err := Make(Options{CA: []byte(pemOf(ours)), Root: root, Env: []string{"HOME=/h"}})
	if err != nil {
		t.Fatal(err)
	}
	if bound(k, "/etc/pki/ca-trust/source/anchors") != "anchors-1" {
		t.Errorf("binds %+v", k.Binds)
	}
	for name, want := range map[string]string{"outvet.pem": pemOf(ours), "corp.pem": pemOf(corp), "corp.der": string(corp), "key.pem": "", "README": ""} {
		if got := string(file(k, "anchors-1/"+name)); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if len(k.Notes) != 2 {
		t.Errorf("notes %q", k.Notes)
	}
}

func TestAPipeAndAFloodHoldNothingUp(t *testing.T) {
	ours, _ := authority(t, "ours")
	files := map[string]string{"etc/ssl/certs/ca-certificates.crt": pemOf(ours)}
	for i := range 20 { // each of another size, all more than there may be
		files[fmt.Sprintf("h/.pyenv/versions/%02d/lib/python3/site-packages/certifi/cacert.pem", i)] = pemOf(ours) + strings.Repeat("#", limit-2000-i)
	}
	root := tree(t, files)
	for _, p := range []string{"pipe", "h/.jdks/x/lib/security/cacerts", "usr/lib/python3/dist-packages/certifi/cacert.pem"} {
		p = filepath.Join(root, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), syscall.Mkfifo(p, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	k, err := Make(Options{CA: []byte(pemOf(ours)), Root: root, Env: []string{"HOME=/h", "SSL_CERT_FILE=/pipe"}})
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, f := range k.Files {
		size += len(f.Data)
	}
	if size > total+(1<<20) || len(k.Notes) != 3 {
		t.Errorf("%d bytes, notes %q", size, k.Notes)
	}
}

func TestTheCacheSavesWorkAndBelievesNothingBroken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "cache")
	made := 0
	get := func(parts ...string) string {
		var p [][]byte
		for _, s := range parts {
			p = append(p, []byte(s))
		}
		b, err := cached(dir, "k", func() ([]byte, error) { made++; return []byte("made of " + strings.Join(parts, "+")), nil }, p...)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for range 2 {
		if get("a", "b") != "made of a+b" || get("ab", "") != "made of ab+" {
			t.Fatal("the cache mixes things up")
		}
	}
	if made != 2 {
		t.Errorf("made %d times", made)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		if err := os.WriteFile(f, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if get("a", "b") != "made of a+b" {
		t.Error("a broken file of the cache was believed")
	}
	for i := range 3 * keep {
		get("many", string(rune('a'+i)))
	}
	if files, _ = filepath.Glob(filepath.Join(dir, "*")); len(files) > keep {
		t.Errorf("%d files stay in the cache", len(files))
	}
	dir = "/proc/nowhere"
	if get("a", "b") != "made of a+b" {
		t.Error("a cache that cannot be written broke the kit")
	}
}

func TestInstallStaysInItsFolder(t *testing.T) {
	for _, n := range []string{"../x", "/x", "a/../../x"} {
		if err := (&Kit{Files: []File{{n, nil}}}).Install(t.TempDir()); err == nil {
			t.Errorf("%q was written", n)
		}
	}
}

// FuzzCertificates: only certificates come out, whatever stands beside them.
func FuzzCertificates(f *testing.F) {
	a, key := authority(f, "a")
	f.Add([]byte("text\n" + pemOf(a) + string(key) + pemOf(a)))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := certificates(data)
		if err != nil {
			return
		}
		out := encode(certs)
		again, err := certificates(out)
		if err != nil || len(again) != len(certs) || strings.Count(string(out), "-----BEGIN ") != len(certs) {
			t.Fatalf("%d certificates became %d: %v", len(certs), len(again), err)
		}
	})
}

// BenchmarkMake is what a launch pays on this machine, with a cache that is
// filled and without one.
func BenchmarkMake(b *testing.B) {
	ours, _ := authority(b, "ours")
	for name, cache := range map[string]string{"cached": b.TempDir(), "bare": ""} {
		b.Run(name, func(b *testing.B) {
			o := Options{CA: []byte(pemOf(ours)), Env: os.Environ(), Cache: cache}
			if _, err := Make(o); err != nil {
				b.Fatal(err)
			}
			var before, after syscall.Rusage
			syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			for b.Loop() {
				if _, err := Make(o); err != nil {
					b.Fatal(err)
				}
			}
			syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			b.ReportMetric(float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano())/float64(b.N), "cpu-ns/op")
		})
	}
}
