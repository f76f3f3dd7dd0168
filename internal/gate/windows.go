package gate

import (
	"errors"
	"fmt"
	"io"
	"time"

	"outvet/call"
	"outvet/internal/payload"
)

// findingsMax bounds what the record of one long stream holds.
const findingsMax = 256

// openStream decides a call whose body is read in windows. Unless the peer may
// wait for an answer, the first window is part of the decision.
func (p *Passage) openStream(r *rules, rest io.Reader, head []byte) {
	why := "has no end"
	if !p.m.Endless {
		why = fmt.Sprintf("is over %d bytes, pauses, or found no memory", p.bodyLimit())
	}
	if !payload.ByMessage(p.m) {
		p.decided.Uninspected = append(p.decided.Uninspected,
			call.Uninspected{Part: "body", Reason: "body " + why + ": read in windows", Windowed: true})
	}
	content := payload.Decode(p.m, nil, p.g.Limits)
	defer content.Release()
	if !p.find(r, content, r.policy.Wants) {
		return
	}
	p.m.Body = rest
	endless := p.m.Endless
	if _, paused := rest.(*chunks); paused {
		p.m.Endless = true // its sender may wait for an answer to what is held back
	}
	w := &windows{p: p, s: payload.NewStream(p.m, head, p.g.Limits)}
	w.s.Lend = p.lend
	if !endless && !w.first(r) {
		return
	}
	r.policy.Decide(p.c, &p.decided)
	if w.edits = within(p.decided.Edits, w.found); p.decided.Verdict == call.Allow && !p.decided.Observed {
		p.decided.Edits = without(p.decided.Edits, w.found)
		p.apply(r, content, nil)
		p.decided.Edits = append(p.decided.Edits, w.edits...)
	} else {
		w.edits = nil
	}
	p.pass(w)
	p.m.Length = -1
}

// windows is the body of a call that is inspected while it leaves.
type windows struct {
	p     *Passage
	s     *payload.Stream
	ready []byte         // inspected, may leave
	next  bool           // a window was read and inspected, but not emitted
	found []call.Finding // in the first window
	edits []call.Edit    // of the first window
	err   error
}

// first reads and inspects the first window.
func (w *windows) first(r *rules) bool {
	content, err := w.s.Next()
	if err == io.EOF {
		w.err = io.EOF
		return true
	}
	if err != nil {
		w.p.fault("read the request body", err)
		return false
	}
	defer content.Release()
	before := len(w.p.decided.Findings)
	if !w.p.find(r, content, r.policy.Wants) {
		return false
	}
	w.found = w.p.decided.Findings[before:]
	w.next = true
	return true
}

// Read implements io.Reader. It fails with a *Stopped when policy does not let
// a window pass.
func (w *windows) Read(b []byte) (int, error) {
	for len(w.ready) == 0 {
		if w.err != nil {
			return 0, w.err
		}
		w.ready, w.err = w.advance()
	}
	n := copy(b, w.ready)
	w.ready = w.ready[n:]
	return n, nil
}

// advance returns the bytes that may leave next.
func (w *windows) advance() ([]byte, error) {
	if w.next {
		w.next = false
		return w.emit(w.edits)
	}
	content, err := w.s.Next()
	if bad, ok := errors.AsType[*payload.Malformed](err); ok {
		return nil, w.p.stop(faulty("read the request", bad))
	}
	if err != nil {
		return nil, err
	}
	defer content.Release()
	edits, err := w.p.judge(content)
	if err != nil {
		return nil, err
	}
	return w.emit(edits)
}

// emit makes the edits and returns what may leave. A call whose edits cannot be
// made is stopped.
func (w *windows) emit(edits []call.Edit) ([]byte, error) {
	b, err := w.s.Emit(edits)
	if err != nil {
		err = w.p.stop(faulty("make the edits that policy asks for", err))
	}
	return b, err
}

// Frame decides one message of a long-lived stream, which is at path in the
// call, and returns it as it may leave. The error is a *Stopped when policy does
// not let it pass; then nothing of the stream may leave any more.
func (p *Passage) Frame(path string, b []byte) ([]byte, error) {
	for range rounds { // a removal can bring together what stood on both sides of it
		content := payload.DecodeText(path, b, p.g.Limits)
		edits, err := p.judge(content)
		if err == nil && len(edits) > 0 {
			if b, err = content.Apply(nil, b, edits); err != nil {
				err = p.stop(faulty("make the edits that policy asks for", err))
			}
		}
		content.Release()
		if err != nil || len(edits) == 0 {
			return b, err
		}
	}
	return nil, p.stop(faulty("make the edits that policy asks for", errEver))
}

// faulty is the decision that our machinery failed under way.
func faulty(what string, err error) call.Decision {
	return call.Decision{Verdict: call.Block, Rule: call.RuleFault, Code: "fault",
		Reason: "outvet could not " + what + ": " + err.Error()}
}

// judge decides one window or message by the policy in force now, and keeps
// what was found for the closed record.
func (p *Passage) judge(content *payload.Content) ([]call.Edit, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped != nil {
		return nil, p.stopped
	}
	r := p.g.rules.Load()
	begin := time.Now()
	found, err := r.set.Run(p.ctx, p.c, content, r.policy.Wants)
	p.inspect += time.Since(begin)
	p.inspected += int64(len(content.Text))
	if err != nil {
		return nil, p.stopLocked(faulty("inspect the request", err))
	}
	c := *p.c
	d := call.Decision{Findings: found, Uninspected: content.Uninspected, Policy: r.policy.Digest()}
	r.policy.Decide(&c, &d)
	p.noteSeen(found)
	p.noteUnread(content.Uninspected)
	if d.Verdict != call.Allow && !d.Observed {
		return nil, p.stopLocked(d)
	}
	if d.Observed {
		p.noteObserved(d)
		return nil, nil
	}
	p.noteEdits(d.Edits)
	return redactions(d.Edits), nil
}

// stop ends the stream by d.
func (p *Passage) stop(d call.Decision) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopLocked(d)
}

func (p *Passage) stopLocked(d call.Decision) error {
	switch {
	case p.stopped != nil:
		return p.stopped
	case p.done:
		return errClosed
	}
	seen := p.decided.Findings
	edits := p.decided.Edits
	p.decided = d
	p.decided.Findings, p.decided.Edits = seen, edits
	p.changed = true
	p.stopped = &Stopped{Decision: d}
	if p.cut != nil {
		p.cut(p.stopped)
	}
	if d.Quarantine {
		p.stopSession(&d)
	}
	return p.stopped
}

// noteSeen adds findings to those of the call, each text once: windows overlap.
func (p *Passage) noteSeen(found []call.Finding) {
	for _, f := range found {
		if !p.seen(f) && len(p.decided.Findings) < findingsMax {
			p.decided.Findings = append(p.decided.Findings, f)
			p.changed = true
		}
	}
}

func (p *Passage) seen(f call.Finding) bool {
	for i := range p.decided.Findings {
		if o := &p.decided.Findings[i]; o.Kind == f.Kind && o.Digest == f.Digest {
			return true
		}
	}
	return false
}

// noteObserved keeps what enforcing would have done to a window, if that is
// stricter than what was decided so far: the closed record says it.
func (p *Passage) noteObserved(d call.Decision) {
	if d.Verdict <= p.decided.Verdict {
		return
	}
	d.Findings, d.Edits, d.Uninspected = p.decided.Findings, p.decided.Edits, p.decided.Uninspected
	p.decided, p.changed = d, true
}

func (p *Passage) noteEdits(edits []call.Edit) {
	for _, e := range edits {
		if e.Kind == call.Redact && len(p.decided.Edits) < findingsMax {
			p.decided.Edits = append(p.decided.Edits, e)
			p.changed = true
		}
	}
}

// redactions returns the edits that a window can take.
func redactions(edits []call.Edit) []call.Edit {
	var out []call.Edit
	for _, e := range edits {
		if e.Kind == call.Redact {
			out = append(out, e)
		}
	}
	return out
}

// within returns the redactions of what was found in the first window;
// without, all other edits. The spans of both refer to different texts.
func within(edits []call.Edit, found []call.Finding) []call.Edit {
	return pick(edits, found, true)
}

func without(edits []call.Edit, found []call.Finding) []call.Edit {
	return pick(edits, found, false)
}

func pick(edits []call.Edit, found []call.Finding, want bool) []call.Edit {
	var out []call.Edit
	for _, e := range edits {
		is := false
		for _, f := range found {
			is = is || e.Kind == call.Redact && e.Place == f.Place
		}
		if is == want {
			out = append(out, e)
		}
	}
	return out
}
