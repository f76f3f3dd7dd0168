package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	certFile = "ca.pem"
	keyFile  = "keys/ca.key"
	nextFile = "keys/ca.next"

	// backdate is what clocks may differ by.
	backdate = time.Hour
	lifetime = 5*365*24*time.Hour - 24*time.Hour
)

// An Authority signs leaves for the hosts that clients ask for. It is safe for
// concurrent use.
type Authority struct {
	dir     string
	leafKey *ecdsa.PrivateKey
	now     atomic.Pointer[issuer]

	// mu makes one look at the files at a time.
	mu   sync.Mutex
	seen string // the files as they were last looked at; "" before the first look
}

// An issuer is what signs leaves at present. It is not changed, but for its
// leaves.
type issuer struct {
	cert   *x509.Certificate
	key    crypto.Signer
	chain  [][]byte // DER, sent behind each leaf
	trust  []*x509.Certificate
	finish time.Time // when the successor takes over; zero if there is none
	leaves cache
}

// Open returns the authority whose files are in dir, and makes it if there is
// none. An error says what is wrong and what to do. No other process is
// waited for.
func Open(dir string) (*Authority, error) {
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: making a key: %w", err)
	}
	a := &Authority{dir: dir, leafKey: leafKey}
	i, err := read(dir, time.Now())
	if err != nil {
		return nil, err
	}
	a.now.Store(i)
	return a, nil
}

// read reads the files of dir, makes what is missing and completes a rotation
// that is due or was broken off.
func read(dir string, now time.Time) (*issuer, error) {
	// The certificate is read first: a maker writes the key first, so a
	// certificate without a key is no maker at work.
	trust, err := readChain(filepath.Join(dir, certFile))
	if err != nil {
		return nil, err
	}
	key, err := openKey(dir, trust != nil)
	if err != nil {
		return nil, err
	}
	if trust == nil {
		if trust, err = makeCertificate(filepath.Join(dir, certFile), key, now); err != nil {
			return nil, err
		}
	}
	next, err := readNext(dir, now)
	if err != nil {
		return nil, err
	}
	i := issuerOf(trust, key)
	if err := check(dir, i.cert, key, now); err != nil && (next == nil || !now.After(i.cert.NotAfter)) {
		return nil, err
	}
	if next == nil {
		return i, i.settle(dir, key)
	}
	if i.trust, err = announce(dir, trust, next.certs[0]); err != nil {
		return nil, err
	}
	if now.Before(next.finish) && now.Before(i.cert.NotAfter) {
		i.finish = next.finish
		return i, nil
	}
	if err := takeOver(dir); err != nil {
		return nil, err
	}
	i = issuerOf(i.trust, next)
	return i, i.settle(dir, next)
}

// issuerOf returns the issuer whose key is that of r: its certificate is the one
// of trust that fits it, or the first if none does.
func issuerOf(trust []*x509.Certificate, r *ring) *issuer {
	at := max(0, slices.IndexFunc(trust, func(c *x509.Certificate) bool { return fits(c, r.key) }))
	i := &issuer{cert: trust[at], key: r.key, trust: trust}
	for _, c := range r.certs[min(1, len(r.certs)):] {
		i.chain = append(i.chain, c.Raw) // signed by the predecessor, for clients that trust only that
	}
	if i.chain != nil {
		return i
	}
	for n, c := range trust {
		if n == at || n > at && !roots(c, i.cert) {
			i.chain = append(i.chain, c.Raw)
		}
	}
	return i
}

// roots reports whether c is an authority of its own that did not sign i.
func roots(c, i *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && !bytes.Equal(c.RawSubject, i.RawIssuer)
}

// Certificate returns the certificate of the authority that signs at present. It
// must not be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.now.Load().cert }

// PEM returns what clients are to trust: ca.pem.
func (a *Authority) PEM() []byte { return encode(a.now.Load().trust) }

func encode(certs []*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, encodeCertificate(c.Raw)...)
	}
	return out
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// fits reports whether key is that of c.
func fits(c *x509.Certificate, key crypto.Signer) bool {
	pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(key.Public())
}

// check refuses an authority that could not serve.
func check(dir string, c *x509.Certificate, r *ring, now time.Time) error {
	cert, keyPath := filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
	anew := fmt.Sprintf("remove %q and %q to have a new authority made; clients must then trust the new %s", cert, keyPath, certFile)
	switch {
	case !fits(c, r.key):
		return fmt.Errorf("ca: the key %q does not belong to the certificate %q: put back the one that does, or %s", keyPath, cert, anew)
	case !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("ca: the certificate %q may not sign other certificates: replace it and its key by an authority's, or %s", cert, anew)
	case now.After(c.NotAfter):
		return fmt.Errorf("ca: the certificate %q expired on %s: %s", cert, c.NotAfter.Format(time.DateOnly), anew)
	case now.Before(c.NotBefore):
		return fmt.Errorf("ca: the certificate %q is valid only from %s: set this machine's clock right", cert, c.NotBefore.Format(time.RFC3339))
	}
	return nil
}

// template describes the authority that has the key.
func template(key crypto.Signer, now time.Time) (*x509.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	id := sha256.Sum256(spki)
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: fmt.Sprintf("outvet CA %x", id[:3])},
		NotBefore:             now.Add(-24 * time.Hour), // before that of any leaf
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1,       // a successor, and its leaves
		SubjectKeyId:          id[:20], // RFC 7093 §2, method 1
		AuthorityKeyId:        id[:20],
	}, nil
}

// makeCertificate makes the authority's own certificate for a key, unless
// another process was first. A key that was rotated in has one already.
func makeCertificate(path string, r *ring, now time.Time) ([]*x509.Certificate, error) {
	var text []byte
	if len(r.certs) > 0 {
		text = encodeCertificate(r.certs[0].Raw)
	} else {
		tmpl, err := template(r.key, now)
		if err != nil {
			return nil, err
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, r.key.Public(), r.key)
		if err != nil {
			return nil, fmt.Errorf("ca: signing the authority's certificate: %w", err)
		}
		text = encodeCertificate(der)
	}
	if err := create(path, text, 0o644); err != nil {
		return nil, err
	}
	chain, err := readChain(path)
	if err == nil && chain == nil {
		err = fmt.Errorf("ca: %q vanished while it was made", path)
	}
	return chain, err
}

// parseChain returns the certificates in data, at least one.
func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if chain == nil {
		return nil, errors.New("no certificate in PEM form")
	}
	// A file that repeats its certificate would be sent twice.
	return slices.CompactFunc(chain, func(x, y *x509.Certificate) bool { return bytes.Equal(x.Raw, y.Raw) }), nil
}
