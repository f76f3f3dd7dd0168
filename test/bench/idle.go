package main

import (
	"fmt"
	"sync"
	"time"

	"outvet/test/bench/load"
	"outvet/test/bench/stand"
)

// A host is a process whose memory is read, with the way through it.
type host struct {
	name    string
	process *stand.Process
	way     load.Contender
}

// newOutvet starts an outvet that has carried nothing yet.
func (b *bench) newOutvet(name string) (host, error) {
	text := userPolicy
	if b.stand.Loads(userPolicy + unread) {
		text += unread
	}
	o, err := b.stand.Serve(name, text)
	if err != nil {
		return host{}, err
	}
	return host{"outvet", o.Process, o.Way}, nil
}

func (b *bench) newReference(name string) (host, error) {
	p, err := b.stand.Reference(name)
	if err != nil {
		return host{}, err
	}
	c, err := b.stand.Contender(p, p.Ready["proxy"], b.stand.CA())
	return host{name, p, c}, err
}

// Descriptors that a connection takes of a proxy: two sockets, and in a tunnel a
// pipe for each direction in which the kernel copies.
const (
	filesIntercepted = 2
	filesTunnel      = 6
)

// idle opens connections, leaves them alone, and reads what each takes of the
// proxy's memory. Each measurement has a process of its own: what was used
// before would hide it.
func (b *bench) idle() error {
	tls := chat(1 << 10)
	passed := tls
	passed.Host, passed.Unread = stand.Pinned, true
	raw := load.Job{Host: stand.Host, Port: stand.RawPort, Raw: true, Body: load.Chat(1 << 10)}
	for _, m := range []struct {
		name, ref string
		job       load.Job
		budget    float64
		files     int
		absent    bool
	}{
		{"TLS passed unread", "connect", passed, 20, filesTunnel, !b.stand.Loads(userPolicy + unread)},
		{"raw tunnel", "connect", raw, 20, filesTunnel, false},
		{"intercepted", "mitm", tls, 50, filesIntercepted, false},
	} {
		n := min(b.o.idle, (b.stand.Files-200)/m.files) // what the limit of open files lets
		what := fmt.Sprintf("%s, %d open, each", m.name, n)
		if m.absent {
			b.add(Row{What: what, Absent: "this outvet does not know tls: passthrough"})
			continue
		}
		ours, err := b.newOutvet("idle")
		if err != nil {
			return err
		}
		kb, err := b.hold(ours, m.job, n)
		ours.process.Kill()
		if err != nil {
			if b.ctx.Err() != nil {
				return err
			}
			b.fail(what, err)
			continue
		}
		ref, err := b.newReference(m.ref)
		if err != nil {
			return err
		}
		refKB, err := b.hold(ref, m.job, n)
		ref.process.Kill()
		if err != nil {
			return err
		}
		b.add(Row{What: what, Measured: kb, Unit: "KB", Budget: m.budget, Beside: fmt.Sprintf("%s %s", m.ref, number(refKB))})
	}
	return nil
}

// hold opens n connections, with one request on each, and returns the memory in
// KB that one takes. It fails if one of them was closed meanwhile.
func (b *bench) hold(h host, j load.Job, n int) (float64, error) {
	for range 20 {
		c := load.NewClient(h.way.Route, j)
		err := c.Do()
		c.Close()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", h.name, err)
		}
	}
	if err := b.settle(); err != nil {
		return 0, err
	}
	before, err := h.process.Memory()
	if err != nil {
		return 0, err
	}
	open, err := b.open(h, j, n)
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	if err != nil {
		return 0, err
	}
	if err := b.settle(); err != nil {
		return 0, err
	}
	after, err := h.process.Memory()
	if err != nil {
		return 0, err
	}
	for i := 0; i < n; i += max(n/100, 1) {
		if err := open[i].Do(); err != nil {
			return 0, fmt.Errorf("%s: an idle connection: %w", h.name, err)
		}
		if open[i].Again > 0 {
			return 0, fmt.Errorf("%s closed an idle connection", h.name)
		}
	}
	return float64(after-before) / float64(n), nil
}

// open makes n connections, eight at a time.
func (b *bench) open(h host, j load.Job, n int) ([]*load.Client, error) {
	clients := make([]*load.Client, n)
	say := b.saying("open by " + h.name)
	var mu sync.Mutex // guards first and done
	var first error
	done := 0
	var all sync.WaitGroup
	for k := range 8 {
		all.Go(func() {
			for i := k; i < n && b.ctx.Err() == nil; i += 8 {
				c := load.NewClient(h.way.Route, j)
				err := c.Do()
				c.Hold()
				clients[i] = c
				mu.Lock()
				if done++; done%100 == 0 {
					say(done, n)
				}
				if err != nil && first == nil {
					first = fmt.Errorf("%s: connection %d of %d: %w", h.name, i, n, err)
				}
				stop := first != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	all.Wait()
	if first == nil {
		first = b.ctx.Err()
	}
	opened := clients[:0]
	for _, c := range clients {
		if c != nil {
			opened = append(opened, c)
		}
	}
	return opened, first
}

// closed opens and closes many connections and compares the memory with that
// after a twentieth of them.
func (b *bench) closed() error {
	n := pick(b, 2000, 20_000)
	first := max(n/20, 40) // enough that as many were open at once as will be later
	ours, err := b.newOutvet("closed")
	if err != nil {
		return err
	}
	defer ours.process.Kill()
	j := chat(4 << 10)
	j.Fresh = true
	early, earlyFiles, err := b.churn(ours, j, first)
	if err != nil {
		return err
	}
	late, lateFiles, err := b.churn(ours, j, n-first)
	if err != nil {
		return err
	}
	b.add(Row{What: fmt.Sprintf("memory after %d, by that after %d", n, first), Measured: float64(late) / float64(early), Unit: "x", Budget: 1.1, Beside: fmt.Sprintf("%s MB; %s", number(float64(late)/1024), number(float64(early)/1024))})
	b.add(Row{What: fmt.Sprintf("descriptors more than after %d", first), Measured: float64(max(lateFiles-earlyFiles, 0)), Unit: "left", Beside: fmt.Sprintf("%d; %d", lateFiles, earlyFiles)})
	return nil
}

// churn opens and closes n connections and returns the memory in KB and the
// descriptors afterwards.
func (b *bench) churn(h host, j load.Job, n int) (kb, files int, err error) {
	open, err := b.open(h, j, n)
	for _, c := range open {
		c.Close()
	}
	if err != nil {
		return 0, 0, err
	}
	if err := b.settle(); err != nil {
		return 0, 0, err
	}
	if kb, err = h.process.Memory(); err != nil {
		return 0, 0, err
	}
	files, err = h.process.Files()
	return kb, files, err
}

// settle waits until memory has settled.
func (b *bench) settle() error { return b.wait(pick(b, time.Second, 2*time.Second)) }

func (b *bench) wait(d time.Duration) error {
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-time.After(d):
		return nil
	}
}
