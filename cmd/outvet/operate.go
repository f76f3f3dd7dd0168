package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"outvet/call"
	"outvet/internal/kill"
	"outvet/internal/metrics"
	"outvet/internal/record"
)

// operate adds what the house needs to be watched and stopped.
func (h *house) operate() {
	h.gate.Switch = &kill.Switch{Dir: string(h.state)}
	h.gate.Cut = func() {
		h.proxy.Sever(severing)
		time.Sleep(severing)
		h.upstream.Flush()
	}
	h.metrics = metrics.New(metrics.Options{
		Version: version,
		Open:    func() float64 { return float64(h.gate.OpenCalls()) },
		Killed: func() float64 {
			if n, _ := h.gate.Killed(); n != nil {
				return 1
			}
			return 0
		},
		Lag: func() float64 {
			n, err := h.record.Lag()
			if err != nil {
				return -1 // it cannot be read; /healthz says more
			}
			return float64(n)
		},
	})
	h.gate.Sinks = append(h.gate.Sinks, h.metrics)
}

// follow does what goes on beside the calls, until the returned function is
// called: a kill must count while calls drain, too.
func (h *house) follow() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go h.gate.Switch.Watch(ctx, h.gate.Look)
	go h.signals.pull(ctx, h)
	go h.watchAuthority(ctx)
	go h.manager.live(func() {
		h.gate.OpenCalls()
		h.sessions.Stopped(&call.Caller{})
	}, ctx.Done())
	return cancel
}

// ending is what a process that drains may take beyond its --drain.
const ending = 10 * time.Second

// glance is how long a command that looks who serves may hold the lock.
const glance = 200 * time.Millisecond

// openRecord opens the log. It has one writer: where another outvet is about to
// end, this one waits for it, and where it is not, it says so at once.
func (h *house) openRecord(ctx context.Context, drain time.Duration) (*record.Log, error) {
	most, said := drain+ending, false
	begin := time.Now()
	for end := begin.Add(most); ; {
		l, err := record.Open(string(h.state), record.Options{})
		if !errors.Is(err, record.ErrLocked) {
			return l, err
		}
		if addr, err := os.ReadFile(h.console); err == nil && time.Since(begin) > glance {
			return nil, usage(fmt.Errorf("another outvet serves %s, with its console at %s", h.state, strings.TrimSpace(string(addr))),
				"end it first, or give this one a state directory of its own with --state DIR")
		}
		if time.Now().After(end) {
			return nil, usage(fmt.Errorf("another outvet has the log of %s open and did not end within %s", h.state, most),
				"wait until it has ended, or end it")
		}
		if !said && time.Since(begin) > glance {
			h.log.Info("another outvet is ending; waiting until it has closed the log", "at_most", most)
			said = true
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("ended while another outvet had the log open")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// listen returns what was passed, or listens at addr.
func listen(passed []net.Listener, flag, addr string) ([]net.Listener, error) {
	if len(passed) > 0 {
		return passed, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", flag, err))
	}
	return []net.Listener{l}, nil
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}

// addresses returns where all of them listen.
func addresses(ls ...[]net.Listener) []net.Addr {
	var out []net.Addr
	for _, l := range slices.Concat(ls...) {
		out = append(out, l.Addr())
	}
	return out
}
