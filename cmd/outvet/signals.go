package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"outvet/internal/kill"
)

// signals are those that serve acts on: SIGHUP reads the policy again, SIGUSR1 pulls the kill switch, a second SIGTERM or interrupt ends at once what
// the first lets drain, and a third ends the process.
type signals struct {
	hup, usr1 chan os.Signal
	end       chan os.Signal
	hurry     context.Context // over at the second
	once      sync.Once
}

// catch begins to listen. It is called first, since a SIGUSR1 that nobody
// catches ends the process.
func catch() *signals {
	s := &signals{hup: make(chan os.Signal, 1), usr1: make(chan os.Signal, 1), end: make(chan os.Signal, 4)}
	signal.Notify(s.hup, syscall.SIGHUP)
	signal.Notify(s.usr1, syscall.SIGUSR1)
	signal.Notify(s.end, os.Interrupt, syscall.SIGTERM)
	hurry, now := context.WithCancel(context.Background())
	s.hurry = hurry
	go func() {
		defer now()
		n := 0
		for range s.end {
			switch n++; n {
			case 2:
				now()
			case 3:
				signal.Reset(os.Interrupt, syscall.SIGTERM)
				_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
			}
		}
	}()
	return s
}

// stop gives the signals their usual meaning again.
func (s *signals) stop() {
	s.once.Do(func() {
		signal.Stop(s.hup)
		signal.Stop(s.usr1)
		signal.Stop(s.end)
		close(s.end)
	})
}

// pull pulls the kill switch at each SIGUSR1, until ctx ends.
func (s *signals) pull(ctx context.Context, h *house) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.usr1:
			n := kill.Notice{By: "a person on this machine", How: "SIGUSR1", At: time.Now().UTC()}
			if err := h.gate.Kill(n); err != nil {
				h.log.Error("all calls are stopped, but not for good", "err", err)
			}
		}
	}
}
