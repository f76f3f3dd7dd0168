package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"outvet/call"
	"outvet/internal/record"
	"outvet/test/bench/load"
	"outvet/test/bench/stand"
)

// record measures the log: what a call waits for, how many leaves a second, and
// how fast a stranger verifies them.
func (b *bench) record() error {
	dir := filepath.Join(b.stand.Dir, "record")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	n := pick(b, 50_000, 500_000)
	path, leaves, err := b.append(dir, n)
	if err != nil {
		return err
	}
	b.add(Row{What: "append, as the caller waits", Unit: "µs", Budget: 5, Measured: load.Median(path), Beside: fmt.Sprintf("p99 %s; in this process", number(load.Percentile(path, 99)))})
	b.add(Row{What: "append until signed, leaves", Unit: "/s", AtLeast: true, Budget: 50_000, Measured: leaves, Beside: fmt.Sprintf("%d leaves", 2*n)})
	b.progress.say("record: verify", 0, 0)
	start := time.Now()
	if _, err := b.stand.Run("log", "verify", "--state", dir); err != nil {
		return err
	}
	took := time.Since(start)
	b.add(Row{What: "outvet log verify, leaves", Unit: "/s", AtLeast: true, Budget: 200_000, Measured: float64(2*n+2) / took.Seconds(), Beside: fmt.Sprintf("%d leaves in %s", 2*n+2, took.Round(time.Millisecond))})
	durable, err := b.durable(filepath.Join(b.stand.Dir, "durable"), pick(b, 200, 2000))
	if err != nil {
		return err
	}
	bare, err := bareSync(b.stand.Dir, 100)
	if err != nil {
		return err
	}
	b.add(Row{What: "durable append, one writer", Unit: "µs", Budget: 200, Measured: load.Median(durable), Beside: fmt.Sprintf("write and fdatasync alone %s", number(load.Median(bare)))})
	return nil
}

// leaves returns the two records of a call like those of the other measurements.
func leaves(id call.ID) (decided, closed *call.Record) {
	d := &call.Record{Kind: call.Decided, ID: id, Time: time.Now().UTC(), Listener: "proxy", Grade: call.Cooperative,
		Caller: call.Caller{Session: "127.0.0.1", SessionMark: call.Observed, Agent: call.Attr{Value: "bench/1", Mark: call.Claimed}},
		Scheme: "https", Host: stand.Host, Port: 443, Protocol: "http", Method: "POST", Target: "/v1/chat/completions", Size: 4096,
		Decision: &call.Decision{Rule: "model", At: "policy.yaml:5", Layer: "policy", Reason: `Rule "model" allows it.`, Policy: "e59cf3d1f4ea6e08e0066263756c2a5c92270bd5e151f082fb570c2922375f94"},
		Took:     50_000, Inspect: 20_000}
	c := &call.Record{Kind: call.Closed, ID: id, Time: d.Time, Took: 300_000, Body: make([]byte, 32),
		Outcome: &call.Outcome{Status: 200, Sent: 4096, Received: 1204, Address: "127.0.0.1:443"}}
	return d, c
}

// append writes n calls. It returns what each leaf took in microseconds, and how
// many a second were under a checkpoint.
func (b *bench) append(dir string, n int) (path []float64, rate float64, err error) {
	l, err := record.Open(dir, record.Options{})
	if err != nil {
		return nil, 0, err
	}
	say := b.saying("append")
	path = make([]float64, 0, 2*n)
	begin := time.Now()
	for i := range n {
		d, c := leaves(call.NewID(begin.Add(time.Duration(i))))
		for _, r := range []*call.Record{d, c} {
			start := time.Now()
			if err := l.Write(r); err != nil {
				l.Close()
				return nil, 0, err
			}
			path = append(path, load.Micros(time.Since(start)))
		}
		if i%10_000 == 0 {
			say(i, n)
			if b.ctx.Err() != nil {
				l.Close()
				return nil, 0, b.ctx.Err()
			}
		}
	}
	err = l.Close()
	return path, float64(2*n) / time.Since(begin).Seconds(), err
}

// durable writes leaves that must be on disk before the call goes on.
func (b *bench) durable(dir string, n int) ([]float64, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := record.Open(dir, record.Options{})
	if err != nil {
		return nil, err
	}
	var took []float64
	for i := range n {
		d, c := leaves(call.NewID(time.Now().Add(time.Duration(i))))
		d.Durable = true
		start := time.Now()
		if err := l.Write(d); err != nil {
			l.Close()
			return nil, err
		}
		took = append(took, load.Micros(time.Since(start)))
		if err := l.Write(c); err != nil {
			l.Close()
			return nil, err
		}
	}
	return took, l.Close()
}

// bareSync is what the disk itself takes for as much.
func bareSync(dir string, n int) ([]float64, error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var took []float64
	b := make([]byte, 700)
	for range n {
		start := time.Now()
		if _, err := f.Write(b); err != nil {
			return nil, err
		}
		if err := stand.SyncData(f); err != nil {
			return nil, err
		}
		took = append(took, load.Micros(time.Since(start)))
	}
	return took, nil
}
