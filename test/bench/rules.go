package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"outvet/call"
	"outvet/internal/policy"
	"outvet/test/bench/load"
	"outvet/test/bench/stand"
)

// counts are how many rules, and how many hosts in one more rule, the policies
// have beyond the plain one.
func (b *bench) counts() []int { return []int{10, 1000, pick(b, 100_000, 100_000)} }

// rules compares decisions, and then whole requests, under policies of different
// sizes.
func (b *bench) rules() error {
	counts := b.counts()
	if err := b.decisions(counts); err != nil {
		return err
	}
	cs := make([]load.Contender, 0, len(counts))
	for _, n := range counts {
		b.progress.say(fmt.Sprintf("rules: start with %d rules and %d hosts", n, n), 0, 0)
		o, err := b.stand.Serve(fmt.Sprintf("rules-%d", n), crowded(n))
		if err != nil {
			return err
		}
		defer o.Kill()
		o.Rest()
		o.Way.Name = fmt.Sprint(n)
		cs = append(cs, o.Way)
	}
	rounds, err := load.Turns(b.ctx, cs, chat(4<<10), pick(b, 7, 21), pick(b, 100, 250), nil, b.saying("whole requests"))
	if err != nil {
		return err
	}
	for i := 1; i < len(cs); i++ {
		b.add(ratio(Row{What: fmt.Sprintf("POST 4 KB, %d by %d", counts[i], counts[0]), Budget: 1.05}, rounds, cs, i, 0, load.CPU, "µs"))
	}
	return nil
}

// decisions compares the decision alone, in this process: the allowed POST of
// all other measurements, and a GET of a host that one rule of many names.
func (b *bench) decisions(counts []int) error {
	const batch = 500
	policies := make([]*policy.Policy, len(counts))
	for i, n := range counts {
		b.progress.say(fmt.Sprintf("rules: load %d rules and %d hosts", n, n), 0, 0)
		p, err := policy.Load(b.ctx, policy.Options{Text: []byte(crowded(n)), Name: "bench.yaml"})
		if err != nil {
			return err
		}
		policies[i] = p
	}
	asked := []call.Call{
		{Dest: call.Dest{Scheme: "https", Host: stand.Host, Port: 443}, Op: call.Op{Protocol: "http", Method: "POST", Target: "/v1/chat/completions"}, Sent: 4 << 10},
		{Dest: call.Dest{Scheme: "https", Host: "n7.hosts.example", Port: 443}, Op: call.Op{Protocol: "http", Method: "GET", Target: "/a/b"}},
	}
	self := stand.Process{PID: os.Getpid()}
	var rounds load.Rounds
	for r := range pick(b, 60, 600) {
		if err := context.Cause(b.ctx); err != nil {
			return err
		}
		round := make([]load.Sample, len(counts))
		for k := range counts {
			i := (k + r) % len(counts) // whoever comes first has the coldest cache
			start := self.CPU()
			for range batch {
				for _, c := range asked {
					if v := decide(policies[i], &c); v != call.Allow {
						return fmt.Errorf("%s %s: %s, want allow", c.Op.Method, c.Dest.Host, v)
					}
				}
			}
			round[i] = load.Sample{N: batch * len(asked), CPU: load.Micros(self.CPU()-start) / float64(batch*len(asked))}
		}
		rounds = append(rounds, round)
	}
	for i := 1; i < len(counts); i++ {
		r := Row{What: fmt.Sprintf("decision, %d by %d, in this process", counts[i], counts[0]), Unit: "x", Budget: 1.05}.of(rounds.Ratios(i, 0, load.CPU))
		b.add(r)
	}
	last := len(counts) - 1
	b.add(Row{What: fmt.Sprintf("decision, %d, in this process", counts[last]), Unit: "µs", Budget: 5}.of(rounds.Of(last, load.CPU)))
	c := asked[0]
	b.add(Row{What: "decision, memory taken", Measured: testing.AllocsPerRun(1000, func() { decide(policies[last], &c) }), Unit: "allocs"})
	return nil
}

// decide asks as the gate does: the head first, then all.
func decide(p *policy.Policy, c *call.Call) call.Verdict {
	var d call.Decision
	if !p.Head(c, &d) {
		p.Decide(c, &d)
	}
	return d.Verdict
}
