package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"outvet/test/bench/load"
	"outvet/test/bench/stand"
)

// everything asks for all findings, so that every inspector that this outvet has
// is run.
const everything = `  - {name: anything, finding: {kind: "*"}, mode: observe, verdict: block}
`

// inspecting reads from the record how long outvet itself says that decoding and
// inspecting took.
func (b *bench) inspecting() error {
	for _, m := range []struct {
		name, policy string
		small, large float64 // budgets of 4 KB and 64 KB, microseconds
		aim          float64
	}{
		{"secrets", userPolicy, 12, 140, 0},
		{"all inspectors", userPolicy + everything, 40, float64(64<<10) / 100, float64(64<<10) / 200},
	} {
		if !b.stand.Loads(m.policy) {
			b.add(Row{What: m.name, Absent: "this outvet does not load a policy that asks for them"})
			continue
		}
		o, err := b.stand.Serve("inspect", m.policy)
		if err != nil {
			return err
		}
		for _, size := range []int{4 << 10, 64 << 10} {
			_, err := load.Slices(b.ctx, []load.Contender{o.Way}, chat(size), 2, pick(b, 3, 9), pick(b, 200*time.Millisecond, 400*time.Millisecond), b.saying(m.name))
			if err != nil {
				return err
			}
		}
		took, err := b.inspected(o)
		if err != nil {
			return err
		}
		o.Kill()
		for _, size := range []int{4 << 10, 64 << 10} {
			r := Row{What: fmt.Sprintf("%s, %d KB", m.name, size>>10), Unit: "µs", Budget: m.small}
			if size == 64<<10 {
				r.Budget, r.Aim = m.large, m.aim
			}
			r.Measured = load.Median(took[size])
			r.Beside = fmt.Sprintf("%s MB/s; literals %s µs", number(float64(size)/r.Measured), number(stand.Pass(load.Chat(size))))
			b.add(r)
		}
	}
	return nil
}

// inspected returns what the calls of each size took to inspect, in
// microseconds.
func (b *bench) inspected(o *stand.Outvet) (map[int][]float64, error) {
	out, err := b.stand.Run("log", "search", "--state", o.State, "--json", "method:POST")
	if err != nil {
		return nil, err
	}
	took := map[int][]float64{}
	for line := range strings.Lines(out) {
		var leaf struct {
			Size    int
			Inspect time.Duration
		}
		if err := json.Unmarshal([]byte(line), &leaf); err != nil {
			return nil, fmt.Errorf("log search: %w: %s", err, line)
		}
		took[leaf.Size] = append(took[leaf.Size], load.Micros(leaf.Inspect))
	}
	return took, nil
}
