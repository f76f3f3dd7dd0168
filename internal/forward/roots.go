package forward

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxRoots bounds a file of roots, in bytes. The bundle of the web's has 230 KB.
const maxRoots = 16 << 20

// ReadRoots returns the certificates of a file, in PEM or one in DER, or those
// of all files of a directory, of which each has to hold some or none at all in
// PEM; at least one.
func ReadRoots(path string) ([]*x509.Certificate, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("forward: roots: %w", err)
	case !info.IsDir():
		return readRootFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("forward: roots: %w", err)
	}
	var roots []*x509.Certificate
	for _, e := range entries {
		file := filepath.Join(path, e.Name())
		info, err := os.Stat(file) // links are usual here
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		certs, err := readRootFile(file)
		if errors.Is(err, errNoRoots) {
			continue
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, certs...)
	}
	if roots == nil {
		return nil, fmt.Errorf("forward: roots: no file of the directory %s holds a certificate", path)
	}
	return roots, nil
}

func readRootFile(path string) ([]*x509.Certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("forward: roots: %w", err)
	}
	if info.Size() > maxRoots {
		return nil, fmt.Errorf("forward: roots: %w", &fs.PathError{Op: "read", Path: path, Err: errors.New("it is too long for certificates")})
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("forward: roots: %w", err)
	}
	roots, err := ParseRoots(data)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	return roots, nil
}

var errNoRoots = errors.New("forward: no certificate in PEM or DER form among the roots")

// ParseRoots returns the certificates of a PEM file, at least one, or that of a
// DER file.
func ParseRoots(data []byte) ([]*x509.Certificate, error) {
	if c, err := x509.ParseCertificate(data); err == nil {
		return []*x509.Certificate{c}, nil
	}
	var roots []*x509.Certificate
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" && b.Type != "X509 CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("forward: root certificate %d: %w", len(roots)+1, err)
		}
		roots = append(roots, c)
	}
	if roots == nil {
		return nil, errNoRoots
	}
	return roots, nil
}

// noSystemRoots reports whether this machine has no roots of its own.
func noSystemRoots() bool {
	p, err := x509.SystemCertPool()
	return err != nil || p.Equal(x509.NewCertPool())
}
