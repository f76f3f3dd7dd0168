package agents

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// An origin is the internet: it answers under any name, as the model where that is
// asked, and otherwise by saying what it got.
type origin struct {
	ca         []byte // PEM
	tls, plain string // addresses
	model      *model
	files      map[string][]byte // by host and path, in place of all else

	// mu guards got.
	mu  sync.Mutex
	got strings.Builder
}

// bodyMax bounds a request, in bytes.
const bodyMax = 32 << 20

func newOrigin(t *testing.T, script []string) *origin {
	t.Helper()
	o := &origin{model: &model{script: script}}
	conf := o.certificates(t)
	for _, c := range []*tls.Config{conf, nil} {
		l := listen(t)
		s := &http.Server{Handler: o, TLSConfig: c, ReadHeaderTimeout: 10 * time.Second}
		t.Cleanup(func() { s.Close() })
		if c != nil {
			o.tls = l.Addr().String()
			go s.ServeTLS(l, "", "")
		} else {
			o.plain = l.Addr().String()
			go s.Serve(l)
		}
	}
	return o
}

// listen waits for a free port: what else runs on a machine may have used all up.
func listen(t *testing.T) net.Listener {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			return l
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if o.model.talk(w, r) {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMax))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if o.model.answer(w, r, body) {
		return
	}
	o.mu.Lock()
	fmt.Fprintf(&o.got, "%s https://%s%s %q\n", r.Method, r.Host, r.URL.Path, body)
	o.mu.Unlock()
	if o.file(w, r) {
		return
	}
	if !strings.HasSuffix(r.Host, ".example.com") {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{}`)
		return
	}
	time.Sleep(500 * time.Millisecond) // the program is gone once it has its answer: a busy machine needs time to look
	fmt.Fprintf(w, "origin got %s %s: %s\n", r.Method, r.URL.Path, body)
}

// log is what was received besides questions to the model.
func (o *origin) log() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.got.String()
}

// results are those of the tools that the model was told, in the order of the
// script.
func (o *origin) results() []string { return o.model.results() }

// certificates makes a CA and returns what issues a leaf for any name.
func (o *origin) certificates(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "origin CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	o.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &tls.Config{NextProtos: []string{"h2", "http/1.1"}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: h.ServerName}, DNSNames: []string{h.ServerName},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
		if err != nil {
			return nil, err
		}
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	}}
}
