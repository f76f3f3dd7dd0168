package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"

	"outvet/call"
	"outvet/internal/kill"
	"outvet/internal/metrics"
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
	go h.watchSessions(ctx)
	go h.manager.live(func() {
		h.gate.OpenCalls()
		h.sessions.Stopped(&call.Caller{})
	}, ctx.Done())
	return cancel
}

// watchSessions takes in what others write to the journal of sessions: outvet
// session, and other processes that use the same state.
func (h *house) watchSessions(ctx context.Context) {
	t := time.NewTicker(kill.Poll)
	defer t.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := h.gate.LookSessions()
		if err != nil && err.Error() != said {
			h.log.Error("quarantines of others are not known", "err", err)
		}
		if said = ""; err != nil {
			said = err.Error()
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
		return nil, usage(fmt.Errorf("%s %s: %w", flag, addr, unwrapped(err)), hintListen(flag, err))
	}
	return []net.Listener{l}, nil
}

// unwrapped is what is wrong with an address, without the address once more.
func unwrapped(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if bad, ok := errors.AsType[*net.AddrError](err); ok {
		err = errors.New(bad.Err)
	}
	return err
}

// hintListen says what to do about an address that cannot be listened at.
func hintListen(flag string, err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "end what listens there, or give another address with " + flag + "; port 0 picks a free one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "no network interface of this machine has this address"
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 want root or the capability net_bind_service"
	}
	return "give ADDRESS:PORT, for example " + flag + " 127.0.0.1:8088"
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
