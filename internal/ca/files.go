package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// readChain returns the certificates in the file, nil if there is no file.
func readChain(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ca: the certificate cannot be read: %w", err)
	}
	chain, err := parseChain(data)
	if err != nil {
		return nil, fmt.Errorf("ca: %q is no certificate: put back the right file: %w", path, err)
	}
	return chain, nil
}

// openKey reads the authority's key and makes it if there is none. If made
// reports that the certificate is there, the key must be there too.
func openKey(dir string, made bool) (*ring, error) {
	path := filepath.Join(dir, keyFile)
	r, err := readRing(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if cert := filepath.Join(dir, certFile); made {
		return nil, fmt.Errorf("ca: the certificate %q has no key %q: put it back, or remove %q to have a new authority made; clients must then trust the new %s",
			cert, path, cert, certFile)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if err := create(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	return readRing(path) // another process's, if it was first
}

// A ring is a private key with the certificates that stand behind it in its file:
// none, or its own and further ones to send along.
type ring struct {
	key    crypto.Signer
	certs  []*x509.Certificate
	finish time.Time // of a successor: when it takes over
}

// finishWord begins the line before a successor's key.
const finishWord = "finish: "

// readRing reads a private key in PEM form: PKCS #8, SEC 1 or PKCS #1.
func readRing(path string) (*ring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ca: the private key cannot be read: run as its owner, or give this user the right to read it: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if info.Mode().Perm()&0o004 != 0 {
		return nil, fmt.Errorf("ca: anyone on this machine can read the private key %q (mode %04o): chmod 600 it, and make a new one if others may have read it", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("ca: the private key %q cannot be read: %w", path, err)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("ca: %q is no private key: put back the right file: %w", path, err)
	}
	r := &ring{key: key}
	if bytes.Contains(data, []byte("BEGIN CERTIFICATE")) {
		if r.certs, err = parseChain(data); err != nil {
			return nil, fmt.Errorf("ca: %q holds a broken certificate: put back the right file: %w", path, err)
		}
		if !fits(r.certs[0], key) {
			r.certs = nil // not ours to explain
		}
	}
	if line, _, _ := strings.Cut(string(data), "\n"); strings.HasPrefix(line, finishWord) {
		if r.finish, err = time.Parse(time.RFC3339, strings.TrimPrefix(line, finishWord)); err != nil {
			return nil, fmt.Errorf("ca: %q: %w", path, err)
		}
	}
	return r, nil
}

func parseKey(data []byte) (crypto.Signer, error) {
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			return nil, errors.New("no unencrypted private key in PEM form")
		}
		var key any
		var err error
		switch b.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(b.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
		default:
			continue // EC PARAMETERS, certificates
		}
		if err != nil {
			return nil, err
		}
		if s, ok := key.(crypto.Signer); ok {
			return s, nil
		}
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
}

// create puts a file with data at path, all at once and on disk, unless there
// is one already.
func create(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("ca: making %q: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// replace puts a file with data at dir/name, all at once and on disk, in place of
// the one that is there.
func replace(dir, name string, data []byte, mode fs.FileMode) error {
	path := filepath.Join(dir, name)
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = errors.Join(owned(f.Name(), path), os.Rename(f.Name(), path))
	}
	if err != nil {
		return fmt.Errorf("ca: replacing %q: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// sameOwner gives dir/name to who owns the key: root may rotate for another user.
func sameOwner(dir, name string) error {
	if err := owned(filepath.Join(dir, name), filepath.Join(dir, keyFile)); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return nil
}

// owned gives path to the owner of like, where root runs and they differ.
func owned(path, like string) error {
	info, err := os.Stat(like)
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		return os.Chown(path, int(st.Uid), int(st.Gid))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return nil
}
