package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, dir string) *Authority {
	t.Helper()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthorityIsMadeOnceAndFoundAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	a, b := open(t, dir), open(t, dir)
	if !a.Certificate().Equal(b.Certificate()) {
		t.Error("the second Open made another authority")
	}
	for name, mode := range map[string]os.FileMode{certFile: 0o644, keyFile: 0o600, "keys": 0o700 | os.ModeDir} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), mode)
		}
	}
	file, err := os.ReadFile(filepath.Join(dir, certFile))
	if err != nil || !bytes.Equal(file, a.PEM()) {
		t.Errorf("PEM is not the file (%v)", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*", ".tmp-*"))
	if more, _ := filepath.Glob(filepath.Join(dir, ".tmp-*")); len(left)+len(more) > 0 {
		t.Errorf("left behind: %v %v", left, more)
	}
}

func TestAuthoritySaysWhatItIs(t *testing.T) {
	c := open(t, t.TempDir()).Certificate()
	if !regexp.MustCompile(`^outvet CA [0-9a-f]{6}$`).MatchString(c.Subject.CommonName) {
		t.Errorf("name %q", c.Subject.CommonName)
	}
	if life := c.NotAfter.Sub(c.NotBefore); life > 5*365*24*time.Hour {
		t.Errorf("valid for %v", life)
	}
	if !c.IsCA || c.MaxPathLenZero || c.MaxPathLen != 1 || c.KeyUsage != x509.KeyUsageCertSign {
		t.Errorf("is CA %v, path length %d, usage %b", c.IsCA, c.MaxPathLen, c.KeyUsage)
	}
	if len(c.SubjectKeyId) == 0 || !bytes.Equal(c.SubjectKeyId, c.AuthorityKeyId) {
		t.Errorf("key identifiers %x, %x", c.SubjectKeyId, c.AuthorityKeyId)
	}
}

// Run as a process of its own, the test binary opens the directory that it is
// given.
func TestMain(m *testing.M) {
	dir := os.Getenv("CA_TEST_OPEN")
	if dir == "" {
		os.Exit(m.Run())
	}
	for os.Getenv("CA_TEST_ROTATE") != "" {
		_, err := Rotate(dir, time.Hour)
		if err == nil {
			_, err = Finish(dir)
		} else if strings.Contains(err.Error(), "under way") {
			_, err = Finish(dir) // one that was broken off
		}
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
	}
	a, err := Open(dir)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.Write(a.PEM())
}

func TestProcessesAtOnceAgreeOnOneAuthority(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		dir, got := t.TempDir(), make([][]byte, 6)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				cmd := exec.Command(exe)
				cmd.Env = append(os.Environ(), "CA_TEST_OPEN="+dir)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%v: %s", err, out)
				}
				got[i] = out
			})
		}
		wg.Wait()
		for _, g := range got {
			if !bytes.Equal(g, got[0]) {
				t.Fatalf("two authorities:\n%s\n%s", got[0], g)
			}
		}
	}
}

func TestCrashAfterTheKeyIsMended(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	if err := os.Remove(filepath.Join(dir, certFile)); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	if !b.Certificate().PublicKey.(*ecdsa.PublicKey).Equal(a.Certificate().PublicKey) {
		t.Error("the key was replaced")
	}
}

// write puts an authority of another making into dir.
func write(t *testing.T, dir string, tmpl *x509.Certificate, keyType string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalECPrivateKey(k)
	if keyType == "PRIVATE KEY" {
		kder, err = x509.MarshalPKCS8PrivateKey(k)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, certFile), encodeCertificate(der))
	put(t, filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: kder}))
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func elsewhere() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "Example Corp Issuing CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
}

func TestBrokenAuthorityIsRefusedWithAdvice(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		{"another key", func(t *testing.T, dir string) {
			open(t, dir)
			other := t.TempDir()
			open(t, other)
			k, _ := os.ReadFile(filepath.Join(other, keyFile))
			put(t, filepath.Join(dir, keyFile), k)
		}, []string{"does not belong", "remove"}},
		{"no key", func(t *testing.T, dir string) {
			open(t, dir)
			os.Remove(filepath.Join(dir, keyFile))
		}, []string{"has no key", "put it back"}},
		{"expired", func(t *testing.T, dir string) {
			c := elsewhere()
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
			write(t, dir, c, "PRIVATE KEY")
		}, []string{"expired on " + time.Now().Add(-24*time.Hour).UTC().Format(time.DateOnly), "remove"}},
		{"from the future", func(t *testing.T, dir string) {
			c := elsewhere()
			c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
			write(t, dir, c, "PRIVATE KEY")
		}, []string{"clock"}},
		{"a server's certificate", func(t *testing.T, dir string) {
			c := elsewhere()
			c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
			write(t, dir, c, "PRIVATE KEY")
		}, []string{"may not sign"}},
		{"garbage certificate", func(t *testing.T, dir string) {
			open(t, dir)
			put(t, filepath.Join(dir, certFile), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		}, []string{"is no certificate", "put back"}},
		{"empty certificate", func(t *testing.T, dir string) {
			open(t, dir)
			put(t, filepath.Join(dir, certFile), nil)
		}, []string{"is no certificate"}},
		{"garbage key", func(t *testing.T, dir string) {
			open(t, dir)
			put(t, filepath.Join(dir, keyFile), []byte("hello"))
		}, []string{"is no private key", "put back"}},
		{"key for all to read", func(t *testing.T, dir string) {
			open(t, dir)
			os.Chmod(filepath.Join(dir, keyFile), 0o644)
		}, []string{"anyone", "chmod 600"}},
		{"key is a directory", func(t *testing.T, dir string) {
			open(t, dir)
			os.Remove(filepath.Join(dir, keyFile))
			os.Mkdir(filepath.Join(dir, keyFile), 0o700)
		}, []string{"cannot be read"}},
		{"directory is a file", func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, "keys"), nil)
		}, []string{"keys"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.spoil(t, dir)
			_, err := Open(dir)
			if err == nil {
				t.Fatal("opened")
			}
			for _, w := range append(tt.want, "ca: ") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\nlacks %q", err, w)
				}
			}
			if strings.Count(err.Error(), "ca: ") != 1 {
				t.Errorf("prefix not once: %v", err)
			}
		})
	}
}

func TestAuthorityFromElsewhereIsUsedAsItIs(t *testing.T) {
	for _, keyType := range []string{"PRIVATE KEY", "EC PRIVATE KEY"} {
		dir := t.TempDir()
		write(t, dir, elsewhere(), keyType)
		a := open(t, dir)
		c, err := a.Leaf("api.example")
		if err != nil {
			t.Fatal(err)
		}
		if c.Leaf.Issuer.CommonName != "Example Corp Issuing CA" {
			t.Errorf("issuer %v", c.Leaf.Issuer)
		}
		// Half an hour is left to the authority: its leaves end with it.
		if c.Leaf.NotAfter.After(a.Certificate().NotAfter) {
			t.Error("the leaf outlives its authority")
		}
		if c.Leaf.NotBefore.Before(a.Certificate().NotBefore) {
			t.Error("the leaf is older than its authority")
		}
	}
}

func TestRSAAuthoritySigns(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
	if err != nil || !k.Equal(got) {
		t.Errorf("got %T, %v", got, err)
	}
}
