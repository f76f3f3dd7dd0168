package metrics

import (
	"outvet/call"
	"outvet/internal/agent"
)

const unknown = "unknown"

// agent returns the value of the label for who called. The names that are not
// claimed are taken as they are, within the bound that m sets; of the others those
// that the table of agents knows, which bounds the label, too.
func (m *Metrics) agent(a call.Attr) string {
	if a.Value == "" {
		return unknown
	}
	if a.Mark != call.Claimed {
		return m.named.one(a.Value, unknown)
	}
	if who := agent.ByProduct(a.Value); who != nil {
		return who.Name
	}
	return unknown
}
