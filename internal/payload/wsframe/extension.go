package wsframe

import (
	"errors"
	"strconv"
	"strings"
)

// Params are what the endpoints agreed on for permessage-deflate (RFC 7692
// §7.1). How far they look back does not matter to who inflates: nothing may
// refer to more than 32 KiB.
type Params struct {
	ClientTakeover bool // messages of the client may refer to those before
}

const deflateName = "permessage-deflate"

// Offers returns the values of the client's Sec-WebSocket-Extensions without
// the extensions that this package does not understand; those it does stay as
// they are written. same reports that nothing was taken away.
func Offers(values []string) (kept []string, same bool) {
	same = true
	for _, v := range values {
		var left []string
		members := split(v, ',')
		for _, m := range members {
			if offer, err := parse(m); err == nil && offer {
				left = append(left, m)
			}
		}
		switch {
		case len(left) == len(members):
			kept = append(kept, v)
			continue
		case len(left) > 0:
			kept = append(kept, strings.TrimSpace(strings.Join(left, ",")))
		}
		same = false
	}
	return kept, same
}

var errExtension = errors.New("wsframe: the server chose an extension that was not offered")

// Accepted reads what the server chose, nil if it chose no extension. offered
// are the values that it was offered.
func Accepted(values, offered []string) (*Params, error) {
	var p *Params
	for _, v := range values {
		for _, m := range split(v, ',') {
			if strings.TrimSpace(m) == "" {
				continue
			}
			known, err := parse(m)
			if err != nil || !known || p != nil || len(offered) == 0 {
				return nil, errExtension
			}
			p = &Params{ClientTakeover: true}
			for _, param := range split(m, ';')[1:] {
				if strings.TrimSpace(param) == "client_no_context_takeover" {
					p.ClientTakeover = false
				}
			}
		}
	}
	return p, nil
}

var errParameter = errors.New("wsframe: a parameter is unknown, repeated or wrong")

// parse reports whether one member of a list is a permessage-deflate that is
// understood in full.
func parse(member string) (bool, error) {
	parts := split(member, ';')
	if strings.TrimSpace(parts[0]) != deflateName {
		return false, nil
	}
	seen := map[string]bool{}
	for _, param := range parts[1:] {
		name, value, has := strings.Cut(strings.TrimSpace(param), "=")
		bits := name == "client_max_window_bits" || name == "server_max_window_bits"
		known := bits || name == "client_no_context_takeover" || name == "server_no_context_takeover"
		if !known || seen[name] || has && !bits || has && !windowBits(value) {
			return false, errParameter
		}
		seen[name] = true
	}
	return true, nil
}

// windowBits reports whether v is 8 to 15, as a token or quoted.
func windowBits(v string) bool {
	if n := len(v); n >= 2 && v[0] == '"' && v[n-1] == '"' {
		v = v[1 : n-1]
	}
	n, err := strconv.Atoi(v)
	return err == nil && n >= 8 && n <= 15 && strconv.Itoa(n) == v
}

// split splits s at sep outside quotes.
func split(s string, sep byte) []string {
	var out []string
	quoted := false
	from := 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}
