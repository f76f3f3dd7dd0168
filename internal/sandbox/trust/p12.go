package trust

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"unicode/utf16"
)

// The object identifiers of PKCS #12 (RFC 7292) that a plain trust store has.
var (
	oidData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidCertBag = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
	oidAlias   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
)

type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	pfx struct {
		Version  int
		AuthSafe contentInfo
		MAC      asn1.RawValue `asn1:"optional"`
	}
	safeBag struct {
		Type       asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"tag:0,explicit"`
		Attributes []attribute   `asn1:"set,optional"`
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue `asn1:"set"`
	}
	certBag struct {
		Type asn1.ObjectIdentifier
		Cert []byte `asn1:"tag:0,explicit"`
	}
)

var errEncrypted = errors.New("the trust store is encrypted")

// readP12 reads a store without encryption, as Java brings it along since
// version 18.
func readP12(data []byte) ([]entry, error) {
	var p pfx
	if err := plain(data, &p); err != nil {
		return nil, fmt.Errorf("the trust store is neither JKS nor PKCS #12: %w", err)
	}
	safe, err := content(p.AuthSafe)
	if err != nil {
		return nil, err
	}
	var parts []contentInfo
	if err := plain(safe, &parts); err != nil {
		return nil, fmt.Errorf("the trust store: %w", err)
	}
	var all []entry
	for _, part := range parts {
		bagged, err := content(part)
		if err != nil {
			return nil, err
		}
		var bags []safeBag
		if err := plain(bagged, &bags); err != nil {
			return nil, fmt.Errorf("the trust store: %w", err)
		}
		for _, b := range bags {
			var c certBag
			if !b.Type.Equal(oidCertBag) || plain(b.Value.Bytes, &c) != nil || !c.Type.Equal(oidX509) {
				continue // a key
			}
			all = append(all, entry{b.alias(len(all)), c.Cert})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the trust store has no certificate")
	}
	return all, nil
}

// content returns what a part holds that is not encrypted.
func content(c contentInfo) ([]byte, error) {
	if !c.Type.Equal(oidData) {
		return nil, errEncrypted
	}
	var b []byte
	if err := plain(c.Content.Bytes, &b); err != nil {
		return nil, fmt.Errorf("the trust store: %w", err)
	}
	return b, nil
}

// plain reads all of data.
func plain(data []byte, into any) error {
	rest, err := asn1.Unmarshal(data, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("something follows")
	}
	return err
}

// alias is the friendly name, or one by number.
func (b safeBag) alias(n int) string {
	for _, a := range b.Attributes {
		var s asn1.RawValue
		if a.Type.Equal(oidAlias) && plain(a.Values.Bytes, &s) == nil && s.Tag == asn1.TagBMPString && len(s.Bytes)%2 == 0 {
			u := make([]uint16, 0, len(s.Bytes)/2)
			for i := 0; i < len(s.Bytes); i += 2 {
				u = append(u, uint16(s.Bytes[i])<<8|uint16(s.Bytes[i+1]))
			}
			return string(utf16.Decode(u))
		}
	}
	return fmt.Sprintf("entry-%d", n)
}
