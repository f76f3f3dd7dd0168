package forward

import (
	"fmt"
	"strconv"
	"strings"

	"outvet/internal/hostname"
)

// A ConnectTo sends the connections for one host and port elsewhere, as curl's
// option of that name. The certificate is still verified for the host. The
// operator named the address, so it may be special; the policy's Refuse still
// holds.
type ConnectTo struct {
	Host string // canonical; "" for any
	Port uint16 // 0 for any
	Addr string // canonical name or address; "" for the host itself
	To   uint16 // 0 for the port itself
}

// ParseConnectTo reads HOST:PORT:ADDR:PORT. Each part may be empty; IPv6
// addresses stand in brackets.
func ParseConnectTo(s string) (ConnectTo, error) {
	var c ConnectTo
	var parts [4]string
	rest := s
	for i := range parts {
		end := strings.IndexByte(rest, ':')
		if strings.HasPrefix(rest, "[") {
			if end = strings.IndexByte(rest, ']') + 1; end == 0 {
				end = len(rest)
			}
		}
		switch {
		case i == 3:
			parts[i] = rest
			continue
		case end < 0 || end >= len(rest) || rest[end] != ':':
			return c, fmt.Errorf("forward: %q is not of the form HOST:PORT:ADDR:PORT", s)
		}
		parts[i], rest = rest[:end], rest[end+1:]
	}
	for _, h := range []struct {
		text string
		host *string
		port string
		to   *uint16
	}{{parts[0], &c.Host, parts[1], &c.Port}, {parts[2], &c.Addr, parts[3], &c.To}} {
		if h.text != "" {
			host, err := hostname.Canonical(h.text)
			if err != nil {
				return ConnectTo{}, fmt.Errorf("forward: %q: %w", s, err)
			}
			*h.host = host
		}
		if h.port != "" {
			p, err := strconv.ParseUint(h.port, 10, 16)
			if err != nil || p == 0 {
				return ConnectTo{}, fmt.Errorf("forward: %q: %q is no port", s, h.port)
			}
			*h.to = uint16(p)
		}
	}
	return c, nil
}

// String returns the form that ParseConnectTo reads.
func (c ConnectTo) String() string {
	port := func(p uint16) string {
		if p == 0 {
			return ""
		}
		return strconv.Itoa(int(p))
	}
	host := func(h string) string {
		if strings.Contains(h, ":") {
			return "[" + h + "]"
		}
		return h
	}
	return host(c.Host) + ":" + port(c.Port) + ":" + host(c.Addr) + ":" + port(c.To)
}

// redirect returns where to connect for host and port. The first of list that
// fits counts; named says that it names the address.
func redirect(list []ConnectTo, host string, port uint16) (h string, p uint16, named bool) {
	for _, c := range list {
		if c.Host != "" && c.Host != host || c.Port != 0 && c.Port != port {
			continue
		}
		if c.To != 0 {
			port = c.To
		}
		if c.Addr != "" {
			return c.Addr, port, true
		}
		break
	}
	return host, port, false
}
