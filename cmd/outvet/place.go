package main

import (
	"net"
	"strconv"
	"strings"

	"outvet/call"
)

// whither is where a call went, as a person writes it: host, port if it is not
// that of the scheme, and path. What has no path, as a tunnel, has its port. The
// parts are chosen by agents; who prints it cleans it.
func whither(r *call.Record) string {
	if r.Host == "" {
		return r.Target
	}
	if r.Scheme == "tcp" || r.Scheme == "tls" {
		return net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port))) // target says the same
	}
	if r.Scheme == "dns" {
		return r.Host // what is asked for; whom, nobody needs to know
	}
	host := r.Host
	if strings.IndexByte(host, ':') >= 0 {
		host = "[" + host + "]"
	}
	usual := 443
	if r.Scheme == "http" || r.Scheme == "ws" {
		usual = 80
	}
	if p := int(r.Port); p != 0 && p != usual {
		host += ":" + strconv.Itoa(p)
	}
	return host + r.Target
}

// times is n and what is counted, in the right number.
func times(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}
