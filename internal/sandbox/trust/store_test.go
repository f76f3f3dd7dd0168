package trust

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestJavaItselfReadsAndWritesStoresAsWeDo(t *testing.T) {
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Skip("keytool is not installed")
	}
	a, _ := authority(t, "first")
	b, _ := authority(t, "second ü")
	dir := t.TempDir()
	ours := filepath.Join(dir, "ours.jks")
	cert := filepath.Join(dir, "c.pem")
	if err := os.WriteFile(ours, writeJKS([]entry{{"one", a}, {"one", b}}), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cert, []byte(pemOf(a)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(keytool, "-list", "-keystore", ours, "-storepass", "changeit").CombinedOutput()
	if err != nil || strings.Count(string(out), "trustedCertEntry") != 2 {
		t.Errorf("keytool reads our store as: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name  string
		args  []string
		fails error
	}{
		{"jks", []string{"-storetype", "JKS"}, nil},
		{"plain.p12", []string{"-storetype", "PKCS12", "-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE", "-J-Dkeystore.pkcs12.macAlgorithm=NONE"}, nil},
		{"encrypted.p12", []string{"-storetype", "PKCS12"}, errEncrypted},
	} {
		store := filepath.Join(dir, c.name)
		args := append([]string{"-importcert", "-noprompt", "-alias", "theirs", "-file", cert, "-keystore", store, "-storepass", "changeit"}, c.args...)
		if out, err := exec.Command(keytool, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: keytool: %v\n%s", c.name, err, out)
			continue
		}
		data, err := os.ReadFile(store)
		if err != nil {
			t.Fatal(err)
		}
		e, err := readStore(data)
		if err != c.fails {
			t.Errorf("%s: %v, want %v", c.name, err, c.fails)
		} else if err == nil && (len(e) != 1 || e[0].alias != "theirs" || !bytes.Equal(e[0].cert, a)) {
			t.Errorf("%s: read %+v", c.name, e)
		}
	}
}

func TestNSSTrustsTheDatabase(t *testing.T) {
	certutil, err := exec.LookPath("certutil")
	if err != nil {
		t.Skip("certutil is not installed")
	}
	a, _ := authority(t, "one")
	b, _ := authority(t, "two")
	k, err := Make(Options{CA: []byte(pemOf(a) + pemOf(b)), Env: []string{"HOME=/h"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := k.Install(dir); err != nil {
		t.Fatal(err)
	}
	db := "sql:" + filepath.Join(dir, "nssdb")
	for _, n := range []string{"outvet-0", "outvet-1"} {
		if out, err := exec.Command(certutil, "-V", "-u", "L", "-n", n, "-d", db).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", n, err, out)
		}
	}
	out, err := exec.Command(certutil, "-L", "-d", db).CombinedOutput()
	if err != nil || strings.Count(string(out), "C,,") != 2 {
		t.Errorf("certutil: %v\n%s", err, out)
	}
	// A user adds his own later.
	if err := os.WriteFile(filepath.Join(dir, "c.pem"), []byte(pemOf(b)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(certutil, "-A", "-t", "C,,", "-n", "added", "-i", filepath.Join(dir, "c.pem"), "-d", db).CombinedOutput(); err != nil {
		t.Errorf("certutil -A: %v: %s", err, out)
	}
}

// FuzzReadStore: no input breaks the readers, and what they read survives
// writing.
func FuzzReadStore(f *testing.F) {
	a, _ := authority(f, "a")
	f.Add(writeJKS([]entry{{"one", a}, {"two", a}}))
	f.Add([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0})
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := readStore(data)
		if err != nil {
			return
		}
		again, err := readStore(writeJKS(e))
		if err != nil || len(again) != len(e) {
			t.Fatalf("%d entries became %d: %v", len(e), len(again), err)
		}
		for i := range e {
			if !bytes.Equal(e[i].cert, again[i].cert) {
				t.Fatalf("certificate %d changed", i)
			}
		}
	})
}
