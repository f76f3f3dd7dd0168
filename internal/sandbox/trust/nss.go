package trust

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/x509"
	"database/sql"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the database of NSS is one
)

// nssMost bounds how many certificates a database gets: ours, and those of the
// user beside the system's.
const nssMost = 64

// nss makes the certificate database of Chromium.
func (m *maker) nss() error {
	home := m.host.env["HOME"]
	if !filepath.IsAbs(home) {
		return errors.New("HOME is not set")
	}
	certs := m.ours[:min(len(m.ours), nssMost)]
	cert9, err := cached(m.o.Cache, "cert9", func() ([]byte, error) { return nssCerts(certs) }, encode(certs))
	if err != nil {
		return err
	}
	key4, err := cached(m.o.Cache, "key4", nssKeys)
	if err != nil {
		return err
	}
	m.file("nssdb/cert9.db", cert9)
	m.file("nssdb/key4.db", key4)
	m.file("nssdb/pkcs11.txt", []byte(nssModule))
	m.Binds = append(m.Binds, Bind{File: "nssdb", Target: filepath.Join(home, ".pki/nssdb"), Make: true, Write: true, Own: true})
	return nil
}

// nssModule names the only module: no token of the host is loaded.
const nssModule = `library=
name=NSS Internal PKCS #11 Module
parameters=configdir='sql:.' certPrefix='' keyPrefix='' secmod='secmod.db' flags= updatedir='' updateCertPrefix='' updateKeyPrefix='' updateid='' updateTokenDescription=''
NSS=Flags=internal,critical trustOrder=75 cipherOrder=100 slotParams=(1={askpw=any timeout=30})

`

// Attributes of PKCS #11 and of NSS, as columns: "a" and the number in
// hexadecimal.
const nssColumns = "id PRIMARY KEY UNIQUE ON CONFLICT ABORT, a0, a1, a2, a3, a10, a11, a12, a80, a81, a82, a86, a90, a100, a101, a102, a103, a104, a105, a106, a107, " +
	"a108, a109, a10a, a10b, a10c, a110, a111, a120, a121, a122, a123, a124, a125, a126, a127, a128, a130, a131, a132, a160, a161, a162, a163, a164, a165, " +
	"a166, a170, a180, a181, ace534351, ace534352, ace534353, ace534354, ace534355, ace534356, ace534357, ace534358, ace534364, ace534365, ace534366, " +
	"ace534367, ace534368, ace534369, ace534373, ace534374, ace536351, ace536352, ace536353, ace536354, ace536355, ace536356, ace536357, ace536358, " +
	"ace536359, ace53635a, ace53635b, ace53635c, ace53635d, ace53635e, ace53635f, ace536360, ace5363b4, ace5363b5, ad5a0db00"

func nssTable(name string) []string {
	return []string{
		"CREATE TABLE " + name + " (" + nssColumns + ")",
		"CREATE INDEX issuer ON " + name + " (a81)",
		"CREATE INDEX subject ON " + name + " (a101)",
		"CREATE INDEX label ON " + name + " (a3)",
		"CREATE INDEX ckaid ON " + name + " (a102)",
	}
}

// Values of the attributes.
const (
	nssCertificate = 0x00000001 // CKO_CERTIFICATE
	nssTrust       = 0xce534353 // CKO_NSS_TRUST
	nssDelegator   = 0xce534352 // CKT_NSS_TRUSTED_DELEGATOR: an authority
	nssUnknown     = 0xce534353 // CKT_NSS_MUST_VERIFY_TRUST: nothing said
)

func word(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// empty is how NSS writes an attribute of no bytes.
var empty = []byte{0xa5, 0x00, 0x5a}

// nssCerts returns a database in which each certificate is an authority for
// servers, and for nothing else.
func nssCerts(certs []certificate) ([]byte, error) {
	return database(nssTable("nssPublic"), func(db *sql.DB) error {
		for i, der := range certs {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			serial, err := asn1.Marshal(c.SerialNumber)
			if err != nil {
				return err
			}
			keyID := sha1.Sum(c.RawSubjectPublicKeyInfo)
			digest1, digest2 := sha1.Sum(der), md5.Sum(der)
			yes, no := []byte{1}, []byte{0}
			id := 0x10000000 + 2*i
			if err := insert(db, map[string]any{
				"id": id, "a0": word(nssCertificate), "a1": yes, "a2": no, "a170": yes, "a3": fmt.Appendf(nil, "outvet-%d", i),
				"a80": word(0), "a11": []byte(der), "a101": c.RawSubject, "a81": c.RawIssuer, "a82": serial, "a102": keyID[:],
			}); err != nil {
				return err
			}
			if err := insert(db, map[string]any{
				"id": id + 1, "a0": word(nssTrust), "a1": yes, "a2": no, "a170": yes, "a3": empty, "a81": c.RawIssuer, "a82": serial,
				"ace536358": word(nssDelegator), "ace536359": word(nssUnknown), "ace53635a": word(nssUnknown), "ace53635b": word(nssUnknown),
				"ace536360": no, "ace5363b4": digest1[:], "ace5363b5": digest2[:],
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// nssKeys returns a key database without keys and without a password.
func nssKeys() ([]byte, error) {
	return database(append(nssTable("nssPrivate"), "CREATE TABLE metaData (id PRIMARY KEY UNIQUE ON CONFLICT REPLACE, item1, item2)"),
		func(*sql.DB) error { return nil })
}

func insert(db *sql.DB, row map[string]any) error {
	var names, marks []string
	var values []any
	for n, v := range row {
		names, marks, values = append(names, n), append(marks, fmt.Sprintf("$%d", len(marks)+1)), append(values, v)
	}
	_, err := db.Exec("INSERT INTO nssPublic ("+strings.Join(names, ",")+") VALUES ("+strings.Join(marks, ",")+")", values...)
	return err
}

// database returns the bytes of a database that is made in a folder of its own.
func database(schema []string, fill func(*sql.DB) error) (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "outvet-nss-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "db")
	db, err := sql.Open("sqlite", name+"?_pragma=journal_mode(off)&_pragma=synchronous(off)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for _, s := range schema {
		if _, err = db.Exec(s); err != nil {
			break
		}
	}
	if err == nil {
		err = fill(db)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("making a certificate database: %w", err)
	}
	return os.ReadFile(name)
}
