package forward

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"outvet/internal/hostname"
)

// Proxies says which calls leave through which upstream proxy. The zero Proxies
// has none.
type Proxies struct {
	http, https, raw *Proxy // nil for none

	noProxy string      // as given
	all     bool        // "*": none goes through a proxy
	direct  []exception // that go without
	ignored []string    // entries of noProxy that mean nothing
}

// NewProxies returns those that setting names: "env" for those of the
// environment, "none" for none, else the URL of one for all calls. getenv is
// os.Getenv. NO_PROXY counts for the URL, too.
//
// As with curl, a variable in lower case comes before the same in upper case,
// HTTP_PROXY and HTTPS_PROXY before ALL_PROXY, and an empty one is none. Raw
// connections take ALL_PROXY, or else HTTPS_PROXY. HTTP_PROXY in upper case is
// left out where REQUEST_METHOD is set: there a client can set it (CGI).
func NewProxies(setting string, getenv func(string) string) (*Proxies, error) {
	env := func(name string) (string, string) {
		for _, n := range []string{strings.ToLower(name), name} {
			if v := strings.TrimSpace(getenv(n)); v != "" && (n != "HTTP_PROXY" || getenv("REQUEST_METHOD") == "") {
				return n, v
			}
		}
		return "", ""
	}
	p := &Proxies{}
	switch setting {
	case "none":
		return p, nil
	case "env":
		for _, way := range []struct {
			to    **Proxy
			names []string
		}{{&p.http, []string{"HTTP_PROXY", "ALL_PROXY"}}, {&p.https, []string{"HTTPS_PROXY", "ALL_PROXY"}}, {&p.raw, []string{"ALL_PROXY", "HTTPS_PROXY"}}} {
			for _, name := range way.names {
				from, text := env(name)
				if text == "" {
					continue
				}
				var err error
				if *way.to, err = ParseProxy(from, text); err != nil {
					return nil, err
				}
				break
			}
		}
	default:
		one, err := ParseProxy("--upstream-proxy", setting)
		if err != nil {
			return nil, err
		}
		p.http, p.https, p.raw = one, one, one
	}
	_, p.noProxy = env("NO_PROXY")
	p.except(p.noProxy)
	return p, nil
}

// Any reports whether there is a proxy at all.
func (p *Proxies) Any() bool { return p != nil && (p.http != nil || p.https != nil || p.raw != nil) }

// Ignored returns the entries of NO_PROXY that mean nothing, for a warning.
func (p *Proxies) Ignored() []string { return p.ignored }

// String says what goes where, without credentials, for operators.
func (p *Proxies) String() string {
	if !p.Any() {
		return "none"
	}
	var b strings.Builder
	for _, way := range []struct {
		name string
		p    *Proxy
	}{{"https", p.https}, {"http", p.http}, {"raw connections", p.raw}} {
		where := "direct"
		if way.p != nil {
			where = way.p.String() + " (" + way.p.from + ")"
		}
		fmt.Fprintf(&b, "%s: %s; ", way.name, where)
	}
	if p.noProxy != "" {
		fmt.Fprintf(&b, "without for %s; ", p.noProxy)
	}
	return strings.TrimSuffix(b.String(), "; ")
}

// For returns the proxy that a call goes through, nil for none. scheme is
// "http", "ws", "https", or "tcp" for a raw connection; host is canonical. What is on
// this machine goes without: a proxy would take it for itself.
func (p *Proxies) For(scheme, host string, port uint16) *Proxy {
	a := literal(host)
	if !p.Any() || p.all || here(host, a) {
		return nil
	}
	for i := range p.direct {
		if p.direct[i].holds(host, a, port) {
			return nil
		}
	}
	switch scheme {
	case "http", "ws":
		return p.http
	case "https":
		return p.https
	}
	return p.raw
}

// list returns the proxies, each once.
func (p *Proxies) list() []*Proxy {
	var list []*Proxy
	if p == nil {
		return nil
	}
next:
	for _, q := range []*Proxy{p.https, p.http, p.raw} {
		if q == nil {
			continue
		}
		for _, r := range list {
			if r.host == q.host && r.port == q.port {
				continue next
			}
		}
		list = append(list, q)
	}
	return list
}

// literal returns the address that a canonical host is, the zero Addr for a name.
func literal(host string) netip.Addr {
	if strings.IndexByte(host, ':') < 0 && strings.Trim(host, "0123456789.") != "" {
		return netip.Addr{} // without an error, which costs an allocation
	}
	a, _ := netip.ParseAddr(host)
	return a
}

// here reports whether a canonical host, which is a if it is an address, is this
// machine by its spelling.
func here(host string, a netip.Addr) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || // RFC 6761 §6.3
		a.IsLoopback() || a.IsUnspecified()
}

// An exception is an entry of NO_PROXY.
type exception struct {
	name   string       // a canonical name, and what is below it
	below  bool         // only what is below it
	prefix netip.Prefix // or addresses
	port   uint16       // 0 for any
}

func (e *exception) holds(host string, a netip.Addr, port uint16) bool {
	switch {
	case e.port != 0 && e.port != port:
		return false
	case e.prefix.IsValid():
		return a.IsValid() && e.prefix.Contains(a)
	case a.IsValid(): // an address is below no name
		return false
	}
	rest, ok := strings.CutSuffix(host, e.name)
	return ok && (rest == "" && !e.below || strings.HasSuffix(rest, "."))
}

// except reads a NO_PROXY: entries between commas or spaces. "*" is
// everything; a name is itself and what is below it, with a dot before it, too;
// "*.name" is only what is below; addresses and CIDR ranges are themselves; a
// port behind ":" narrows an entry.
func (p *Proxies) except(list string) {
	for _, entry := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if entry == "*" {
			p.all = true
			continue
		}
		if e, ok := parseException(entry); ok {
			p.direct = append(p.direct, e)
		} else {
			p.ignored = append(p.ignored, entry)
		}
	}
}

func parseException(s string) (e exception, ok bool) {
	if r, err := netip.ParsePrefix(s); err == nil {
		e.prefix = unmapped(r)
		return e, true
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 && (strings.Count(s, ":") == 1 || strings.HasPrefix(s, "[") && s[i-1] == ']') {
		n, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || n == 0 {
			return e, false
		}
		s, e.port = s[:i], uint16(n)
	}
	if rest, ok := strings.CutPrefix(s, "*."); ok {
		s, e.below = rest, true
	} else {
		s = strings.TrimPrefix(s, ".")
	}
	host, err := hostname.Canonical(s)
	if err != nil {
		return e, false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		e.prefix = netip.PrefixFrom(a, a.BitLen())
		return e, !e.below
	}
	e.name = host
	return e, true
}
