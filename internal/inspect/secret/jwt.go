package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

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
