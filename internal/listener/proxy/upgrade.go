package proxy

import (
	"net/http"
	"strings"

	"outvet/call"
	"outvet/internal/answer"
)

// upgrades reports whether r asks for a WebSocket. It must be asked before the
// hop-by-hop fields are gone.
func upgrades(r *http.Request) bool {
	return r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// upgrade answers a request for a WebSocket, which cannot be inspected yet. A
// refusal by policy is told as such. Model APIs get 426, on which their clients
// fall back to POST at once.
func (x *exchange) upgrade() {
	x.c.Op.Protocol = "ws"
	x.open()
	if x.p.Verdict != call.Allow {
		x.refuse(&x.p.Decision)
		return
	}
	p := answer.Problem{Status: http.StatusNotImplemented, Title: "WebSocket is not carried",
		Detail: "outvet cannot inspect WebSocket messages yet and carries none; use plain HTTP requests", Code: "websocket_not_carried", Error: "http_request_error"}
	if modelAPI(x.r.URL.Path) {
		p.Status = http.StatusUpgradeRequired
	}
	x.out.Error = p.Detail
	x.fail(p)
}

// modelAPI reports whether path is that of a model API with a WebSocket form.
func modelAPI(path string) bool { return strings.HasSuffix(path, "/responses") }
