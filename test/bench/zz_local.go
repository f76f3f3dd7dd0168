package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"outvet/test/bench/load"
)

// local profiling: ZZ=size,conns,rounds,ms
func (b *bench) zz() error {
	var size, conns, rounds, ms int
	fmt.Sscanf(os.Getenv("ZZ"), "%d,%d,%d,%d", &size, &conns, &rounds, &ms)
	_ = strconv.Itoa
	ref := "mitm"
	if size > 8192 {
		ref = "mitm-scan"
	}
	cs, err := b.contenders(ref)
	if err != nil {
		return err
	}
	what := fmt.Sprint(size, " ", conns)
	var r load.Rounds
	if conns == 1 {
		r, err = load.Turns(b.ctx, cs, chat(size), rounds, ms, nil, b.saying(what))
	} else {
		r, err = load.Slices(b.ctx, cs, chat(size), conns, rounds, time.Duration(ms)*time.Millisecond, b.saying(what))
	}
	if err != nil {
		return err
	}
	b.add(ratio(Row{What: what, Budget: 2}, r, cs, 0, 1, load.CPU, "µs"))
	b.add(ratio(Row{What: what + ", rate"}, r, cs, 0, 1, load.Rate, "/s"))
	return nil
}
