package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"hash/crc32"
	"math/big"
	"strings"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// githubCRC checks the last six characters of a token of GitHub or npm: the
// CRC-32 of the 30 between prefix and checksum, in base 62.
// Source: https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
func githubCRC(v []byte) bool {
	const random, sum = 30, 6
	i := bytes.LastIndexByte(v, '_') + 1
	if i == 0 || len(v)-i < random+sum {
		return false
	}
	v = v[i:]
	want := crc32.ChecksumIEEE(v[:random])
	for k := sum - 1; k >= 0; k-- {
		if v[random+k] != base62[want%62] {
			return false
		}
		want /= 62
	}
	return want == 0
}

// anthropic refuses a key of the usual length that lacks the mark at its end.
func anthropic(v []byte) bool {
	const usual = 95 // behind sk-ant-api03-
	rest := v
	for range 3 {
		_, rest, _ = bytes.Cut(rest, []byte("-"))
	}
	return len(rest) != usual || hasSuffix(v, "AA")
}

// discord wants the number of a user, in base64, in front of the first dot.
func discord(v []byte) bool {
	i := bytes.IndexByte(v, '.')
	if i < 0 {
		return false
	}
	var b [32]byte
	n, err := base64.RawURLEncoding.Decode(b[:], v[:min(i, 40)])
	return err == nil && n >= 16 && isNumber(b[:n])
}

// bech32 checks the checksum of BIP 173, as age uses it.
func bech32(v []byte) bool {
	const charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	sep := bytes.LastIndexByte(v, '1')
	if sep < 1 || sep+7 > len(v) {
		return false
	}
	check := uint32(1)
	step := func(x byte) {
		top := check >> 25
		check = check&0x1ffffff<<5 ^ uint32(x)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				check ^= g
			}
		}
	}
	for _, c := range v[:sep] {
		step(lower(c) >> 5)
	}
	step(0)
	for _, c := range v[:sep] {
		step(lower(c) & 31)
	}
	for _, c := range v[sep+1:] {
		i := bytes.IndexByte([]byte(charset), lower(c))
		if i < 0 {
			return false
		}
		step(byte(i))
	}
	return check == 1
}

// wif checks the checksum of a Bitcoin key: base 58 of version, key and the
// first four bytes of the double SHA-256 of both.
func wif(v []byte) bool {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	n := new(big.Int)
	for _, c := range v {
		i := strings.IndexByte(digits, c)
		if i < 0 {
			return false
		}
		n.Add(n.Mul(n, big.NewInt(58)), big.NewInt(int64(i)))
	}
	b := n.Bytes()
	if len(b) < 37 || b[0] != 0x80 {
		return false
	}
	sum := sha256.Sum256(b[:len(b)-4])
	sum = sha256.Sum256(sum[:])
	return bytes.Equal(sum[:4], b[len(b)-4:])
}
