package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// A certificate is one in DER.
type certificate []byte

// certificates returns the certificates among the PEM blocks of data, and
// nothing else. It is an error if there is none, or one that cannot be read.
func certificates(data []byte) ([]certificate, error) {
	var all []certificate
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, b.Bytes)
	}
	if len(all) == 0 {
		return nil, errors.New("it has no certificate in PEM")
	}
	return all, nil
}

func encode(certs []certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c}))
	}
	return b.Bytes()
}

// only returns an error unless data is a bundle of certificates. A link in the
// place of one could lead to a file that is hidden in the sandbox, and would show
// it.
func only(data []byte) error {
	begin, cert := []byte("-----BEGIN "), []byte("-----BEGIN CERTIFICATE-----")
	n := bytes.Count(data, cert)
	if n == 0 || n != bytes.Count(data, begin) || bytes.IndexByte(data, 0) >= 0 {
		return errors.New("it is no bundle of certificates")
	}
	return nil
}

// der reports whether data is a certificate in DER.
func der(data []byte) bool {
	_, err := x509.ParseCertificate(data)
	return err == nil
}

// join appends one bundle to another that may lack its last newline. The bytes
// of a stay, but what lies behind them in its memory may not.
func join(a, b []byte) []byte {
	if len(a) > 0 && a[len(a)-1] != '\n' {
		a = append(a, '\n')
	}
	return append(a, b...)
}

// in reports the digests of the certificates of a bundle.
func in(bundle []byte) map[[32]byte]bool {
	all := map[[32]byte]bool{}
	for {
		var b *pem.Block
		if b, bundle = pem.Decode(bundle); b == nil {
			return all
		}
		all[sha256.Sum256(b.Bytes)] = true
	}
}

func readFull(f *os.File, data []byte) (int, error) {
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // it became shorter
	}
	return n, err
}
