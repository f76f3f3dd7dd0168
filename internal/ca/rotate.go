package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Rotation is an authority and its successor.
type Rotation struct {
	Old, New *x509.Certificate
	Finish   time.Time // when New signs
	// Crossed reports that Old signed New, so that clients that trust only Old
	// go on working after Finish, until Old expires.
	Crossed bool
}

// Rotate makes a successor of the authority in dir. From now on ca.pem holds
// both certificates; after overlap, or Finish, the new one signs and ca.pem holds
// that alone. A running authority follows (Watch).
//
// Files are written so that a crash between any two leaves a working authority:
// the successor is one file (key, certificates, time), which appears whole; its
// taking over is one rename of that file to ca.key.
func Rotate(dir string, overlap time.Duration) (Rotation, error) {
	now := time.Now()
	i, err := read(dir, now)
	if err != nil {
		return Rotation{}, err
	}
	if !i.finish.IsZero() {
		return Rotation{}, fmt.Errorf("ca: a rotation is under way until %s: end it with --finish before another", i.finish.Local().Format(time.DateTime))
	}
	if !bytes.Equal(i.cert.RawSubject, i.cert.RawIssuer) {
		return Rotation{}, fmt.Errorf("ca: %q was signed by %q: replace it and its key by what that authority issues", filepath.Join(dir, certFile), i.cert.Issuer.CommonName)
	}
	r, err := successor(i, now)
	if err != nil {
		return Rotation{}, err
	}
	r.finish = now.Add(overlap).UTC().Truncate(time.Second)
	text, err := r.encode()
	if err != nil {
		return Rotation{}, err
	}
	path := filepath.Join(dir, nextFile)
	if err := create(path, text, 0o600); err != nil {
		return Rotation{}, err
	}
	if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, text) {
		return Rotation{}, errors.New("ca: another rotation was quicker: see outvet ca show")
	}
	if err := sameOwner(dir, nextFile); err != nil {
		return Rotation{}, err
	}
	if _, err := read(dir, now); err != nil { // announces it
		return Rotation{}, err
	}
	return Rotation{Old: i.cert, New: r.certs[0], Finish: r.finish, Crossed: len(r.certs) > 1}, nil
}

// successor makes a key and certificates: its own and, where the present
// authority may sign authorities, one by that.
func successor(i *issuer, now time.Time) (*ring, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: making a key: %w", err)
	}
	tmpl, err := template(key, now)
	if err != nil {
		return nil, err
	}
	r := &ring{key: key}
	if err := r.sign(tmpl, tmpl, r); err != nil {
		return nil, err
	}
	if i.cert.MaxPathLenZero || len(i.cert.SubjectKeyId) == 0 {
		return r, nil // an authority of before, or from elsewhere: it may sign leaves alone
	}
	cross := *tmpl
	cross.MaxPathLen, cross.MaxPathLenZero = 0, true
	cross.AuthorityKeyId = i.cert.SubjectKeyId
	if cross.NotBefore.Before(i.cert.NotBefore) {
		cross.NotBefore = i.cert.NotBefore
	}
	if cross.NotAfter.After(i.cert.NotAfter) {
		cross.NotAfter = i.cert.NotAfter
	}
	return r, r.sign(&cross, i.cert, &ring{key: i.key})
}

func (r *ring) sign(tmpl, parent *x509.Certificate, by *ring) error {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, r.key.Public(), by.key)
	if err != nil {
		return fmt.Errorf("ca: signing the successor: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	r.certs = append(r.certs, c)
	return nil
}

// Finish ends the overlap now.
func Finish(dir string) (*x509.Certificate, error) {
	now := time.Now()
	next, err := readNext(dir, now)
	if err != nil {
		return nil, err
	}
	if next == nil {
		return nil, errors.New("ca: no rotation is under way")
	}
	i, err := read(dir, next.finish.Add(time.Second))
	if err != nil {
		return nil, err
	}
	return i.cert, nil
}

// readNext returns the successor, nil if there is none.
func readNext(dir string, now time.Time) (*ring, error) {
	path := filepath.Join(dir, nextFile)
	r, err := readRing(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case len(r.certs) == 0 || !fits(r.certs[0], r.key) || r.finish.IsZero():
		return nil, fmt.Errorf("ca: %q is no successor: remove it to give the rotation up", path)
	case now.After(r.certs[0].NotAfter):
		return nil, fmt.Errorf("ca: the successor %q expired on %s: remove it to give the rotation up", path, r.certs[0].NotAfter.Format(time.DateOnly))
	}
	return r, nil
}

// announce puts next into ca.pem behind what stands there.
func announce(dir string, trust []*x509.Certificate, next *x509.Certificate) ([]*x509.Certificate, error) {
	for _, c := range trust {
		if c.Equal(next) {
			return trust, nil
		}
	}
	trust = append(trust[:len(trust):len(trust)], next)
	return trust, replace(dir, certFile, encode(trust), 0o644)
}

// takeOver makes the successor the authority. Another process may have been
// quicker.
func takeOver(dir string) error {
	err := os.Rename(filepath.Join(dir, nextFile), filepath.Join(dir, keyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ca: %w", err)
	}
	return syncDir(filepath.Dir(filepath.Join(dir, keyFile)))
}

// settle leaves the certificate of an authority that was rotated in alone in
// ca.pem.
func (i *issuer) settle(dir string, r *ring) error {
	if len(r.certs) == 0 || len(i.trust) == 1 || !r.certs[0].Equal(i.cert) {
		return nil
	}
	i.trust = r.certs[:1]
	return replace(dir, certFile, encode(i.trust), 0o644)
}

// encode returns r as a file.
func (r *ring) encode() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(r.key)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	out := fmt.Appendf(nil, "%s%s\n", finishWord, r.finish.UTC().Format(time.RFC3339))
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	return append(out, encode(r.certs)...), nil
}

// Read returns what clients are to trust, the signing certificate first, without
// making or changing anything. The Rotation is zero if none is under way, and
// lacks the time where its file may not be read.
func Read(dir string) (trust []*x509.Certificate, rot Rotation, err error) {
	path := filepath.Join(dir, certFile)
	if trust, err = readChain(path); err != nil {
		return nil, rot, err
	}
	if trust == nil {
		return nil, rot, fmt.Errorf("ca: there is no %q yet: it is made when outvet serves", path)
	}
	next, err := readRing(filepath.Join(dir, nextFile))
	if err != nil {
		return trust, rot, nil // none, or not for this user to read
	}
	if len(next.certs) > 0 {
		rot = Rotation{Old: trust[0], New: next.certs[0], Finish: next.finish, Crossed: len(next.certs) > 1}
	}
	return trust, rot, nil
}
