package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Bounds of the tries together.
const (
	atOnce  = 24
	allTime = 7 * time.Second
	oneTime = 3500 * time.Millisecond
	pause   = 20 * time.Millisecond
)

// Inside makes all tries of the plan that in holds, in JSON, and writes what became
// of each to out, one a line. Some are alone: what is open must be looked at before
// there is more; those for which a session is quarantined come late, with a pause in
// which the outside releases it, so that each is judged for itself; and a grandchild
// is left behind at the end.
func Inside(ctx context.Context, in io.Reader, out io.Writer) error {
	var p Plan
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("attack: the plan cannot be read: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, allTime)
	defer cancel()
	say := &sayer{to: json.NewEncoder(out)}
	tries := Tries()
	say.one(ctx, &p, tries, "descriptors")
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, t := range tries {
		if t.Name == "descriptors" || t.Name == "grandchild" || t.alone {
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			say.say(ctx, &p, t)
		})
	}
	running.Wait()
	for _, t := range tries {
		if t.alone {
			say.say(ctx, &p, t)
			time.Sleep(pause)
		}
	}
	say.one(ctx, &p, tries, "grandchild")
	return say.err
}

// heartbeat is the file that a grandchild writes.
func (p *Plan) heartbeat() string { return p.Repository + "/heartbeat" }

type sayer struct {
	// mu keeps lines whole.
	mu  sync.Mutex
	to  *json.Encoder
	err error
}

func (y *sayer) one(ctx context.Context, p *Plan, tries []Try, name string) {
	for _, t := range tries {
		if t.Name == name {
			y.say(ctx, p, t)
		}
	}
}

// say makes a try and says what became of it. One that does not end is left alone.
func (y *sayer) say(ctx context.Context, p *Plan, t Try) {
	if ctx.Err() != nil {
		return // no time was left: it was not made, and nobody shall think so
	}
	ctx, cancel := context.WithTimeout(ctx, oneTime)
	defer cancel()
	start := time.Now()
	done := make(chan Said, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- none(fmt.Sprintf("the try itself failed: %v", r))
			}
		}()
		done <- t.do(ctx, p, t)
	}()
	s := Said{Ended: Closed, Text: "no end in sight"}
	select {
	case s = <-done:
	case <-ctx.Done():
	}
	s.Try, s.MS = t.Name, time.Since(start).Milliseconds()
	y.mu.Lock()
	defer y.mu.Unlock()
	if err := y.to.Encode(s); err != nil && y.err == nil {
		y.err = err
	}
}
