package main

import (
	"fmt"
	"strings"
	"time"

	"outvet/test/bench/load"
)

// starts measures how long outvet takes until it serves, and what it is resident
// with.
func (b *bench) starts() error {
	var took, ref []float64
	var memory int
	for range pick(b, 5, 15) {
		o, err := b.newOutvet("start")
		if err != nil {
			return err
		}
		took = append(took, float64(o.process.Took)/1e6)
		if err := b.wait(pick(b, 200*time.Millisecond, time.Second)); err != nil {
			return err
		}
		if memory, err = o.process.Memory(); err != nil {
			return err
		}
		if err := o.process.Stop(); err != nil {
			return err
		}
		r, err := b.newReference("mitm")
		if err != nil {
			return err
		}
		ref = append(ref, float64(r.process.Took)/1e6)
		r.process.Kill()
	}
	b.add(Row{What: "outvet serve until it is ready", Unit: "ms", Beside: "mitm " + number(load.Median(ref))}.of(took))
	b.add(Row{What: "resident, nothing carried", Unit: "MB", Measured: float64(memory) / 1024, Budget: 60})
	if err := b.sessions(pick(b, 1000, 1000)); err != nil {
		return err
	}
	if help, err := b.stand.Run("run", "--help"); err != nil || !strings.Contains(help, "outvet run") {
		b.add(Row{What: "outvet run -- true", Absent: "this outvet has no run"})
		b.add(Row{What: "sealed path", Absent: "this outvet has no run"})
		return nil
	}
	return b.sealed()
}

// sessions has n sessions live, each with a connection and a conversation.
func (b *bench) sessions(n int) error {
	o, err := b.newOutvet("sessions")
	if err != nil {
		return err
	}
	defer o.process.Kill()
	say := b.saying("sessions")
	for i := range n {
		r := o.way.Route
		r.Session = fmt.Sprintf("s%d", i)
		c := load.NewClient(r, chat(64<<10))
		defer c.Close()
		if err := c.Do(); err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
		c.Hold()
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		if i%50 == 0 {
			say(i, n)
		}
	}
	kb, err := o.process.Memory()
	if err != nil {
		return err
	}
	b.add(Row{What: fmt.Sprintf("resident, %d live sessions", n), Unit: "MB", Measured: float64(kb) / 1024, Budget: 400})
	return nil
}
