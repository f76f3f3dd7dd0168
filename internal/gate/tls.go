package gate

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"outvet/call"
	"outvet/internal/hostname"
	"outvet/internal/payload"
)

// TLS describes a connection whose TLS is to pass unread, if policy names its
// host for that. host is canonical.
func TLS(host string, port uint16) (*call.Call, *payload.Message) {
	c := &call.Call{
		Grade: call.Unread, Dest: call.Dest{Scheme: "tls", Host: host, Port: port},
		Op: call.Op{Protocol: "tls", Method: "connect", Target: net.JoinHostPort(host, strconv.Itoa(int(port)))},
	}
	return c, &payload.Message{Host: host}
}

// Unread reports whether policy says that TLS to the destination of c, a call
// of TLS, passes unread, and its head would be allowed. It decides and records
// nothing: Open does.
func (g *Gate) Unread(c call.Call) bool { return g.rules.Load().policy.Unread(&c) }

// Asked describes what somebody asks about: a request, or with CONNECT and a
// URL such as tls://host:443 a connection whose TLS passes unread, or with a
// type and dns://name a query.
func Asked(method string, u *url.URL, header http.Header, body io.Reader, length int64) (*call.Call, *payload.Message, error) {
	if u.Scheme == "dns" {
		return askedDNS(method, u)
	}
	if u.Scheme != "tls" {
		return HTTP(method, u, header, body, length)
	}
	if method != http.MethodConnect || u.User != nil || u.Path != "" || u.RawQuery != "" || length > 0 {
		return nil, nil, fmt.Errorf("url %q: of TLS that passes unread only CONNECT tls://HOST:PORT can be asked", u.Redacted())
	}
	host, err := hostname.Canonical(u.Hostname())
	if err != nil {
		return nil, nil, fmt.Errorf("url %q: %w", u.Redacted(), err)
	}
	port := uint64(443)
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return nil, nil, fmt.Errorf("url %q: port %q is not a number from 1 to 65535", u.Redacted(), p)
		}
	}
	c, m := TLS(host, uint16(port))
	return c, m, nil
}

// veiled says in the decision that what is in the TLS is not read.
func (p *Passage) veiled() {
	p.c.Sent = -1
	p.decided.Uninspected = append(p.decided.Uninspected, call.Uninspected{Part: "tls", Reason: "TLS passes unread where policy lets it: nobody knows what is in it"})
}

// Veiled adds to the record of a connection that passes unread what else is not
// known of it. It may be called once Open has returned.
func (p *Passage) Veiled(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decided.Uninspected = append(p.decided.Uninspected, call.Uninspected{Part: "tls", Reason: why})
	p.changed = true
}
