package ca

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func pemFile(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, certFile))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// trusts reports whether who trusts the certificates in pems takes what a serves.
func trusts(t testing.TB, a *Authority, pems []byte) error {
	t.Helper()
	leaf, err := a.Leaf("api.example")
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(pems)
	for _, der := range leaf.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(c)
	}
	_, err = leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: "api.example"})
	return err
}

func rotate(t testing.TB, dir string, overlap time.Duration) Rotation {
	t.Helper()
	r, err := Rotate(dir, overlap)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOldAuthoritySignsUntilTheRotationIsFinished(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	old, oldPEM := a.Certificate(), pemFile(t, dir)
	r := rotate(t, dir, time.Hour)
	if !r.Crossed || !r.Old.Equal(old) || r.New.Equal(old) {
		t.Errorf("%+v", r)
	}
	both := pemFile(t, dir)
	if !bytes.HasPrefix(both, oldPEM) || !bytes.HasSuffix(both, encodeCertificate(r.New.Raw)) {
		t.Errorf("ca.pem holds\n%s", both)
	}
	if err := a.look(time.Now()); err != nil {
		t.Fatal(err)
	}
	if !a.Certificate().Equal(old) || !bytes.Equal(a.PEM(), both) {
		t.Error("the old one does not sign any more")
	}
	if _, err := Rotate(dir, time.Hour); err == nil || !strings.Contains(err.Error(), "--finish") {
		t.Errorf("a second rotation: %v", err)
	}
	c, err := Finish(dir)
	if err != nil || !c.Equal(r.New) {
		t.Fatalf("%v, %v", c, err)
	}
	if err := a.look(time.Now()); err != nil {
		t.Fatal(err)
	}
	if !a.Certificate().Equal(r.New) || !bytes.Equal(pemFile(t, dir), encodeCertificate(r.New.Raw)) {
		t.Error("the new one does not sign alone")
	}
	for name, pems := range map[string][]byte{"old": oldPEM, "both": both, "new": pemFile(t, dir)} {
		if err := trusts(t, a, pems); err != nil {
			t.Errorf("who trusts %s: %v", name, err)
		}
		if err := trusts(t, open(t, dir), pems); err != nil {
			t.Errorf("who trusts %s, after a restart: %v", name, err)
		}
	}
	if _, err := Finish(dir); err == nil {
		t.Error("it was finished twice")
	}
	for name, mode := range map[string]os.FileMode{certFile: 0o644, keyFile: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestOverlapEndsByItself(t *testing.T) {
	for _, restart := range []bool{false, true} {
		dir := t.TempDir()
		a := open(t, dir)
		r := rotate(t, dir, time.Hour)
		if err := a.look(time.Now()); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Hour + time.Minute)
		if restart {
			i, err := read(dir, later)
			if err != nil {
				t.Fatal(err)
			}
			a.now.Store(i)
		} else if err := a.look(later); err != nil {
			t.Fatal(err)
		}
		if !a.Certificate().Equal(r.New) || bytes.Count(pemFile(t, dir), []byte("BEGIN")) != 1 {
			t.Errorf("restart %t: the new one does not sign alone", restart)
		}
	}
}

func TestAuthorityThatMaySignLeavesAloneIsRotatedWithoutACrossSignature(t *testing.T) {
	dir := t.TempDir()
	c := elsewhere()
	c.MaxPathLenZero, c.NotAfter = true, time.Now().Add(100*time.Hour)
	write(t, dir, c, "EC PRIVATE KEY")
	old := pemFile(t, dir)
	r := rotate(t, dir, 0)
	a := open(t, dir)
	if r.Crossed || !a.Certificate().Equal(r.New) {
		t.Errorf("%+v", r)
	}
	if trusts(t, a, old) == nil || trusts(t, a, pemFile(t, dir)) != nil {
		t.Error("not as told")
	}
}

func TestIssuedAuthorityIsNotRotated(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	root := open(t, other).now.Load()
	r, err := successor(root, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.certs = r.certs[1:] // signed by root
	text, _ := r.encode()
	os.MkdirAll(filepath.Join(dir, "keys"), 0o700)
	put(t, filepath.Join(dir, keyFile), text)
	put(t, filepath.Join(dir, certFile), append(encode(r.certs), encodeCertificate(root.cert.Raw)...))
	if err := trusts(t, open(t, dir), pemFile(t, other)); err != nil {
		t.Errorf("it does not even serve: %v", err)
	}
	if _, err := Rotate(dir, 0); err == nil || !strings.Contains(err.Error(), "was signed by") {
		t.Errorf("%v", err)
	}
}

func TestRotationBrokenOffAnywhereLeavesAWorkingAuthority(t *testing.T) {
	// The files after each step, as a crash would leave them.
	dir := t.TempDir()
	oldPEM := open(t, dir).PEM()
	oldKey, _ := os.ReadFile(filepath.Join(dir, keyFile))
	r := rotate(t, dir, time.Hour)
	both := pemFile(t, dir)
	next, _ := os.ReadFile(filepath.Join(dir, nextFile))
	newPEM := encodeCertificate(r.New.Raw)
	for name, files := range map[string]struct {
		cert, key, next []byte
		now             time.Duration
		signer          *x509.Certificate
		want            []byte
	}{
		"successor made, not announced":         {oldPEM, oldKey, next, 0, r.Old, both},
		"… and due":                             {oldPEM, oldKey, next, 2 * time.Hour, r.New, newPEM},
		"announced":                             {both, oldKey, next, 0, r.Old, both},
		"taken over, ca.pem as before":          {both, next, nil, 0, r.New, newPEM},
		"taken over, ca.pem lost":               {nil, next, nil, 0, r.New, newPEM},
		"done":                                  {newPEM, next, nil, 0, r.New, newPEM},
		"given up by hand: successor's removed": {both, oldKey, nil, 0, r.Old, both},
	} {
		d := t.TempDir()
		os.MkdirAll(filepath.Join(d, "keys"), 0o700)
		for f, data := range map[string][]byte{certFile: files.cert, keyFile: files.key, nextFile: files.next} {
			if data != nil {
				put(t, filepath.Join(d, f), data)
			}
		}
		i, err := read(d, time.Now().Add(files.now))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !i.cert.Equal(files.signer) || !bytes.Equal(pemFile(t, d), files.want) {
			t.Errorf("%s: %s signs, ca.pem:\n%s", name, i.cert.Subject.CommonName, pemFile(t, d))
		}
		a := open(t, d)
		if err := trusts(t, a, files.want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKilledRotationsLeaveAWorkingAuthority ends a process that rotates without
// pause, at any moment.
func TestKilledRotationsLeaveAWorkingAuthority(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	for range 25 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "CA_TEST_OPEN="+dir, "CA_TEST_ROTATE=1")
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+rand.IntN(60)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if said.Len() > 0 {
			t.Fatalf("it ended by itself: %s", said.String())
		}
		a := open(t, dir)
		if err := trusts(t, a, pemFile(t, dir)); err != nil {
			t.Fatalf("%v\n%s", err, pemFile(t, dir))
		}
	}
}

func TestWhatIsWrongUnderWayChangesNothingInMemory(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"no key":            func(d string) error { return os.Remove(filepath.Join(d, keyFile)) },
		"no folder":         func(d string) error { return os.RemoveAll(d) },
		"garbage key":       func(d string) error { return os.WriteFile(filepath.Join(d, keyFile), []byte("x"), 0o600) },
		"garbage authority": func(d string) error { return os.WriteFile(filepath.Join(d, certFile), []byte("x"), 0o600) },
		"garbage successor": func(d string) error { return os.WriteFile(filepath.Join(d, nextFile), []byte("x"), 0o600) },
		"key for all":       func(d string) error { return os.Chmod(filepath.Join(d, keyFile), 0o644) },
	} {
		dir := t.TempDir()
		a := open(t, dir)
		pems := a.PEM()
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		err := a.look(time.Now())
		if err == nil || !strings.Contains(err.Error(), "in memory goes on") {
			t.Errorf("%s: %v", name, err)
		}
		if err := trusts(t, a, pems); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := a.look(time.Now()); err != nil {
			t.Errorf("%s is told twice: %v", name, err)
		}
	}
}

func TestBrokenSuccessorIsToldAtTheStart(t *testing.T) {
	for _, text := range []string{"", "finish: never\n", "x"} {
		dir := t.TempDir()
		open(t, dir)
		key, _ := os.ReadFile(filepath.Join(dir, keyFile))
		put(t, filepath.Join(dir, nextFile), append([]byte(text), key...))
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), nextFile) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRunningServerTakesTheSuccessorUpAndConnectionsGoOn(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	addr := serve(t, a.TLSConfig(nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, failed := make(chan bool, 8), make(chan error, 8)
	go a.Watch(ctx, func(*Authority) { changed <- true }, func(err error) { failed <- err })
	conf := &tls.Config{RootCAs: trust(a), ServerName: "api.example", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	kept, err := tls.Dial("tcp", addr, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	r := rotate(t, dir, time.Hour)
	if _, err := Finish(dir); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case err := <-failed:
		t.Fatal(err)
	case <-time.After(10 * time.Second):
		t.Fatal("not noticed")
	}
	fresh, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: trust(a), ServerName: "api.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if got := fresh.ConnectionState().PeerCertificates[0].Issuer.CommonName; got != r.New.Subject.CommonName {
		t.Errorf("signed by %s", got)
	}
	if _, err := kept.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	again, err := tls.Dial("tcp", addr, conf) // trusts the old one alone, and may resume
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestClientsThatTrustEitherVerify asks real clients, before and after.
func TestClientsThatTrustEitherVerify(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }),
		TLSConfig: a.TLSConfig(func(*tls.ClientHelloInfo) (string, error) { return "localhost", nil })}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.ServeTLS(l, "", "")
	defer srv.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	url := "https://localhost:" + port + "/"
	files := t.TempDir()
	keep := func(name string) string {
		p := filepath.Join(files, name)
		put(t, p, pemFile(t, dir))
		return p
	}
	old := keep("old.pem")
	rotate(t, dir, time.Hour)
	both := keep("both.pem")
	look := func() {
		if err := a.look(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	for _, pems := range []string{old, both} {
		clients(t, "during the overlap", pems, url, port)
	}
	if _, err := Finish(dir); err != nil {
		t.Fatal(err)
	}
	look()
	for _, pems := range []string{old, both, keep("new.pem")} {
		clients(t, "after it", pems, url, port)
	}
}

// clients lets every client that is here get url, trusting pems alone.
func clients(t *testing.T, when, pems, url, port string) {
	t.Helper()
	const python = `
import ssl, sys, urllib.request
c = ssl.create_default_context(cafile=sys.argv[1])
c.verify_flags |= ssl.VERIFY_X509_STRICT
print(urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=c)).open(sys.argv[2]).read().decode())
`
	const node = `
const fs = require('fs'), https = require('https')
https.get(process.argv[2], {ca: fs.readFileSync(process.argv[1])}, r => { r.pipe(process.stdout) }).on('error', e => { console.error(e); process.exit(1) })
`
	for _, args := range [][]string{
		{"curl", "-sS", "--noproxy", "*", "--cacert", pems, url},
		{"python3", "-c", python, pems, url},
		{"node", "-e", node, pems, url},
		{"wget", "-qO-", "--no-proxy", "--ca-certificate=" + pems, url},
		{"openssl", "s_client", "-quiet", "-verify_return_error", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", pems, "-servername", "localhost", "-connect", "localhost:" + port},
	} {
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Logf("no %s here", args[0])
			continue
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = strings.NewReader("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
		cmd.Env = append(os.Environ(), "PYTHONNOUSERSITE=1", "NODE_EXTRA_CA_CERTS=")
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("hello")) {
			t.Errorf("%s, %s trusting %s: %v: %s", when, args[0], filepath.Base(pems), err, out)
		}
	}
}

func FuzzReadRing(f *testing.F) {
	dir := f.TempDir()
	open(f, dir)
	key, _ := os.ReadFile(filepath.Join(dir, keyFile))
	r := rotate(f, dir, time.Hour)
	next, _ := os.ReadFile(filepath.Join(dir, nextFile))
	f.Add(key)
	f.Add(next)
	f.Add(append(bytes.Clone(key), encodeCertificate(r.New.Raw)...))
	f.Add(bytes.Replace(next, []byte("finish: 2"), []byte("finish: x"), 1))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	path := filepath.Join(f.TempDir(), "ring")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := readRing(path)
		if err != nil {
			if r != nil || !strings.Contains(err.Error(), "ca: ") {
				t.Errorf("%v, %v", r, err)
			}
			return
		}
		if r.key == nil || len(r.certs) > 0 && !fits(r.certs[0], r.key) {
			t.Error("a ring without its key")
		}
		text, err := r.encode()
		if err != nil {
			return // a kind of key that is read and not written
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := readRing(path)
		if err != nil || fmt.Sprint(again.finish, len(again.certs)) != fmt.Sprint(r.finish, len(r.certs)) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
