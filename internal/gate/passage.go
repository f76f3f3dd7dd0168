package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"outvet/call"
	"outvet/internal/payload"
)

// A Passage is one call on its way through. It must be closed. The embedded
// Decision is the one to enforce: in observe mode it allows what the policy
// would have refused, and the records say so. A Passage belongs to one
// goroutine, except that its Body and Frame may be read and called by another.
type Passage struct {
	call.Decision

	g     *Gate
	rules *rules // that it was opened under
	c     *call.Call
	m     *payload.Message
	ctx   context.Context
	live  context.Context         // ends with the call's right to go on
	cut   context.CancelCauseFunc // of live
	start time.Time

	// mu guards what windows and frames change while the call is under way.
	mu      sync.Mutex
	decided call.Decision // as policy said it
	changed bool          // decided differs from what the decided record says
	stopped *Stopped

	shown   shown // in the record
	inspect time.Duration
	late    bool // the decided record could not be written
	done    bool
	unheard bool // the witness did not know yet
	body    *body
	loan    loan
	debt    debt
	whole   []byte
	lent    lent // holds whole, if that came from a pool

	record    *call.Record // as decided, for sinks
	inspected int64        // bytes of decoded text
}

// A Stopped is the error of a Body or Frame that policy refused under way.
type Stopped struct{ Decision call.Decision }

func (s *Stopped) Error() string {
	return "gate: stopped by rule " + s.Decision.Rule
}

// decide fills p.decided and makes the edits in p.m.
func (p *Passage) decide(r *rules) {
	defer func() {
		if v := recover(); v != nil {
			p.fault("judge the request", fmt.Errorf("panic: %v", v))
		}
	}()
	d := &p.decided
	d.Policy = r.policy.Digest()
	p.c.Sent = p.m.Length
	if p.m.Body == nil {
		p.c.Sent = 0
	}
	if p.c.Op.Protocol == "tls" {
		p.veiled()
	}
	why := p.g.Sessions.Touch(&p.c.Caller, p.start)
	if why != "" {
		*d = quarantined(why, d.Policy)
	}
	halted := p.g.halt.refuse(d)
	final := halted || why != "" || r.policy.Head(p.c, d)
	p.inspectSaid(r)
	if d.Rule == call.RuleFault {
		return
	}
	if final {
		if p.readHead(r); !halted && why == "" {
			p.weigh(r)
		}
		return
	}
	if !r.set.Wanted(r.policy.Wants) {
		p.readHead(r)
		r.policy.Decide(p.c, d)
		p.apply(r, nil, nil)
		p.pass(p.m.Body)
		return
	}
	p.readAll(r)
}

// readHead inspects target and header alone, so that what is found there stays
// out of the record, although the payload does not matter to the decision.
func (p *Passage) readHead(r *rules) {
	if !r.set.Wanted(everything) {
		return
	}
	content := payload.Decode(p.m, nil, p.g.Limits)
	defer content.Release()
	p.find(r, content, everything)
}

func everything(string) bool { return true }

// find runs the inspectors over content and adds what they found to the
// decision. It reports false when one of them failed.
func (p *Passage) find(r *rules, content *payload.Content, wants func(string) bool) bool {
	begin := time.Now()
	found, err := r.set.Run(p.ctx, p.c, content, wants)
	p.inspect += time.Since(begin)
	p.inspected += int64(len(content.Text))
	p.decided.Findings = append(p.decided.Findings, found...)
	p.decided.Uninspected = append(p.decided.Uninspected, content.Uninspected...)
	if len(found) > 0 {
		p.show(content, found)
	}
	if err != nil {
		p.shown.target = "[unread]" // it may hold what the failed inspector would have found
		p.fault("inspect the request", err)
		return false
	}
	return true
}

// readAll reads the body, whole or its first window, and decides.
func (p *Passage) readAll(r *rules) {
	whole, rest, err := p.read()
	if err != nil {
		p.fault("read the request body", err)
		return
	}
	if rest != nil {
		p.openStream(r, rest, whole)
		return
	}
	if p.m.Body != nil {
		p.c.Sent = int64(len(whole))
	}
	begin := time.Now()
	content := payload.Decode(p.m, whole, r.set.Recall(p.g.Limits, p.c, r.policy.Wants))
	defer content.Release()
	p.inspect += time.Since(begin)
	if !p.find(r, content, r.policy.Wants) {
		return
	}
	r.policy.Decide(p.c, &p.decided)
	p.apply(r, content, whole)
}

// apply makes the edits of an allowing decision.
func (p *Passage) apply(r *rules, content *payload.Content, whole []byte) {
	d := &p.decided
	d.Edits = slices.DeleteFunc(d.Edits, func(e call.Edit) bool { // a field that is not there is not stripped
		return e.Kind == call.StripHeader && p.m.Header[http.CanonicalHeaderKey(e.Name)] == nil
	})
	had := p.m.Body != nil
	if len(d.Edits) > 0 && d.Verdict == call.Allow && !d.Observed {
		if content == nil {
			content = payload.Decode(p.m, nil, p.g.Limits)
			defer content.Release()
		}
		edited, err := content.Apply(p.m, whole, d.Edits)
		if err == nil && len(redactions(d.Edits)) > 0 {
			edited, err = p.again(r, edited)
		}
		if err != nil {
			p.fault("make the edits that policy asks for", err)
			return
		}
		whole = edited
	}
	if content != nil && had && whole != nil {
		p.hold(whole)
	}
}

// rounds is how often a redacted call is inspected again before it is refused.
const rounds = 4

// again inspects what the redactions left, since a removal can bring together
// what stood on both sides of it, and redacts until nothing is found.
func (p *Passage) again(r *rules, body []byte) ([]byte, error) {
	for range rounds {
		content := payload.Decode(p.m, body, p.g.Limits)
		found, err := r.set.Run(p.ctx, p.c, content, r.policy.Wants)
		if err != nil {
			content.Release()
			return nil, err
		}
		d := call.Decision{Findings: found, Uninspected: content.Uninspected}
		c := *p.c
		r.policy.Decide(&c, &d)
		edits := redactions(d.Edits)
		switch {
		case d.Verdict != call.Allow && !d.Observed:
			err = fmt.Errorf("what is left after the redactions is refused by rule %q", d.Rule)
		case len(edits) == 0:
			content.Release()
			return body, nil
		default:
			p.decided.Edits = append(p.decided.Edits, edits...)
			body, err = content.Apply(p.m, body, edits)
		}
		content.Release()
		if err != nil {
			return nil, err
		}
	}
	return nil, errEver
}

var errEver = errors.New("redactions bring ever new findings together")

func quarantined(why, policy string) call.Decision {
	return call.Decision{Verdict: call.Block, Rule: call.RuleQuarantine, Code: "quarantined", Policy: policy,
		Reason: "This session is quarantined and cannot make calls: " + why}
}

// seal makes the call that stops its session a refused one.
func (p *Passage) seal() {
	if p.decided.Verdict != call.Block {
		p.decided.Verdict = call.Block
		p.decided.Code = "quarantined"
	}
}

// enforce sets the decision that the listener acts on.
func (p *Passage) enforce() {
	p.Decision = p.decided
	if p.Observed {
		p.Verdict, p.Edits = call.Allow, nil
	}
}

// Stopped returns the decision that stopped the call under way, or nil.
func (p *Passage) Stopped() *Stopped {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

// Examine inspects what would leave to its end, for those who ask about a call
// and do not make it, and returns the decision. Nothing counts as sent.
func (p *Passage) Examine() call.Decision {
	if p.body == nil || p.Verdict != call.Allow {
		return p.Decision
	}
	rest := p.body.r
	p.body = nil
	if _, err := io.Copy(io.Discard, rest); err != nil && p.Stopped() == nil {
		p.mu.Lock()
		p.fault("read the request body", err)
		p.changed = true
		p.mu.Unlock()
	}
	p.enforce()
	return p.Decision
}

// Held reports whether the body, if there is one, is in memory: reading it waits
// for nobody.
func (p *Passage) Held() bool { return p.whole != nil }

// Rewind returns the body from its start, for a second try on another
// connection. ok is false when the body is not held whole.
func (p *Passage) Rewind() (again io.ReadCloser, ok bool) {
	if p.whole == nil || p.done {
		return nil, false
	}
	p.hold(p.whole)
	return p.body, true
}

// Close writes the closed record. Only the first Close counts. An error says
// that the log did not take it; the gate keeps the record and tries again with
// the next.
func (p *Passage) Close(o call.Outcome) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return nil
	}
	p.done = true
	p.g.open.remove(p)
	p.cut(nil)
	p.loan.repay()
	p.debt.end()
	r := p.closed(o)
	p.whole = nil
	p.lent.giveBack()
	if p.late {
		return p.g.late.add(p.g, story{p.decidedRecord(), r})
	}
	if err := p.g.late.flush(p.g); err != nil {
		return errors.Join(err, p.g.late.add(p.g, story{closed: r}))
	}
	if err := p.g.Log.Write(r); err != nil {
		p.g.warn("could not record the end of a call", err)
		return p.g.late.add(p.g, story{closed: r})
	}
	p.g.tell(r)
	return nil
}
