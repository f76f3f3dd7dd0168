package secret

import (
	"fmt"
	"strings"

	"outvet/call"
)

// A home says where a credential is not a leak.
type home struct {
	Hosts []string `yaml:"hosts"` // of the issuer; a host matches itself and what is below it
	At    []string `yaml:"at"`    // positions beside the headers: query/key, path, body/client_secret
	Self  bool     `yaml:"self"`  // there is no one issuer: at home in the headers of any host
}

func (h *home) prepare() error {
	for _, host := range h.Hosts {
		if host == "" || host != strings.ToLower(host) || strings.ContainsAny(host, "/:* ") || strings.HasPrefix(host, ".") {
			return fmt.Errorf("home: %q is not a host name in lower case", host)
		}
	}
	for _, at := range h.At {
		kind, _, _ := strings.Cut(at, "/")
		switch kind {
		case "query", "path", "body", "header":
		default:
			return fmt.Errorf("home: position %q is not in query, path, body or header", at)
		}
	}
	return nil
}

// issued reports whether host is one of the issuer's.
func (h *home) issued(host string) bool {
	for _, own := range h.Hosts {
		if below(host, own) {
			return true
		}
	}
	return false
}

// below reports whether host is own or a name under it.
func below(host, own string) bool {
	if len(host) == len(own) {
		return host == own
	}
	return len(host) > len(own) && host[len(host)-len(own)-1] == '.' && strings.HasSuffix(host, own)
}

// admits reports whether part is one of the positions of h.
func (h *home) admits(part string) bool {
	for _, at := range h.At {
		if within(part, at) {
			return true
		}
	}
	return false
}

// within reports whether part is at or a layer or field inside it. Names of
// fields compare in any case.
func within(part, at string) bool {
	return len(part) >= len(at) && strings.EqualFold(part[:len(at)], at) && (len(part) == len(at) || inSet("/#", part[len(at)]))
}

// positions are the headers in which credentials stand, by field name in lower
// case; true if their whole value is one.
type positions map[string]bool

func newPositions(whole, mixed []string) (positions, error) {
	p := positions{}
	for i, h := range append(whole[:len(whole):len(whole)], mixed...) {
		if h != strings.ToLower(h) || strings.ContainsAny(h, "/: ") {
			return nil, fmt.Errorf("secret: rules: header %q is not a field name in lower case", h)
		}
		p[h] = i < len(whole)
	}
	return p, nil
}

// holds reports whether part is in one of the headers.
func (p positions) holds(part string) bool {
	name := headerOf(part)
	_, ok := p[name]
	return ok || saysCredential(name)
}

// whole reports whether all of the header is a credential.
func (p positions) whole(name string) bool { return p[name] || saysCredential(name) }

// saysCredential reports whether the name of a header that we do not know says
// by its last words that a credential follows: X-Acme-Token.
func saysCredential(name string) bool {
	for _, s := range [...]string{"-token", "-api-key", "-apikey", "-access-key", "-secret", "-secret-key", "-auth-key"} {
		if strings.HasSuffix(name, s) {
			return nameMeans([]byte(name)) != meansNothing
		}
	}
	return false
}

// headerOf returns the field name, in lower case, of a part in a header or of
// a layer in one; else "". Of what is joined of several fields it is "".
func headerOf(part string) string {
	const prefix, cookie = "header/", "cookie"
	if strings.Contains(part, "+") {
		return ""
	}
	if within(part, cookie) {
		return cookie
	}
	name, ok := strings.CutPrefix(part, prefix)
	if !ok {
		return ""
	}
	if i := strings.IndexAny(name, "/#"); i >= 0 {
		name = name[:i]
	}
	return strings.ToLower(name)
}

// namedFor reports whether the policy says that the credential is at home at d.
func namedFor(d *call.Dest, name string) bool {
	const prefix = "credential/"
	for _, c := range d.Credentials {
		if c == "*" || c == prefix+"*" || c == name || strings.TrimPrefix(c, prefix) == name {
			return true
		}
	}
	return false
}

// atHome decides between credential/name and secret/name for what stands in part.
func (in *Inspector) atHome(d *call.Dest, name string, h *home, part string) bool {
	header := in.headers.holds(part)
	switch {
	case header && h.Self:
		return true
	case header || h.admits(part):
		return h.issued(d.Host) || namedFor(d, name)
	}
	return false
}
