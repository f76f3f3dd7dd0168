package main

import (
	"fmt"

	"outvet/test/bench/load"
)

// steps is how often a conversation grows until a new one begins.
const steps = 8

// another gives each turn a conversation of size bytes that nobody saw before.
func another(size int) func(round, turn int) load.Job {
	return func(round, turn int) load.Job {
		j := chat(1 << 10)
		j.Body = load.NewConversation(uint64(size+(round+2)*1000+turn), size).Body()
		return j
	}
}

// large compares bodies that are new each time, and one of 1 MB that is sent again
// with 4 KB more each time, as agents do.
func (b *bench) large() error {
	cs, err := b.contenders("mitm-scan", "mitm")
	if err != nil {
		return err
	}
	cs = cs[:3]
	rounds, err := load.Turns(b.ctx, cs, chat(1<<10), pick(b, 5, 11), pick(b, 40, 80), another(64<<10), b.saying("64 KB, each time another"))
	if err != nil {
		return err
	}
	b.add(ratio(Row{What: "64 KB, each time another", Budget: 1.6}, rounds, cs, 0, 1, load.CPU, "µs"))
	if rounds, err = load.Turns(b.ctx, cs, chat(1<<10), pick(b, 5, 11), 4, another(1<<20), b.saying("1 MB, each time another")); err != nil {
		return err
	}
	b.add(ratio(Row{What: "1 MB, each time another"}, rounds, cs, 0, 1, load.CPU, "µs"))
	small, err := load.Turns(b.ctx, cs, chat(4<<10), 5, 60, nil, b.saying("4 KB"))
	if err != nil {
		return err
	}
	more := func(s load.Rounds, a, b int) float64 {
		return load.Median(s.Of(a, load.CPU)) - load.Median(s.Of(b, load.CPU))
	}
	again, err := b.resent(cs)
	if err != nil {
		return err
	}
	part := more(small, 0, 2)
	b.add(Row{What: "1 MB again with 4 KB more, over mitm", Measured: more(again, 0, 2), Unit: "µs", Budget: 300 + part,
		Beside: fmt.Sprintf("300 and the new part, %s", number(part))})
	return nil
}

// resent sends growing conversations. The first time of each is not counted.
func (b *bench) resent(cs []load.Contender) (load.Rounds, error) {
	clients := make([]*load.Client, len(cs))
	for i, c := range cs {
		clients[i] = load.NewClient(c.Route, chat(1<<10))
		defer clients[i].Close()
	}
	var all load.Rounds
	n := pick(b, 4, 10)
	say := b.saying("1 MB, sent again with 4 KB more")
	for r := range n {
		c := load.NewConversation(1<<30+uint64(r), 1<<20)
		round := make([]load.Sample, len(cs))
		for step := range steps + 1 {
			j := chat(1 << 10)
			j.Body = c.Body()
			for i, k := range clients {
				if err := b.ctx.Err(); err != nil {
					return nil, err
				}
				k.Send(j)
				before := cs[i].CPU()
				if err := k.Do(); err != nil {
					return nil, fmt.Errorf("%s: %w", cs[i].Name, err)
				}
				if step > 0 {
					round[i].CPU += load.Micros(cs[i].CPU()-before) / steps
					round[i].N++
				}
			}
			c.Grow(4 << 10)
		}
		all = append(all, round)
		say(r+1, n)
	}
	return all, nil
}
