package forward

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"outvet/call"
	"outvet/internal/hostname"
)

const (
	pinTime = time.Minute // for which a name is dialled at the addresses that were told
	pinsMax = 4096
)

// Resolve looks host up for a client that will connect by itself: every address
// is judged by g, as by Dial, and none is returned if one is refused. For as long as
// good says, a minute at most, Dial and RoundTrip go to these addresses alone when
// they are asked for host, so that what the client was told is what is dialled.
// They judge them again by the guard of their own call. An error is an *Error.
func (f *Forwarder) Resolve(ctx context.Context, host string, g *call.Guard) (addrs []netip.Addr, good time.Duration, err error) {
	if f.closed.Load() {
		return nil, 0, fault(ErrClosed, host)
	}
	h, err := hostname.Canonical(host)
	if err != nil {
		return nil, 0, Classify(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.opt.DialTimeout, errDialTime)
	defer cancel()
	t := dest{host: h, guard: g}
	if i := slices.IndexFunc(f.opt.ConnectTo, func(c ConnectTo) bool { return c.Host == h && c.Addr != "" }); i >= 0 {
		t.host, t.named = f.opt.ConnectTo[i].Addr, true
	}
	if addrs, err = f.resolve(ctx, t.host); err != nil {
		return nil, 0, fault(err, h)
	}
	if r := f.judge(ctx, addrs, t); r != nil {
		return nil, 0, fault(r, h)
	}
	addrs = alternate(addrs)
	if t.named {
		return addrs, pinTime, nil
	}
	return addrs, f.pins.set(h, addrs, time.Now()), nil
}

// pins are the addresses that clients were told. The zero value is ready.
type pins struct {
	// mu guards byName.
	mu     sync.Mutex
	byName map[string]pin
}

type pin struct {
	addrs []netip.Addr
	until time.Time
}

// get returns a copy of what was told of host, nil if nothing holds any more.
func (p *pins) get(host string, now time.Time) []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if got, ok := p.byName[host]; ok && now.Before(got.until) {
		return slices.Clone(got.addrs)
	}
	return nil
}

// set pins host unless it is pinned already, and returns for how long it is.
func (p *pins) set(host string, addrs []netip.Addr, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.byName[host]; ok && now.Before(old.until) {
		return old.until.Sub(now)
	}
	if p.byName == nil {
		p.byName = map[string]pin{}
	}
	if len(p.byName) >= pinsMax {
		for name, old := range p.byName { // what has run out; if nothing has, any
			if !now.Before(old.until) {
				delete(p.byName, name)
			}
		}
		for name := range p.byName {
			if len(p.byName) < pinsMax {
				break
			}
			delete(p.byName, name)
		}
	}
	p.byName[host] = pin{addrs, now.Add(pinTime)}
	return pinTime
}

func (p *pins) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.byName)
}
