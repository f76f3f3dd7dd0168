package proxy

import (
	"net"
	"net/http"
	"strconv"
	"strings"
)

// hopByHop removes the fields that end at a proxy (RFC 9110 §7.6.1) and, of a
// request, Expect. "TE: trailers" stays where te says so: gRPC asks for it.
func hopByHop(h http.Header, te bool) {
	if list, ok := h["Connection"]; ok {
		for _, v := range list {
			for name := range strings.SplitSeq(v, ",") {
				h.Del(strings.TrimSpace(name))
			}
		}
	}
	trailers := te && strings.Contains(strings.ToLower(h.Get("Te")), "trailers")
	for _, name := range [...]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Authentication-Info", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect"} {
		delete(h, name)
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
}

// hostPort joins a canonical host and a port.
func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
