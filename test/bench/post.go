package main

import (
	"fmt"
	"time"

	"outvet/test/bench/load"
	"outvet/test/bench/stand"
)

// chat is a request with a conversation of size bytes.
func chat(size int) load.Job {
	return load.Job{Host: stand.Host, Port: stand.TLSPort, TLS: true, Method: "POST", Path: "/v1/chat/completions", Body: load.Chat(size)}
}

// beside names what a ratio is made of.
func beside(rounds load.Rounds, cs []load.Contender, a, ref int, f func(load.Sample) float64, unit string) string {
	return fmt.Sprintf("%s %s; %s %s", number(load.Median(rounds.Of(a, f))), unit, cs[ref].Name, number(load.Median(rounds.Of(ref, f))))
}

// ratio is a row of f of contender a by that of ref.
func ratio(r Row, rounds load.Rounds, cs []load.Contender, a, ref int, f func(load.Sample) float64, unit string) Row {
	r.Unit, r.Beside = "x", beside(rounds, cs, a, ref, f, unit)
	return r.of(rounds.Ratios(a, ref, f))
}

// others adds a row for each of the user's targets.
func (b *bench) others(what string, rounds load.Rounds, cs []load.Contender, ref int, f func(load.Sample) float64, unit string) {
	for i := len(cs) - len(b.o.targets); i < len(cs); i++ {
		b.add(ratio(Row{What: what + ", " + cs[i].Name}, rounds, cs, i, ref, f, unit))
	}
}

// A posting is the budget of a POST.
type posting struct {
	size        int
	name, ref   string
	budget, aim float64 // of CPU, by ref
	p50, p50aim float64 // added, microseconds
	p99         float64
}

// posts compares requests on connections that are kept alive.
func (b *bench) posts() error {
	for _, p := range []posting{
		{4 << 10, "4 KB", "mitm", 2.0, 1.5, 250, 180, 1500},
		{64 << 10, "64 KB", "mitm-scan", 1.6, 0, 800, 0, 0},
	} {
		if err := b.alone(p); err != nil {
			return err
		}
		if err := b.crowd(p); err != nil {
			return err
		}
	}
	return nil
}

// alone sends on one connection, and compares latencies as well.
func (b *bench) alone(p posting) error {
	cs, err := b.contenders(p.ref, "direct", "mitm-std")
	if err != nil {
		return err
	}
	what := p.name + ", 1 connection"
	rounds, err := load.Turns(b.ctx, cs, chat(p.size), pick(b, 5, 15), pick(b, 120, 300), nil, b.saying(what))
	if err != nil {
		return err
	}
	b.add(ratio(Row{What: what, Budget: p.budget, Aim: p.aim}, rounds, cs, 0, 1, load.CPU, "µs"))
	b.add(ratio(Row{What: what + ", mitm-std"}, rounds, cs, 3, 1, load.CPU, "µs"))
	b.others(what, rounds, cs, 1, load.CPU, "µs")
	b.add(Row{What: what + ", added p50", Measured: rounds.Added(0, 2, 50), Unit: "µs", Budget: p.p50, Aim: p.p50aim,
		Beside: fmt.Sprintf("direct %s; %s adds %s", number(load.Median(rounds.Of(2, load.P50))), p.ref, number(rounds.Added(1, 2, 50)))})
	b.add(Row{What: what + ", added p99", Measured: rounds.Added(0, 2, 99), Unit: "µs", Budget: p.p99,
		Beside: fmt.Sprintf("%s adds %s", p.ref, number(rounds.Added(1, 2, 99)))})
	return nil
}

// crowd sends on 32 connections.
func (b *bench) crowd(p posting) error {
	cs, err := b.contenders(p.ref)
	if err != nil {
		return err
	}
	what := p.name + ", 32 connections"
	rounds, err := load.Slices(b.ctx, cs, chat(p.size), 32, pick(b, 5, 15), pick(b, 250*time.Millisecond, 700*time.Millisecond), b.saying(what))
	if err != nil {
		return err
	}
	b.add(ratio(Row{What: what, Budget: p.budget, Aim: p.aim}, rounds, cs, 0, 1, load.CPU, "µs"))
	b.others(what, rounds, cs, 1, load.CPU, "µs")
	b.add(ratio(Row{What: what + ", rate"}, rounds, cs, 0, 1, load.Rate, "/s"))
	return nil
}

// fresh makes a connection for each request.
func (b *bench) fresh() error {
	cs, err := b.contenders("mitm", "direct")
	if err != nil {
		return err
	}
	j := chat(4 << 10)
	j.Fresh = true
	rounds, err := load.Turns(b.ctx, cs, j, pick(b, 5, 15), pick(b, 20, 80), nil, b.saying("4 KB"))
	if err != nil {
		return err
	}
	b.add(ratio(Row{What: "4 KB, intercepted"}, rounds, cs, 0, 1, load.CPU, "µs"))
	b.others("4 KB, intercepted", rounds, cs, 1, load.CPU, "µs")
	b.add(Row{What: "4 KB, intercepted, added p50", Measured: rounds.Added(0, 2, 50), Unit: "µs",
		Beside: fmt.Sprintf("direct %s; mitm adds %s", number(load.Median(rounds.Of(2, load.P50))), number(rounds.Added(1, 2, 50)))})
	return nil
}
