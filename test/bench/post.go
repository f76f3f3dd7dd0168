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

// beside names what a ratio is made of, and the ratios of the user's targets.
func beside(rounds load.Rounds, cs []load.Contender, ours, ref int, f func(load.Sample) float64, unit string) string {
	s := fmt.Sprintf("%s %s; %s %s", number(load.Median(rounds.Of(ours, f))), unit, cs[ref].Name, number(load.Median(rounds.Of(ref, f))))
	return s
}

// others adds a row for each of the user's targets.
func (b *bench) others(what string, rounds load.Rounds, cs []load.Contender, ref int, f func(load.Sample) float64) {
	for i := len(cs) - len(b.o.targets); i < len(cs); i++ {
		b.add(Row{What: what + ", " + cs[i].Name, Measured: rounds.Ratio(i, ref, f), Unit: "x", Beside: beside(rounds, cs, i, ref, f, "µs")})
	}
}

func (b *bench) posts() error {
	for _, m := range []struct {
		size           int
		name, ref      string
		budget, aim    float64
		p50, p50aim    float64
		p99            float64
		many, manyName int
	}{
		{4 << 10, "4 KB", "mitm", 2.0, 1.5, 250, 180, 1500, 32, 32},
		{64 << 10, "64 KB", "mitm-scan", 1.6, 0, 800, 0, 0, 32, 32},
	} {
		cs, err := b.contenders(m.ref, "direct", "mitm-std")
		if err != nil {
			return err
		}
		j := chat(m.size)
		rounds, err := load.Turns(b.ctx, cs, j, pick(b, 5, 15), pick(b, 60, 250), nil, b.saying(m.name+", 1 connection"))
		if err != nil {
			return err
		}
		what := m.name + ", 1 connection"
		b.add(Row{What: what, Measured: rounds.Ratio(0, 1, load.CPU), Unit: "x", Budget: m.budget, Aim: m.aim, Beside: beside(rounds, cs, 0, 1, load.CPU, "µs")})
		b.add(Row{What: what + ", mitm-std", Measured: rounds.Ratio(3, 1, load.CPU), Unit: "x", Beside: beside(rounds, cs, 3, 1, load.CPU, "µs")})
		b.others(what, rounds, cs, 1, load.CPU)
		b.add(Row{What: what + ", added p50", Measured: rounds.Added(0, 2, 50), Unit: "µs", Budget: m.p50, Aim: m.p50aim,
			Beside: fmt.Sprintf("direct %s; %s adds %s", number(load.Median(rounds.Of(2, load.P50))), m.ref, number(rounds.Added(1, 2, 50)))})
		b.add(Row{What: what + ", added p99", Measured: rounds.Added(0, 2, 99), Unit: "µs", Budget: m.p99,
			Beside: fmt.Sprintf("%s adds %s", m.ref, number(rounds.Added(1, 2, 99)))})
		cs = append(cs[:2:2], cs[4:]...)
		rounds, err = load.Slices(b.ctx, cs, j, m.many, pick(b, 5, 15), pick(b, 250*time.Millisecond, 700*time.Millisecond), b.saying(m.name+", 32 connections"))
		if err != nil {
			return err
		}
		what = m.name + ", 32 connections"
		b.add(Row{What: what, Measured: rounds.Ratio(0, 1, load.CPU), Unit: "x", Budget: m.budget, Aim: m.aim, Beside: beside(rounds, cs, 0, 1, load.CPU, "µs")})
		b.others(what, rounds, cs, 1, load.CPU)
		b.add(Row{What: what + ", rate", Measured: rounds.Ratio(0, 1, load.Rate), Unit: "x", AtLeast: true, Beside: beside(rounds, cs, 0, 1, load.Rate, "/s")})
	}
	return nil
}

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
	b.add(Row{What: "4 KB, intercepted", Measured: rounds.Ratio(0, 1, load.CPU), Unit: "x", Beside: beside(rounds, cs, 0, 1, load.CPU, "µs")})
	b.others("4 KB, intercepted", rounds, cs, 1, load.CPU)
	b.add(Row{What: "4 KB, intercepted, added p50", Measured: rounds.Added(0, 2, 50), Unit: "µs", Beside: fmt.Sprintf("direct %s; mitm adds %s", number(load.Median(rounds.Of(2, load.P50))), number(rounds.Added(1, 2, 50)))})
	return nil
}
