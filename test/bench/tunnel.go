package main

import (
	"outvet/test/bench/load"
	"outvet/test/bench/stand"
)

// tunnels compares tunnels that pass as they are: TLS to a host that the policy
// names, and frames that are no protocol anybody knows, which are inspected in
// windows.
func (b *bench) tunnels() error {
	cs, err := b.contenders("connect")
	if err != nil {
		return err
	}
	cs = cs[:2]
	tls := chat(4 << 10)
	tls.Host, tls.Unread = stand.Pinned, true
	raw := load.Job{Host: stand.Host, Port: stand.RawPort, Raw: true, Body: load.Chat(4 << 10)}
	for _, m := range []struct {
		name   string
		job    load.Job
		absent bool
	}{
		{"TLS passed unread", tls, !b.stand.Loads(userPolicy + unread)},
		{"raw, read in windows", raw, false},
	} {
		for _, fresh := range []bool{false, true} {
			what, budget, turns := m.name+", kept alive", 1.1, pick(b, 100, 400)
			if fresh {
				what, budget, turns = m.name+", new", 1.3, pick(b, 40, 100)
			}
			if m.absent {
				b.add(Row{What: what, Absent: "this outvet does not know tls: passthrough"})
				continue
			}
			m.job.Fresh = fresh
			rounds, err := load.Turns(b.ctx, cs, m.job, pick(b, 5, 15), turns, nil, b.saying(what))
			if err != nil {
				if b.ctx.Err() != nil {
					return err
				}
				b.fail(what, err)
				continue
			}
			b.add(ratio(Row{What: what, Budget: budget}, rounds, cs, 0, 1, load.CPU, "µs"))
		}
	}
	return nil
}
