package proxy

import (
	"net"
	"strconv"
	"strings"

	"outvet/call"
	"outvet/internal/hostname"
)

// authority splits and checks the target of a CONNECT.
func authority(s string) (host string, port uint16, ok bool) {
	h, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, false
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, false
	}
	if host, err = hostname.Canonical(h); err != nil {
		return "", 0, false
	}
	return host, uint16(n), true
}

// agrees reports whether a field Host names d.
func agrees(d *call.Dest, field string) bool {
	host, port := splitHost(field)
	if port == "" {
		port = "80"
		if d.Scheme == "https" {
			port = "443"
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && uint16(n) == d.Port && is(d.Host, host)
}

// is reports whether some spelling of a host means the canonical one.
func is(canonical, host string) bool {
	h, err := hostname.Canonical(host)
	return err == nil && h == canonical
}

// foreign reports whether the field Host of a request to the proxy names neither
// what is (canonical) nor, by its port, the proxy itself: some programs name that
// there. The field is not sent on.
func (c *conn) foreign(field, canonical string) bool {
	host, port := splitHost(field)
	_, own, _ := net.SplitHostPort(c.LocalAddr().String())
	return field != "" && port != own && !is(canonical, host)
}

// splitHost cuts the port off a field Host; "" if it has none.
func splitHost(field string) (host, port string) {
	if i := strings.LastIndexByte(field, ':'); i > strings.LastIndexByte(field, ']') {
		return field[:i], field[i+1:]
	}
	return field, ""
}
