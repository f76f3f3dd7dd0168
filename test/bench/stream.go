package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"outvet/test/bench/load"
)

// sse asks for n events, us microseconds apart.
func sse(n, us int) load.Job {
	j := chat(4 << 10)
	j.Path = fmt.Sprintf("/sse?n=%d&us=%d", n, us)
	return j
}

// streams compares how late events are, and counts streams that were cut.
func (b *bench) streams() error {
	cs, err := b.contenders("mitm", "direct")
	if err != nil {
		return err
	}
	const n = 60
	delays, first, err := b.delays(cs, sse(n, 3000), n, pick(b, 5, 25))
	if err != nil {
		return err
	}
	b.add(Row{What: "delay of an event", Unit: "x", Budget: 1.5, Beside: fmt.Sprintf("%s µs; mitm %s", number(load.Median(delays.Of(0, load.P50))), number(load.Median(delays.Of(1, load.P50))))}.of(delays.Ratios(0, 1, load.P50)))
	b.others("delay of an event", delays, cs, 1, load.P50, "µs")
	b.add(Row{What: "first event, later than by mitm", Unit: "µs", Budget: 150, Measured: first.Added(0, 1, 50), Beside: fmt.Sprintf("%s µs; mitm %s", number(load.Median(first.Of(0, load.P50))), number(load.Median(first.Of(1, load.P50))))})
	m := pick(b, 500, 10_000)
	cut, err := b.cut(cs[0], sse(20, 0), 20, m)
	if err != nil {
		return err
	}
	b.add(Row{What: fmt.Sprintf("of %d fast streams", m), Measured: float64(cut), Unit: "cut"})
	return nil
}

// delays has each contender carry one stream a round.
func (b *bench) delays(cs []load.Contender, j load.Job, n, rounds int) (delays, first load.Rounds, err error) {
	clients := make([]*load.Client, len(cs))
	for i, c := range cs {
		clients[i] = load.NewClient(c.Route, j)
		defer clients[i].Close()
	}
	say := b.saying("delay")
	for r := range rounds + 1 {
		d, f := make([]load.Sample, len(cs)), make([]load.Sample, len(cs))
		for _, i := range rand.Perm(len(cs)) {
			if b.ctx.Err() != nil {
				return nil, nil, b.ctx.Err()
			}
			s, err := clients[i].Stream()
			if err == nil && (!s.Whole || s.Events != n) {
				err = fmt.Errorf("%d of %d events", s.Events, n)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", cs[i].Name, err)
			}
			d[i] = load.Sample{N: s.Events, Latencies: s.Delays}
			f[i] = load.Sample{N: 1, Latencies: []float64{load.Micros(s.First)}}
		}
		if r > 0 { // the first only warms up
			delays, first = append(delays, d), append(first, f)
		}
		say(r+1, rounds+1)
	}
	return delays, first, nil
}

// cut carries m streams, eight at once, every second one on a new connection,
// and counts those that did not come whole.
func (b *bench) cut(c load.Contender, j load.Job, n, m int) (int, error) {
	var left, cut atomic.Int64
	left.Store(int64(m))
	say := b.saying("streams")
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			client := load.NewClient(c.Route, j)
			defer client.Close()
			for b.ctx.Err() == nil {
				k := left.Add(-1)
				if k < 0 {
					return
				}
				j.Fresh = k%2 == 0
				client.Send(j)
				if s, err := client.Stream(); err != nil || !s.Whole || s.Events != n {
					cut.Add(1)
				}
				if k%100 == 0 {
					mu.Lock()
					say(m-int(k), m)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return int(cut.Load()), b.ctx.Err()
}

// downloads compares long answers.
func (b *bench) downloads() error {
	size := pick(b, 100<<20, 100<<20)
	cs, err := b.contenders("mitm")
	if err != nil {
		return err
	}
	long := chat(1 << 10)
	long.Method, long.Path, long.Body = "GET", fmt.Sprintf("/bytes/%d", size), nil
	rounds, err := load.Turns(b.ctx, cs, long, pick(b, 3, 9), 1, nil, b.saying("long answers"))
	if err != nil {
		return err
	}
	speed := func(s load.Sample) float64 { return float64(size) / 1e6 / s.Elapsed.Seconds() }
	b.add(ratio(Row{What: fmt.Sprintf("%d MB, CPU", size>>20)}, rounds, cs, 0, 1, load.CPU, "µs"))
	b.add(ratio(Row{What: fmt.Sprintf("%d MB, throughput", size>>20)}, rounds, cs, 0, 1, speed, "MB/s"))
	b.others("throughput", rounds, cs, 1, speed, "MB/s")
	events := pick(b, 10_000, 100_000)
	rounds, err = load.Turns(b.ctx, cs, sse(events, 0), pick(b, 3, 9), 1, nil, b.saying("events"))
	if err != nil {
		return err
	}
	rate := func(s load.Sample) float64 { return float64(events) / s.Elapsed.Seconds() }
	b.add(ratio(Row{What: "events without a pause, CPU"}, rounds, cs, 0, 1, load.CPU, "µs"))
	b.add(ratio(Row{What: "events without a pause, rate"}, rounds, cs, 0, 1, rate, "/s"))
	return nil
}
