package forward

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"outvet/internal/hostname"
)

// A Proxy is an upstream proxy, through which calls leave a network that lets
// nothing else out. It holds credentials, so it prints itself without them.
type Proxy struct {
	kind  proxyKind
	host  string // canonical
	port  uint16
	login *login // nil for none; behind a pointer, which no way of printing follows
	from  string // the setting that names it, for advice
}

type proxyKind string

type login struct{ user, password string }

// What an upstream proxy may speak. Those that look names up get the name of a
// server as it was called; SOCKS5 gets the address that was checked here.
const (
	httpProxy   proxyKind = "http"    // names are looked up there
	httpsProxy  proxyKind = "https"   // the same, over TLS
	socksProxy  proxyKind = "socks5"  // names are looked up here
	socksHProxy proxyKind = "socks5h" // names are looked up there
)

var proxyPorts = map[proxyKind]uint16{httpProxy: 80, httpsProxy: 443, socksProxy: 1080, socksHProxy: 1080}

// scheme is what may be quoted of a URL: no user and no password looks like one.
var scheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,15}$`)

// ParseProxy reads the URL of an upstream proxy: http, https, socks5 or
// socks5h, USER:PASSWORD@ if it asks for them (percent-encoded), host and port.
// Without a scheme it is http. from names the setting that text is of. Errors
// do not quote text, which may hold a password.
func ParseProxy(from, text string) (*Proxy, error) {
	bad := func(why string) (*Proxy, error) {
		return nil, fmt.Errorf("forward: %s is no URL of a proxy such as http://USER:PASSWORD@proxy.example:3128: %s", from, why)
	}
	text = strings.TrimSpace(text)
	before, _, ok := strings.Cut(text, "://")
	if !ok {
		before, text = "http", "http://"+text
	}
	kind := proxyKind(strings.ToLower(before))
	port, known := proxyPorts[kind]
	if !known {
		if !scheme.MatchString(string(kind)) {
			return bad("its scheme is not http, https, socks5 or socks5h")
		}
		return bad(fmt.Sprintf("its scheme is %q, not http, https, socks5 or socks5h", kind))
	}
	u, err := url.Parse(text)
	if err != nil { // which would quote the password
		return bad("it cannot be read; in user and password, percent-encode what is neither letter nor digit")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
		return bad("after host and port comes more; in user and password, percent-encode what is neither letter nor digit")
	}
	p := &Proxy{kind: kind, from: from, port: port}
	if p.host, err = hostname.Canonical(u.Hostname()); err != nil {
		return bad("its host is malformed") // the error quotes what may be part of a password
	}
	if s := u.Port(); s != "" {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			return bad("its port is no port")
		}
		p.port = uint16(n)
	}
	password, _ := u.User.Password()
	if user := u.User.Username(); user != "" || password != "" {
		p.login = &login{user, password}
		if err := p.checkLogin(); err != nil {
			return bad(err.Error())
		}
	}
	return p, nil
}

// checkLogin reports whether the proxy's protocol can carry user and password.
func (p *Proxy) checkLogin() error {
	socks := p.kind == socksProxy || p.kind == socksHProxy
	l := p.login
	switch {
	case socks && (l.user == "" || len(l.user) > 255 || l.password == "" || len(l.password) > 255): // RFC 1929
		return errors.New("for SOCKS5, user and password have 1 to 255 bytes each")
	case !socks && strings.Contains(l.user, ":"): // RFC 7617
		return errors.New("its user has a colon")
	}
	return nil
}

// String returns the URL without credentials.
func (p Proxy) String() string { return string(p.kind) + "://" + p.address() }

// GoString is String: %#v must not show the password.
func (p Proxy) GoString() string { return p.String() }

func (p Proxy) address() string { return net.JoinHostPort(p.host, strconv.Itoa(int(p.port))) }

// looksUp reports whether the proxy is given names.
func (p *Proxy) looksUp() bool { return p.kind != socksProxy }

// authorization returns the value of Proxy-Authorization, "" for none.
func (p *Proxy) authorization() string {
	if p.login == nil {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.login.user+":"+p.login.password))
}
