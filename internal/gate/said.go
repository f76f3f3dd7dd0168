package gate

import (
	"slices"
	"strings"
	"sync"
	"time"

	"outvet/call"
	"outvet/internal/payload"
)

// A shown is what the record shows of a call besides its payload, and what agents
// choose: without what was found in it.
type shown struct {
	caller               call.Caller
	method, target, host string
}

// saidMin is the length in bytes from which a word can hold a secret.
const saidMin = 12

// inspectSaid looks into what the client says of itself and of the call outside
// the payload. What is found there counts like any finding, and is not shown.
func (p *Passage) inspectSaid(r *rules) {
	if !r.set.Wanted(everything) {
		return
	}
	who := &p.shown.caller
	session, parent := string(who.Session), string(who.Parent)
	for _, said := range []struct {
		part string
		text *string
	}{
		{"method", &p.shown.method},
		{"caller/session", &session}, {"caller/parent", &parent}, {"caller/type", &who.Type.Value},
		{"caller/principal", &who.Principal.Value}, {"caller/agent", &who.Agent.Value}, {"caller/tool", &who.Tool.Value},
		{"caller/tool_call", &who.ToolCall.Value}, {"caller/process", &who.Process.Value}, {"caller/purpose", &who.Purpose.Value},
		{"caller/conversation", &who.Conversation.Value},
	} {
		p.inspectWord(r, said.part, said.text)
	}
	who.Session, who.Parent = call.SessionID(session), call.SessionID(parent)
	if p.m.Target == "" {
		p.inspectWord(r, "target", &p.shown.target) // the name of a tool, not a path
	}
	p.inspectLists(r)
}

// inspectLists does the same for roles and provenance, which are the call's own
// lists and so are copied before they change.
func (p *Passage) inspectLists(r *rules) {
	who := &p.shown.caller
	who.Roles = append([]call.Attr(nil), who.Roles...)
	for i := range who.Roles {
		p.inspectWord(r, "caller/roles", &who.Roles[i].Value)
	}
	who.Provenance = append([]call.Source(nil), who.Provenance...)
	for i := range who.Provenance {
		p.inspectWord(r, "caller/provenance", &who.Provenance[i].Source)
		p.inspectWord(r, "caller/provenance", &who.Provenance[i].Trust)
	}
}

func (p *Passage) inspectWord(r *rules, part string, text *string) {
	if len(*text) < saidMin || r.harmless.has(*text) {
		return
	}
	content := payload.DecodeText(part, []byte(*text), p.g.Limits)
	defer content.Release()
	found, err := r.set.Run(p.ctx, p.c, content, everything)
	switch {
	case err != nil:
		*text = "[unread]"
		p.fault("inspect the request", err)
	case len(found) > 0:
		p.decided.Findings = append(p.decided.Findings, found...)
		*text = "[" + found[0].Kind + "]"
	default:
		r.harmless.add(*text)
	}
}

const (
	// decidedSince, refusedSince and closedSince are for how long after its connection
	// was made a record waits for a witness. A call that is refused waits longer: it
	// goes nowhere, and once it has its answer its program is gone. What comes later
	// is in the closed record, if it comes before the last.
	decidedSince = 50 * time.Millisecond
	refusedSince = time.Second
	closedSince  = 250 * time.Millisecond
)

// testify takes what is known of the caller besides what the call says: for the
// record alone, since it may come too late to decide by. It goes through the
// inspectors, as it may be what agents chose.
func (p *Passage) testify(r *rules, since time.Duration) {
	if p.decided.Verdict != call.Allow && !p.decided.Observed {
		since = max(since, refusedSince)
	}
	who := &p.shown.caller
	before := [...]call.Attr{who.Agent, who.Process, who.ToolCall, who.Conversation}
	if p.unheard = !p.c.Witness.Testify(who, since); p.unheard || !r.set.Wanted(everything) {
		return
	}
	for i, a := range [...]*call.Attr{&who.Agent, &who.Process, &who.ToolCall, &who.Conversation} {
		if *a != before[i] {
			p.hide(r, &a.Value)
		}
	}
}

// hide masks a text that goes into the record and nowhere else.
func (p *Passage) hide(r *rules, text *string) {
	if len(*text) < saidMin || r.harmless.has(*text) {
		return
	}
	content := payload.DecodeText("caller", []byte(*text), p.g.Limits)
	defer content.Release()
	found, err := r.set.Run(p.ctx, p.c, content, everything)
	switch {
	case err != nil:
		p.g.warn("inspect what is known of a caller", err)
		*text = "[unread]"
	case len(found) > 0:
		*text = "[" + found[0].Kind + "]"
	default:
		r.harmless.add(*text)
	}
}

// show masks what was found in target and host. A target that is no path, as
// that of a tunnel, repeats the host.
func (p *Passage) show(content *payload.Content, found []call.Finding) {
	found = slices.DeleteFunc(slices.Clone(found), func(f call.Finding) bool { return !inHead(f.Part) })
	if len(found) == 0 {
		return
	}
	s := &p.shown
	host := s.host
	if p.m.Target == "" {
		_, s.host = content.Redacted("", host, found)
		s.target = strings.ReplaceAll(s.target, host, s.host)
		return
	}
	s.target, s.host = content.Redacted(s.target, host, found)
}

// inHead reports whether a part, or the first field of a joined one, stands in
// host, path or query. A secret whose pieces stand in head and body begins there.
func inHead(part string) bool {
	return strings.HasPrefix(part, "host") || strings.HasPrefix(part, "path") || strings.HasPrefix(part, "query")
}

// words remembers texts in which nothing was found: agents, methods and sessions
// come again with every call. The zero value is ready.
type words struct {
	// mu guards known.
	mu    sync.RWMutex
	known map[string]struct{}
}

// wordsMax bounds the memory; whoever floods it pays with inspections.
const wordsMax = 4096

func (w *words) has(s string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, ok := w.known[s]
	return ok
}

func (w *words) add(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil || len(w.known) >= wordsMax {
		w.known = map[string]struct{}{}
	}
	w.known[strings.Clone(s)] = struct{}{}
}
