package gate

import (
	"io"
	"strings"
	"testing"

	"outvet/call"
)

const observing = "version: 1\nmode: observe\ndefault: allow\nrules:\n  - {name: no secrets out, finding: {kind: \"secret/*\"}, verdict: block}\n"

// What is only observed passes, wherever in a stream it stands, and the record says
// what enforcing would have done.
func TestWhatIsObservedInAStreamIsRecordedAsWhatItWouldHaveBeen(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, g *Gate) *Passage{
		"message": func(t *testing.T, g *Gate) *Passage {
			c, m := request(t, "GET", "https://ok.example/ws", nil, 0)
			p := g.Open(t.Context(), c, m)
			for _, text := range []string{"hello", "the key is " + token, "bye"} {
				if got, err := p.Frame("frame/1", []byte(text)); err != nil || string(got) != text {
					t.Errorf("%q became %q, %v", text, got, err)
				}
			}
			return p
		},
		"window": func(t *testing.T, g *Gate) *Passage {
			body := filler(200_000) + " " + token + " " + filler(200_000)
			c, m := request(t, "POST", "https://ok.example/", strings.NewReader(body), -1)
			p := g.Open(t.Context(), c, m)
			if got, err := io.ReadAll(m.Body); err != nil || string(got) != body {
				t.Errorf("the body did not pass: %d bytes, %v", len(got), err)
			}
			return p
		},
	} {
		g, log := newGate(t, observing, inspectors(t))
		small(g)
		p := send(t, g)
		if p.Verdict != call.Allow || p.Stopped() != nil {
			t.Errorf("%s: observing stopped it: %+v", name, p.Decision)
		}
		p.Close(call.Outcome{Status: 200})
		all := log.of(call.Closed)
		d := all[len(all)-1].Decision
		if d == nil || d.Verdict != call.Block || !d.Observed || d.Rule != "no secrets out" || len(d.Findings) != 1 {
			t.Errorf("%s: the closed record says %+v", name, d)
		}
	}
}
