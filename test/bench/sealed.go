package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"outvet/test/bench/load"
	"outvet/test/bench/stand"
)

// sealed measures sandboxes: their start, and the way out of them beside a plain
// relay.
func (b *bench) sealed() error {
	state, workspace := filepath.Join(b.stand.Dir, "sealed"), filepath.Join(b.stand.Dir, "workspace")
	for d := b.stand.Dir; len(d) > 1; d = filepath.Dir(d) {
		if i, err := os.Stat(d); err == nil && i.Mode().Perm()&0o005 != 0o005 && filepath.Dir(d) != "/" {
			_ = os.Chmod(d, i.Mode().Perm()|0o055) // the command of root is somebody else; the folder is the benchmark's own
		}
		if d == b.remove || d == b.o.dir {
			break
		}
	}
	if err := os.MkdirAll(workspace, 0o755); err != nil {
		return err
	}
	if _, err := b.stand.Run("run", "--state", state, "--workspace", workspace, "--", "true"); err != nil {
		b.add(Row{What: "outvet run -- true", Absent: "fails here: " + err.Error()})
		b.add(Row{What: "sealed path", Absent: "there are no sandboxes here"})
		return nil
	}
	if err := b.launches(state, workspace); err != nil {
		return err
	}
	return b.paths(state, workspace)
}

// launches compares the start of a command in a sandbox with that of this program
// at all, in turns.
func (b *bench) launches(state, workspace string) error {
	timed := func(name string, args ...string) (wall, cpu float64, err error) {
		cmd := exec.CommandContext(b.ctx, name, args...)
		start := time.Now()
		err = cmd.Run()
		wall = float64(time.Since(start)) / 1e6
		if cmd.ProcessState != nil {
			cpu = float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()) / 1e6
		}
		return wall, cpu, err
	}
	for _, m := range []struct {
		mode   string
		budget float64
	}{{"overlay", 80}, {"open", 40}} {
		var run, cpu, ratio []float64
		for range pick(b, 9, 25) {
			v, _, err := timed(b.stand.Program, "version")
			if err != nil {
				return err
			}
			w, c, err := timed(b.stand.Program, "run", "--state", state, "--workspace", workspace, "--fs", m.mode, "--", "true")
			if err != nil {
				return err
			}
			run, cpu, ratio = append(run, w), append(cpu, c), append(ratio, w/v)
		}
		b.add(Row{What: "outvet run --fs " + m.mode + " -- true", Unit: "ms", Budget: m.budget,
			Beside: fmt.Sprintf("CPU %s; outvet version x %s", number(load.Median(cpu)), number(load.Median(ratio)))}.of(run))
	}
	return nil
}

// paths compares ways out of a sandbox with ways through a plain relay, in turns.
func (b *bench) paths(state, workspace string) error {
	m, err := b.stand.NewMark(workspace)
	if err != nil {
		return err
	}
	defer m.Close()
	size, times, say := int64(pick(b, 64<<20, 256<<20)), pick(b, 200, 400), b.saying("paths")
	var box, relay []stand.Walk
	rounds := pick(b, 5, 9)
	for i := range rounds {
		r, err := m.Relayed(size, times)
		if err != nil {
			return err
		}
		s, err := b.stand.Sealed(m, state, workspace, size, times)
		if err != nil {
			return err
		}
		box, relay = append(box, s), append(relay, r)
		say(i+1, rounds)
	}
	for _, row := range []struct {
		what, unit string
		limit      float64
		least      bool
		of         func(stand.Walk) float64
	}{
		{"sealed path, down", "GB/s", 0.8, true, func(w stand.Walk) float64 { return w.Down }},
		{"sealed path, up", "GB/s", 0.8, true, func(w stand.Walk) float64 { return w.Up }},
		{"sealed path, connect and 9 bytes", "µs", 1.25, false, func(w stand.Walk) float64 { return w.Connect }},
		{"sealed path, a byte there and back", "µs", 1.25, false, func(w stand.Walk) float64 { return w.Byte }},
	} {
		var ratio, ours, theirs []float64
		for i := range box {
			o, t := row.of(box[i]), row.of(relay[i])
			ratio, ours, theirs = append(ratio, o/t), append(ours, o), append(theirs, t)
		}
		b.add(Row{What: row.what, Unit: "x", Budget: row.limit, AtLeast: row.least,
			Beside: fmt.Sprintf("%s %s; relay %s", number(load.Median(ours)), row.unit, number(load.Median(theirs)))}.of(ratio))
	}
	return nil
}
