package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// plainTries carry nothing: they show that a call which the policy allows does reach
// the internet that is laid. Without that, silence there would prove nothing.
func plainTries() []Try {
	plain := func(name, what string, do func(context.Context, *Plan, Try) Said) Try {
		return Try{Name: name, Group: groupPlain, What: what, Seen: "it arrives, where the policy allows it", do: do}
	}
	web := func(scheme string) func(context.Context, *Plan, Try) Said {
		return func(ctx context.Context, p *Plan, t Try) Said {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/%s", scheme, t.host(), p.errand(t)), nil)
			if err != nil {
				return closed(err)
			}
			return carry(req)
		}
	}
	return []Try{
		plain("harmless https", "ask for a page over TLS", web("https")),
		plain("harmless http", "ask for a page in clear", web("http")),
		plain("harmless bytes", "send bytes that are no secret over a raw connection", func(ctx context.Context, p *Plan, t Try) Said {
			to := net.JoinHostPort(t.host(), rawPort)
			c, err := throughProxy(ctx, to)
			if err != nil {
				return closed(err).toward(to)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * tryTime))
			if _, err := io.WriteString(c, binary+p.errand(t)); err != nil {
				return closed(err).toward(to)
			}
			if h, ok := c.(interface{ CloseWrite() error }); ok {
				_ = h.CloseWrite()
			}
			_, _ = io.Copy(io.Discard, c)
			return sent("taken", to)
		}),
	}
}

// errand is what a harmless call says.
func (p *Plan) errand(t Try) string { return p.Nonce + "-" + t.slug() }

// passed judges a harmless call.
func (w *Wires) passed(r *Result, t Try, s Said) {
	switch {
	case w.Internet.received([]byte(w.Plan.errand(t))):
		r.Fate, r.By = Passed, "it arrived"
	case r.Verdict != "" && r.Verdict != "allow":
		r.Fate, r.By = Answered, "outvet: "+s.Text
	default:
		r.Fate, r.By = Lost, s.Text
	}
}

// Idle says why the results prove nothing, or is nil: tries that were not made, and
// calls that the policy allows and that did not arrive.
func (w *Wires) Idle(said []Said, results []Result) error {
	made := map[string]bool{}
	for _, s := range said {
		made[s.Try] = true
	}
	for _, t := range Tries() {
		if !made[t.Name] {
			return fmt.Errorf("attack: the try %q was not made: this machine has no time for it now", t.Name)
		}
	}
	for _, r := range results {
		if r.Fate == Lost {
			return fmt.Errorf("attack: %s: the policy allows it and it did not arrive (%s), so that silence proves nothing", r.Name, r.By)
		}
	}
	return nil
}
