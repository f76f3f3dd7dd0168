package proxy

import (
	"net/http"

	"outvet/call"
	agents "outvet/internal/agent"
)

// conversation returns what a request says of the session in which its agent is,
// which calls itself so.
func conversation(agent string, h http.Header) call.Attr {
	s := agents.ByProduct(agent).Session(h)
	if len(s) > nameMax || !printable(s) {
		return call.Attr{}
	}
	return call.Attr{Value: s}
}

// witness returns who knows what made the connection that x came by, or nil.
func (x *exchange) witness() call.Witness {
	if x.t != nil {
		return x.t.arrival.who()
	}
	if res, ok := x.w.(*response); ok {
		return res.c.arrival.who()
	}
	return nil
}
