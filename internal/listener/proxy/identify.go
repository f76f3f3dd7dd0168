package proxy

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"outvet/call"
)

// challenge asks who is calling: git and Chromium tell it only then. It is no
// refusal and nothing was attempted, so there is no record of it.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request) {
	s.tellOnce("a client was asked which session it belongs to", r.RemoteAddr)
	const text = "This proxy wants to know which session is calling.\n" +
		"Give it a name in the address of the proxy, as in http_proxy=http://NAME@HOST:PORT\n"
	h := w.Header()
	h.Set("Proxy-Authenticate", `Basic realm="outvet"`)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusProxyAuthRequired)
	io.WriteString(w, text)
}

// tellOnce tells operators what of the client at peer, once a minute.
func (s *Server) tellOnce(what, peer string) {
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = host
	}
	if s.told.add(what+" "+peer, time.Now()) {
		s.log.Info(what, "session", call.SessionID(peer))
	}
}
