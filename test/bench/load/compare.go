package load

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Contender is a route and the clock of what carries it.
type Contender struct {
	Route
	CPU func() time.Duration // of the process, since it began; nil for the straight way
}

func (c Contender) cpu() time.Duration {
	if c.CPU == nil {
		return 0
	}
	return c.CPU()
}

// A Sample is one contender in one round.
type Sample struct {
	N         int
	CPU       float64   // microseconds a request
	Latencies []float64 // microseconds, by turn; NaN for a failed one
	Elapsed   time.Duration
	Errors    int
	Err       error // the first
}

// Rounds are samples by round and then by contender.
type Rounds [][]Sample

// Err returns the first error of a contender, with how many there were.
func (r Rounds) Err(names []Contender) error {
	for i := range names {
		n, total := 0, 0
		var first error
		for _, round := range r {
			n += round[i].Errors
			total += round[i].N
			if first == nil {
				first = round[i].Err
			}
		}
		if first != nil {
			return fmt.Errorf("%s: %d of %d requests failed, the first: %w", names[i].Name, n, total, first)
		}
	}
	return nil
}

// Of returns what f says of contender i in each round.
func (r Rounds) Of(i int, f func(Sample) float64) []float64 {
	var v []float64
	for _, round := range r {
		v = append(v, f(round[i]))
	}
	return v
}

// CPU is the cost of a request in microseconds.
func CPU(s Sample) float64 { return s.CPU }

// Rate is requests a second.
func Rate(s Sample) float64 { return float64(s.N) / s.Elapsed.Seconds() }

// P50 is the median latency.
func P50(s Sample) float64 { return Median(s.Latencies) }

// Ratios are f of contender a by that of b, in each round.
func (r Rounds) Ratios(a, b int, f func(Sample) float64) []float64 {
	var v []float64
	for _, round := range r {
		if below := f(round[b]); below > 0 {
			v = append(v, f(round[a])/below)
		}
	}
	return v
}

// Added is the p-th percentile of what contender a took longer than b in the
// same turn, in microseconds.
func (r Rounds) Added(a, b int, p float64) float64 {
	var v []float64
	for _, round := range r {
		for turn := range min(len(round[a].Latencies), len(round[b].Latencies)) {
			if d := round[a].Latencies[turn] - round[b].Latencies[turn]; !math.IsNaN(d) {
				v = append(v, d)
			}
		}
	}
	return Percentile(v, p)
}

// Progress is told how much of a comparison is done.
type Progress func(done, of int)

// Turns sends one request by each contender a turn, in a shuffled order, and
// compares the latencies inside the turn. next, if it is set, gives the request
// of a turn.
func Turns(ctx context.Context, cs []Contender, j Job, rounds, turns int, next func(round, turn int) Job, say Progress) (Rounds, error) {
	clients := make([]*Client, len(cs))
	for i, c := range cs {
		clients[i] = NewClient(c.Route, j)
		defer clients[i].Close()
	}
	rng := rand.New(rand.NewPCG(uint64(rounds), uint64(turns)))
	var all Rounds
	for r := -1; r < rounds; r++ { // the first only warms up
		round := make([]Sample, len(cs))
		before := make([]time.Duration, len(cs))
		for i, c := range cs {
			before[i] = c.cpu()
		}
		for turn := range turns {
			if next != nil {
				j = next(r, turn)
			}
			for _, i := range rng.Perm(len(cs)) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if next != nil {
					clients[i].Send(j)
				}
				round[i].do(clients[i])
			}
		}
		for i, c := range cs {
			round[i].CPU = Micros(c.cpu()-before[i]) / float64(turns)
		}
		if r >= 0 {
			all = append(all, round)
		}
		say(r+2, rounds+1)
	}
	return all, all.Err(cs)
}

func (s *Sample) do(c *Client) {
	start := time.Now()
	err := c.Do()
	d := time.Since(start)
	s.N++
	s.Elapsed += d
	if err != nil {
		s.Errors++
		if s.Err == nil {
			s.Err = err
		}
		s.Latencies = append(s.Latencies, math.NaN())
		return
	}
	s.Latencies = append(s.Latencies, Micros(d))
}

// Slices gives each contender a slice of time a round with many connections at
// once, in a shuffled order.
func Slices(ctx context.Context, cs []Contender, j Job, connections, rounds int, slice time.Duration, say Progress) (Rounds, error) {
	crowds := make([][]*Client, len(cs))
	for i, c := range cs {
		for range connections {
			k := NewClient(c.Route, j)
			defer k.Close()
			crowds[i] = append(crowds[i], k)
		}
	}
	rng := rand.New(rand.NewPCG(uint64(rounds), uint64(connections)))
	var all Rounds
	for r := -1; r < rounds; r++ {
		round := make([]Sample, len(cs))
		for _, i := range rng.Perm(len(cs)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			round[i] = crowd(cs[i], crowds[i], slice)
		}
		if r >= 0 {
			all = append(all, round)
		}
		say(r+2, rounds+1)
	}
	return all, all.Err(cs)
}

// crowd lets all clients send at once. What is under way when the slice ends is
// counted, so that requests and CPU belong to each other.
func crowd(c Contender, clients []*Client, slice time.Duration) Sample {
	parts := make([]Sample, len(clients))
	var stop atomic.Bool
	var all sync.WaitGroup
	before, start := c.cpu(), time.Now()
	for i, k := range clients {
		all.Go(func() {
			for !stop.Load() {
				parts[i].do(k)
				if parts[i].Errors > 3 {
					return
				}
			}
		})
	}
	time.Sleep(slice)
	stop.Store(true)
	all.Wait()
	s := Sample{Elapsed: time.Since(start)}
	for _, p := range parts {
		s.N += p.N
		s.Errors += p.Errors
		s.Latencies = slices.Concat(s.Latencies, p.Latencies)
		if s.Err == nil {
			s.Err = p.Err
		}
	}
	s.CPU = Micros(c.cpu()-before) / float64(max(s.N, 1))
	return s
}
