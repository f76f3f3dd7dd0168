package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"outvet/call"
	"outvet/internal/answer"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/payload"
)

// An exchange is one request and its answer.
type exchange struct {
	s *Server
	w http.ResponseWriter
	r *http.Request // as it came, but for the fields that end here
	t *tunnel       // it came through, or nil

	c     *call.Call
	m     *payload.Message
	p     *gate.Passage
	ws    string // what it asks to be upgraded to, if that is a WebSocket
	odd   string // what contradicts itself in its head
	body  body   // what the client sends
	trace forward.Trace
	out   call.Outcome
	info  interim
	last  *closing // a connection to be closed in order after the record
}

// outer serves the proxy's own port.
func (s *Server) outer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Host == "" && r.Method != http.MethodConnect:
		help(w)
	case s.Identify && w.(*response).c.entry == nil && session(r.Header.Get("Proxy-Authorization")) == "":
		s.challenge(w, r)
	case r.Method == http.MethodConnect:
		s.connect(w, r)
	default:
		s.serve(w, r, nil)
	}
}

// inner serves what comes through a tunnel.
func (s *Server) inner(w http.ResponseWriter, r *http.Request) {
	w = s.overH2(w, r)
	defer ended(w)
	s.serve(w, r, r.Context().Value(tunnelKey{}).(*tunnel))
}

// serve carries one request through the gate.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, t *tunnel) {
	if !s.enter(nil) {
		panic(http.ErrAbortHandler)
	}
	defer s.leave(nil)
	begun(w, t)
	x := &exchange{s: s, w: w, r: r, t: t}
	defer x.end()
	if t != nil && r.Method == http.MethodConnect && r.Header[protocolField] == nil {
		x.nested()
		return
	}
	if p := x.describe(); p != nil {
		x.fail(*p)
		return
	}
	if p, why := x.misled(); p != nil {
		x.m.Body, x.m.Length = nil, 0
		x.open()
		x.out.Error = why
		x.fail(*p)
		return
	}
	if x.ws != "" {
		x.upgrade()
		return
	}
	x.open()
	switch why := x.body.broken(); {
	case x.p.Rule == call.RuleFault && why != "":
		x.out.Error = why
		x.fail(*malformed(why))
	case x.p.Verdict != call.Allow:
		x.refuse(&x.p.Decision)
	default:
		x.carry()
	}
}

// describe makes the request a call, or says what is wrong with it.
func (x *exchange) describe() *answer.Problem {
	r, u := x.r, x.r.URL
	who := x.entry().caller(r)
	if x.t != nil {
		who = x.t.caller
		claims(&who, r.Header)
		u.Scheme, u.Host = "http", r.Host
		if x.t.secure {
			u.Scheme = "https"
		}
		if u.Host == "" {
			u.Host = hostPort(x.t.host, x.t.port)
		}
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return malformed("the proxy carries requests for http and https URLs and CONNECT, not for " + ascii(u.Scheme, 40) + " URLs")
	}
	who.Conversation = conversation(who.Agent.Value, r.Header)
	x.ws = x.asks()
	has := x.body.take(r, &x.s.beginnings)   // it needs to see Expect
	if strings.Contains(r.RequestURI, "#") { // servers differ in what they take for the path
		return malformed("a request target has no fragment")
	}
	if i := strings.IndexFunc(r.RequestURI, func(c rune) bool { return c <= ' ' || c >= 0x7f }); i >= 0 {
		return malformed("the target of the request holds a byte at " + strconv.Itoa(i) + " that must be percent-encoded")
	}
	x.odd = x.oddH2()
	hopByHop(r.Header, r.ProtoMajor == 2)
	answer.Strip(r.Header)
	delete(r.Header, "Txn-Token")
	var err error
	x.c, x.m, err = gate.HTTP(r.Method, u, r.Header, nil, r.ContentLength)
	if err != nil {
		return malformed(err.Error())
	}
	if has {
		x.m.Body = &x.body
	}
	x.c.Witness = x.witness()
	x.m.Target = rawTarget(r.RequestURI)
	if res, ok := x.w.(*response); ok {
		x.m.Names = res.q.Names
	}
	x.c.Caller = who
	x.entry().from(x.c)
	return nil
}

func malformed(why string) *answer.Problem {
	return &answer.Problem{Status: http.StatusBadRequest, Title: "Malformed proxy request", Detail: why,
		Code: "malformed_request", Error: "http_request_error"}
}

// misled says why the request cannot be meant for where it was sent, to the
// client and, in words that quote nothing of it, to the record.
func (x *exchange) misled() (p *answer.Problem, why string) {
	d := &x.c.Dest
	if res, ok := x.w.(*response); ok {
		switch q := res.q; {
		case q.Wrong != nil:
			p := malformed(ascii(q.Wrong.Say(), 200))
			p.Status = q.Wrong.Status
			return p, q.Wrong.Why
		case res.c.t == nil && res.c.foreign(q.Field, d.Host), res.c.t != nil && q.Field != "" && !agrees(d, q.Field):
			return misdirected("the request is for " + hostPort(d.Host, d.Port) + ", its field Host for " + ascii(q.Field, 80)),
				"the field Host of the request names another host"
		}
	}
	switch {
	case x.t == nil:
	case x.t.sni != "":
		return misdirected("the TLS server name " + ascii(x.t.sni, 80) + " is not the host " + x.t.host + " of the tunnel"),
			"the TLS server name is not the host of the tunnel"
	case d.Host != x.t.host || d.Port != x.t.port:
		return misdirected("the request is for " + hostPort(d.Host, d.Port) + ", its tunnel for " + hostPort(x.t.host, x.t.port)),
			"the request is for another host or port than its tunnel"
	}
	if p, why := x.unknownProtocol(); p != nil {
		return p, why
	}
	if x.odd != "" {
		return malformed(x.odd), x.odd
	}
	if x.s.loops(d) {
		const why = "the request leads back to the proxy itself"
		return &answer.Problem{Status: http.StatusLoopDetected, Title: "Proxy loop", Detail: why, Code: "loop", Error: "proxy_loop_detected"}, why
	}
	return nil, ""
}

func misdirected(why string) *answer.Problem {
	return &answer.Problem{Status: http.StatusMisdirectedRequest, Title: "Misdirected request", Detail: why,
		Code: "misdirected_request", Error: "http_request_error"}
}

// rawTarget returns path and query as they stand on the request line.
func rawTarget(uri string) string {
	if strings.HasPrefix(uri, "/") || uri == "*" {
		return uri
	}
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	i := strings.IndexAny(rest, "/?#")
	switch {
	case i < 0:
		return "/"
	case rest[i] != '/':
		return "/" + rest[i:]
	}
	return rest[i:]
}

// setTarget makes u stand for target, byte for byte.
func setTarget(u *url.URL, target string) error {
	if !strings.HasPrefix(target, "//") {
		u.Opaque, u.Path, u.RawPath, u.RawQuery, u.ForceQuery = target, "", "", "", false
		return nil
	}
	t, err := url.ParseRequestURI(target) // an opaque part may not begin so
	if err != nil {
		return err
	}
	u.Opaque, u.Path, u.RawPath, u.RawQuery, u.ForceQuery = "", t.Path, t.RawPath, t.RawQuery, t.ForceQuery
	return nil
}

// open asks the gate.
func (x *exchange) open() {
	if x.t != nil && x.t.calls.Add(1) == 1 && x.t.secure {
		x.s.trust.add(x.t.key(), time.Now())
	}
	x.hurry(time.Now().Add(bodyTime))
	x.p = x.s.Gate.Open(x.r.Context(), x.c, x.m)
	x.hurry(time.Time{})
}

// end writes the closed record on every way out, a panic included.
func (x *exchange) end() {
	v := recover()
	if v != nil && v != http.ErrAbortHandler {
		x.s.log.Error("a request made the proxy panic", "panic", v, "stack", string(debug.Stack()))
		if x.out.Error == "" {
			x.out.Error = "the proxy panicked"
		}
	}
	if x.p != nil {
		x.s.closed(x.p.Close(x.out))
	}
	x.body.forget()
	x.last.close()
	if v != nil {
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) closed(err error) {
	if err != nil {
		s.log.Error("record the end of a call", "err", err)
	}
}

// refuse answers as d says.
func (x *exchange) refuse(d *call.Decision) {
	x.drain()
	a := answer.For(x.r, x.body.head(), d, x.c)
	x.out.Status = a.Status
	x.last = x.s.say(x.w, x.r, a, x.body.left())
}

// fail answers a request that could not be carried.
func (x *exchange) fail(p answer.Problem) {
	x.drain()
	if res, ok := x.w.(*response); ok && p.Status != http.StatusBadGateway && p.Status != http.StatusGatewayTimeout {
		res.closing = true // who sends what is malformed is not listened to any longer
	}
	a := answer.Fault(x.r, x.body.head(), p, x.c)
	x.out.Status = a.Status
	x.last = x.s.say(x.w, x.r, a, x.body.left())
}

// upstreamFailed answers a call that upstream did not.
func (x *exchange) upstreamFailed(err error) {
	if s := x.p.Stopped(); s != nil {
		x.refuse(&s.Decision)
		return
	}
	if x.r.Context().Err() != nil {
		x.out.Error = "the client went away"
		panic(http.ErrAbortHandler)
	}
	e := forward.Classify(err)
	x.out.Error = e.Error()
	if r, ok := errors.AsType[*forward.Refused](err); ok {
		d := x.p.Prohibited(r)
		x.refuse(&d)
		return
	}
	title := "Upstream connection failed"
	if e.Status == http.StatusBadRequest {
		title = "Request cannot be sent"
	}
	x.fail(answer.Problem{Status: e.Status, Title: title, Detail: e.Detail, Code: e.Type, Error: e.Type, Retry: !e.Lasting()})
}
