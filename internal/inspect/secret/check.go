package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// A checker looks into a value that has the right shape. It returns how much
// of it is the secret, since Extend may have run too far, and whether it is one.
type checker func(v []byte) (n int, ok bool)

// checkNamed returns the checker that a rule names; nil for "".
func checkNamed(name string) (checker, error) {
	switch name {
	case "":
		return nil, nil
	case "mixed":
		return whole(mixed), nil
	case "random-case":
		return whole(randomCase), nil
	case "github":
		return whole(githubCRC), nil
	case "bech32":
		return whole(bech32), nil
	case "anthropic":
		return whole(anthropic), nil
	case "discord":
		return whole(discord), nil
	case "userinfo":
		return whole(func(v []byte) bool { return looksURLPassword(v) }), nil
	case "user-password":
		return whole(userPassword), nil
	case "password":
		return whole(func(v []byte) bool { return looksPassword(v, true) }), nil
	case "secret":
		return whole(func(v []byte) bool { return looksPassword(v, false) || looksRandom(v) }), nil
	case "opaque":
		return whole(opaque), nil
	case "basic":
		return whole(basic), nil
	case "jwt":
		return jwt, nil
	case "jwt-shape":
		return jwtShape, nil
	case "jwt-base64":
		return whole(jwtBase64), nil
	case "pem":
		return pem, nil
	case "putty":
		return putty, nil
	case "der":
		return der, nil
	}
	return nil, fmt.Errorf("unknown check %q", name)
}

func whole(ok func([]byte) bool) checker {
	return func(v []byte) (int, bool) { return len(v), ok(v) }
}

// mixed wants letters and digits: words have only letters, numbers no letters.
func mixed(v []byte) bool {
	c := count(v)
	return c.digit > 0 && c.lower+c.upper > 0
}

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

// opaque judges a value that stands where only credentials do.
func opaque(v []byte) bool {
	const shortest = 8
	if len(v) < shortest || stopped(v) || stuffed(v) {
		return false
	}
	c := count(v)
	return c.digit > 0 && c.lower+c.upper > 0 && entropy(v) >= 2.5 && !wordy(v)
}

// looksURLPassword judges the password in scheme://user:password@host.
func looksURLPassword(v []byte) bool {
	if len(v) < 4 || stopped(v) || stuffed(v) || v[0] == ':' || v[0] == '{' || v[0] == '[' {
		return false
	}
	switch string(bytes.ToLower(v)) {
	case "password", "pass", "passwd", "secret", "pw", "pwd", "user", "token", "test", "key", "api_key", "apikey":
		return false
	}
	return true
}

// userPassword judges "user:password" of a command, in its quotes or without.
func userPassword(v []byte) bool {
	v = bytes.Trim(v, "\"'")
	user, password, ok := bytes.Cut(v, []byte(":"))
	if !ok || len(user) == 0 || stopped(user) && !bytes.Contains(user, []byte("example")) || bytes.ContainsAny(v, " {}[]<>`") {
		return false
	}
	return len(password) >= 6 && !stopped(password) && (mixed(password) || count(password).other > 0 && !onlyMarks(password) || len(password) >= 10 && randomCase(password))
}

// basic wants base64 of printable text with a colon (RFC 7617).
func basic(v []byte) bool {
	var b [512]byte
	if len(v) > 600 {
		return false
	}
	n, err := base64.RawStdEncoding.Decode(b[:], bytes.TrimRight(v, "="))
	if err != nil || n < 3 || bytes.IndexByte(b[:n], ':') < 0 {
		return false
	}
	for _, c := range b[:n] {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return !stopped(b[:n]) || n > 24
}

// jwt wants a header that is JSON and names an algorithm or a type, and at
// least two more fields, of which the last may be empty (RFC 7519).
func jwt(v []byte) (int, bool) {
	n := jwtEnd(v)
	v = v[:n]
	i := bytes.IndexByte(v, '.')
	if i < 0 || bytes.Count(v, []byte(".")) < 2 {
		return 0, false
	}
	head, err := base64.RawURLEncoding.DecodeString(string(bytes.TrimRight(v[:i], "=")))
	if err != nil {
		return 0, false
	}
	var h map[string]json.RawMessage
	if json.Unmarshal(head, &h) != nil {
		return 0, false
	}
	return n, h["alg"] != nil || h["typ"] != nil || h["kid"] != nil || h["enc"] != nil
}

// jwtShape wants three fields of which two begin as JSON does in base64.
func jwtShape(v []byte) (int, bool) {
	n := jwtEnd(v)
	f := bytes.SplitN(v[:n], []byte("."), 4)
	return n, len(f) >= 3 && len(f[2]) >= 6
}

// jwtBase64 wants base64 of a token. Only the head is decoded: two fields are
// enough to know it.
func jwtBase64(v []byte) bool {
	const enough = 4096
	v = bytes.TrimRight(v[:min(len(v), enough)], "=")
	v = v[:len(v)/4*4]
	enc := base64.RawStdEncoding
	if bytes.ContainsAny(v, "-_") {
		enc = base64.RawURLEncoding
	}
	b, err := enc.DecodeString(string(v))
	if err != nil {
		return false
	}
	f := bytes.SplitN(b, []byte("."), 3)
	return len(f) >= 2 && hasPrefix(f[1], "ey") && len(f[0]) >= 12
}

// jwtEnd cuts what stands behind a token in a sentence.
func jwtEnd(v []byte) int {
	n := len(v)
	for n > 0 && inSet(".-", v[n-1]) {
		n--
	}
	// eyJ….eyJ…. is a token without signature; its last dot belongs to it.
	if n < len(v) && v[n] == '.' && bytes.Count(v[:n], []byte(".")) == 1 {
		n++
	}
	return n
}

// pem wants a body of base64 between the marks, and cuts behind the end mark.
// A block without end mark is one all the same: it may have been cut off.
func pem(v []byte) (int, bool) {
	const mark = "-----"
	head := len(mark)
	i := bytes.Index(v[min(head, len(v)):], []byte(mark))
	if i < 0 {
		return 0, false
	}
	head += i + len(mark)
	n := len(v)
	body := v[head:]
	if end := bytes.Index(body, []byte("-----END")); end >= 0 {
		n = head + end + len("-----END")
		if i := bytes.Index(v[n:], []byte(mark)); i >= 0 && i < 60 {
			n += i + len(mark)
		}
		body = body[:end]
	} else {
		n = len(bytes.TrimRight(v, " \t\r\n\"'\\,.:()<>"))
		body = v[head:max(n, head)]
	}
	const least = 40
	return n, armour(body) >= least
}

// armour counts the bytes of b that may be base64 of a key: those in words too
// long for prose, so that a text about keys is none.
func armour(b []byte) int {
	const longWord = 24
	sum, run := 0, 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && (isWordByte(b[i]) || b[i] == '+' || b[i] == '/' || b[i] == '=') {
			run++
			continue
		}
		if run >= longWord {
			sum += run
		}
		run = 0
	}
	return sum
}

func putty(v []byte) (int, bool) {
	i := bytes.Index(v, []byte("Private-Lines:"))
	if i < 0 {
		return 0, false
	}
	n := len(v)
	if j := bytes.Index(v[i:], []byte("Private-MAC:")); j >= 0 {
		n = i + j
	}
	return n, armour(v[i:n]) >= 20
}

// der cuts a body of base64 at the end of its last long line.
func der(v []byte) (int, bool) {
	const least = 48
	n := 0
	for n < len(v) {
		end := n
		for end < len(v) && !inSet(" \t\r\n", v[end]) {
			end++
		}
		if end-n < 16 && v[end-1] != '=' {
			break
		}
		n = end
		for end < len(v) && inSet(" \t\r\n", v[end]) {
			end++
		}
		if end == len(v) {
			break
		}
		if next := v[end:]; len(next) < 16 && !bytes.ContainsAny(next, "=") {
			break
		}
		n = end
	}
	n = len(bytes.TrimRight(v[:n], " \t\r\n"))
	return n, n >= least
}
