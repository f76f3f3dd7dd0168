package answer

import (
	"net/http"
	"strconv"
	"strings"

	"outvet/call"
)

// An Answer is what the client gets in place of a response.
type Answer struct {
	Status int
	Reason string      // phrase of an HTTP/1.1 status line: at most 120 bytes of printable ASCII
	Header http.Header // complete, with Content-Length where there may be one
	Body   []byte      // nil for none, as for HEAD
}

// A Problem is a reason other than policy for which a call was not answered by
// its destination.
type Problem struct {
	Status int    // 4xx or 5xx
	Title  string // what went wrong, in a few words: "Upstream connection failed"
	Detail string // one sentence, about this call
	Code   string // in lower_case
	Error  string // proxy error type of RFC 9209, section 2.3
	Retry  bool   // whether repeating the request may help
}

// For answers a call that d refuses or holds. r is the client's request as it
// came; body is the beginning of its body (64 KiB are plenty), in which the ID
// of a JSON-RPC request is looked for. None of them is changed or kept.
func For(r *http.Request, body []byte, d *call.Decision, c *call.Call) Answer {
	m := refusal(d, c)
	return render(r, body, &m)
}

// Line says a refusal in one line, for protocols that have no more room.
func Line(d *call.Decision, c *call.Call) string {
	m := refusal(d, c)
	if !strings.Contains(m.line, m.rule) {
		return m.line + " Rule " + m.rule + "."
	}
	return m.line
}

// Fault answers a call that failed for another reason than policy. c may be
// nil if there is no call yet.
func Fault(r *http.Request, body []byte, p Problem, c *call.Call) Answer {
	m := trouble(p, c)
	return render(r, body, &m)
}

func render(r *http.Request, body []byte, m *message) Answer {
	q := ask(r, body)
	s := dialectOf(q)(q, m)
	a := Answer{Status: s.status, Reason: m.phrase, Header: make(http.Header, 8), Body: s.body}
	h := a.Header
	if s.kind != "" {
		h["Content-Type"] = []string{s.kind}
	}
	for _, f := range s.fields {
		h[f[0]] = []string{f[1]}
	}
	h["Proxy-Status"] = []string{m.proxyStatus()}
	if m.policy || !m.retry { // even what may be repeated later is not for a client's own loop
		h["X-Should-Retry"] = []string{"false"}
	}
	h["Cache-Control"] = []string{"no-store"}
	if m.id != "" {
		h["Outvet-Call"] = []string{m.id.Short()}
	}
	if s.body != nil {
		h["Content-Length"] = []string{strconv.Itoa(len(s.body))}
	}
	if r.Method == http.MethodHead {
		a.Body = nil
	}
	return a
}
