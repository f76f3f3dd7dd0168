package gate

import (
	"context"

	"outvet/call"
	"outvet/internal/payload"
)

// inspectEnd looks into what the listener says of how the call ended: it may name
// a host or repeat what the client or the server sent. What is found there is not
// recorded, and neither is what cannot be inspected.
func (p *Passage) inspectEnd(o *call.Outcome) {
	r := p.g.rules.Load()
	if len(o.Error) < saidMin || r == nil || !r.set.Wanted(everything) || r.harmless.has(o.Error) {
		return
	}
	content := payload.DecodeText("outcome/error", []byte(o.Error), p.g.Limits)
	defer content.Release()
	found, err := r.set.Run(context.WithoutCancel(p.ctx), p.c, content, everything)
	switch {
	case err != nil:
		o.Error = "[unread]"
	case len(found) > 0:
		o.Error = "[" + found[0].Kind + "] stands in the reason, which is therefore left out"
	default:
		r.harmless.add(o.Error)
	}
}
