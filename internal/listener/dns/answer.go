package dns

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"outvet/call"
	"outvet/internal/answer"
	"outvet/internal/forward"
	"outvet/internal/gate"
)

const (
	kindA     = 1
	kindPTR   = 12
	kindAAAA  = 28
	kindSVCB  = 64
	kindHTTPS = 65

	ttlStandIn = 1  // s; a name may get another address after a while
	ttlLocal   = 60 // s
	ttlReal    = 30 // s at most; package forward pins for longer
)

// never are the types that are not asked for, whatever policy says: they carry
// what nobody needs, all there is, or belong between servers.
var never = map[uint16]bool{10: true, 24: true, 25: true, 41: true, 249: true, 250: true, 251: true, 252: true, 253: true, 254: true, 255: true}

// ofPeer reports whether q asks for the address of a connection to come.
func (q *question) ofPeer() bool {
	switch q.kind {
	case kindA, kindAAAA, kindHTTPS, kindSVCB:
		return q.class == classIN && q.plain
	}
	return false
}

func keyOf(q *question, who *call.Caller) key {
	return key{who.Session, who.Parent, q.name, q.kind}
}

// atOnce answers what needs no decision any more, nil for the rest.
func (s *Server) atOnce(q *question, who *call.Caller) []byte {
	if q.ofPeer() {
		if w := s.windows.again(keyOf(q, who)); w != nil {
			r := s.address(s.ctx, q, w.guard)
			return s.write(q, &r)
		}
	}
	msg, _ := s.mine(q)
	return msg
}

// A reply is what is to be answered.
type reply struct {
	code    rcode
	ttl     uint32
	data    []byte // of the one record, or of addresses one after the other
	each    int    // bytes of a record in data
	found   *forward.Found
	ede     uint16
	text    string
	refused *forward.Refused
	err     error
}

// decide puts q to the gate and answers it.
func (s *Server) decide(q *question, who *call.Caller) []byte {
	name, kind := q.name, kindOf(q.kind)
	if q.class != classIN {
		kind = "CLASS/" + kind
	}
	c, m := gate.DNS(name, kind)
	c.Listener, c.Grade, c.Caller = "dns", s.Grade, *who
	p := s.Gate.Open(s.ctx, c, m)
	r := s.reply(p, q, c)
	o := call.Outcome{Status: int(r.code)}
	if r.found != nil {
		o.Sent, o.Received, o.Address = r.found.Sent, r.found.Taken, r.found.Server.String()
	}
	if r.err != nil {
		e := forward.Classify(r.err)
		o.Error = e.Type + ": " + e.Detail
	}
	msg := s.write(q, &r)
	if q.ofPeer() && r.code == noError && p.Verdict == call.Allow && !p.Observed && len(p.Findings) == 0 && s.windows.keep(keyOf(q, who), p, o) {
		return msg
	}
	p.Close(o) // the gate keeps what the log does not take
	return msg
}

// reply finds out what to answer, now that the gate has spoken.
func (s *Server) reply(p *gate.Passage, q *question, c *call.Call) reply {
	told := func(code rcode, ede uint16) reply {
		return reply{code: code, ede: ede, text: answer.Line(&p.Decision, c)}
	}
	no := p.Verdict != call.Allow
	switch {
	case p.Rule == call.RuleFault && no:
		return told(servFail, edeOther)
	case q.ofPeer() && no && s.Names == nil:
		return told(refused, edeBlock)
	case q.ofPeer() && !public(q.name) && !c.Dest.Named:
		return reply{code: nxDomain}
	case q.ofPeer():
		r := s.address(p.Context(), q, p.Guard)
		if r.refused != nil {
			d := p.Prohibited(r.refused)
			r.text = answer.Line(&d, c)
		}
		if s.Names == nil && p.Stopped() != nil {
			return stopped(p, c)
		}
		return r
	case q.kind == kindPTR && no && q.class == classIN:
		return reply{code: nxDomain}
	case no:
		return told(refused, edeBlock)
	case never[q.kind] || q.class != classIN || !q.plain:
		return reply{code: refused, ede: edeBlock, text: "Blocked: this is asked for nobody."}
	case !public(q.name) && !c.Dest.Named && q.kind != kindPTR:
		return reply{code: nxDomain}
	}
	return s.ask(p, q, c)
}

// address answers for the address of a name.
func (s *Server) address(ctx context.Context, q *question, g *call.Guard) reply {
	if q.kind == kindHTTPS || q.kind == kindSVCB {
		return reply{}
	}
	if s.Names != nil {
		v4, v6, err := s.Names.Assign(q.name)
		switch {
		case err != nil:
			return reply{code: servFail, ede: edeOther, text: "outvet: too many names are in use", err: err}
		case q.kind == kindA:
			b := v4.As4()
			return reply{ttl: ttlStandIn, data: b[:], each: 4}
		}
		b := v6.As16()
		return reply{ttl: ttlStandIn, data: b[:], each: 16}
	}
	addrs, good, err := s.Upstream.Resolve(ctx, q.name, g)
	if err != nil {
		return unresolved(err)
	}
	r := reply{ttl: uint32(min(good/time.Second, ttlReal)), each: map[bool]int{true: 4, false: 16}[q.kind == kindA]}
	for _, a := range addrs {
		if b := a.AsSlice(); len(b) == r.each {
			r.data = append(r.data, b...)
		}
	}
	return r
}

func unresolved(err error) reply {
	r := reply{code: servFail, err: err}
	var bad *forward.Refused
	if e := forward.Classify(err); errors.As(err, &bad) {
		r.code, r.ede, r.refused = refused, edeBlock, bad
	} else if r.text = "outvet: " + e.Detail; e.Lasting() {
		r.code = nxDomain
	}
	return r
}

// stopped refuses what may not go on.
func stopped(p *gate.Passage, c *call.Call) reply {
	return reply{code: refused, ede: edeBlock, text: answer.Line(&p.Stopped().Decision, c)}
}

// ask asks the name servers for what policy let out.
func (s *Server) ask(p *gate.Passage, q *question, c *call.Call) reply {
	found, err := s.Upstream.Ask(p.Context(), q.name, dnsmessage.Type(q.kind))
	switch {
	case p.Stopped() != nil: // also when the answer came just then
		return stopped(p, c)
	case err != nil:
		r := unresolved(err)
		r.code = servFail
		return r
	}
	return reply{code: rcode(found.RCode & 0xf), found: found}
}

// write writes r as an answer to q that it has room for.
func (s *Server) write(q *question, r *reply) []byte {
	room := s.room(q)
	if r.found != nil {
		if msg := relay(q, r, room); msg != nil {
			return msg
		}
		*r = reply{code: servFail, found: r.found}
	}
	a := begin(q, r.code, room)
	for d := r.data; len(d) > 0 && r.each > 0; d = d[r.each:] {
		a.record(r.ttl, d[:r.each])
	}
	return a.finish(r.code, r.ede, r.text)
}

// relay writes what name servers said: the records alone, under the name as the
// client spelt it. Where there is no room for them the answer is cut short.
func relay(q *question, r *reply, room int) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.id, Response: true, RecursionDesired: q.rd, RecursionAvailable: true, RCode: dnsmessage.RCode(r.code)}}
	name, err := dnsmessage.NewName(q.name + ".")
	if err != nil {
		return nil
	}
	m.Questions = []dnsmessage.Question{{Name: name, Type: dnsmessage.Type(q.kind), Class: classIN}}
	m.Answers = r.found.Records
	if q.edns {
		var h dnsmessage.ResourceHeader
		if h.SetEDNS0(sizeMost, m.RCode, q.do) == nil {
			m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
		}
	}
	b, err := m.Pack()
	if err == nil && len(b) > room {
		m.Answers, m.Truncated = nil, true
		b, err = m.Pack()
	}
	if err != nil || len(b) < headLen+len(q.raw) {
		return nil
	}
	copy(b[headLen:], q.raw) // in the case in which it came; of equal length, as names are
	return b
}
