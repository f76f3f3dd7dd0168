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
	"time"
)

const (
	certFile = "ca.pem"
	keyFile  = "keys/ca.key"

	// backdate is what clocks may differ by.
	backdate = time.Hour
	lifetime = 5*365*24*time.Hour - 24*time.Hour
)

// An Authority signs leaves for the hosts that clients ask for. It is safe for
// concurrent use.
type Authority struct {
	cert  *x509.Certificate
	chain [][]byte // DER: cert and what stood behind it in the file
	key   crypto.Signer

	leafKey *ecdsa.PrivateKey
	leaves  cache
}

// Open returns the authority whose files are in dir, and makes it if there is
// none. An error says what is wrong and what to do. No other process is
// waited for.
func Open(dir string) (*Authority, error) {
	// The certificate is read first: a maker writes the key first, so a
	// certificate without a key is no maker at work.
	chain, err := readChain(filepath.Join(dir, certFile))
	if err != nil {
		return nil, err
	}
	key, err := openKey(dir, chain != nil)
	if err != nil {
		return nil, err
	}
	if chain == nil {
		if chain, err = makeCertificate(filepath.Join(dir, certFile), key, time.Now()); err != nil {
			return nil, err
		}
	}
	if err := check(dir, chain[0], key, time.Now()); err != nil {
		return nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: making a key: %w", err)
	}
	a := &Authority{cert: chain[0], key: key, leafKey: leafKey}
	for _, c := range chain {
		a.chain = append(a.chain, c.Raw)
	}
	return a, nil
}

// Certificate returns the authority's certificate. It must not be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// PEM returns the authority's certificate as clients take it.
func (a *Authority) PEM() []byte { return encodeCertificate(a.cert.Raw) }

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// check refuses an authority that could not serve.
func check(dir string, c *x509.Certificate, key crypto.Signer, now time.Time) error {
	cert, keyPath := filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
	pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	anew := fmt.Sprintf("remove %q and %q to have a new authority made; clients must then trust the new %s", cert, keyPath, certFile)
	switch {
	case !ok || !pub.Equal(key.Public()):
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

// makeCertificate makes the authority's own certificate for key, unless
// another process was first.
func makeCertificate(path string, key crypto.Signer, now time.Time) ([]*x509.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	id := sha256.Sum256(spki)
	tmpl := &x509.Certificate{
		Subject:               pkix.Name{CommonName: fmt.Sprintf("outvet CA %x", id[:3])},
		NotBefore:             now.Add(-24 * time.Hour), // before that of any leaf
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          id[:20], // RFC 7093 §2, method 1
		AuthorityKeyId:        id[:20],
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("ca: signing the authority's certificate: %w", err)
	}
	if err := create(path, encodeCertificate(der), 0o644); err != nil {
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
