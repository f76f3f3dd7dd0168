package secret

import (
	"bytes"
	"encoding/base64"
	"fmt"
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
	case "wif":
		return whole(wif), nil
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
