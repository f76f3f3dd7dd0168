package proxy

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"outvet/call"
)

// recordUnused records a tunnel in which no call was made. Nothing went
// upstream: its decision says what policy thinks of the destination, its
// outcome what happened.
func (s *Server) recordUnused(t *tunnel) {
	why := t.fault
	if why == "" {
		why = "the client closed the tunnel without a request that can be understood"
	}
	if strings.HasPrefix(why, distrusted) {
		if !s.distrust.first(string(t.caller.Session)+" "+t.host, time.Now()) {
			return
		}
		s.log.Warn("a client does not trust our certificate authority: let it trust ca.pem",
			"session", t.caller.Session, "agent", t.caller.Agent.Value, "host", t.host, "err", why)
	}
	p := s.Gate.Open(context.Background(), t.call("connect", "CONNECT"), nil)
	s.closed(p.Close(call.Outcome{Error: why}))
}

// call describes the tunnel itself.
func (t *tunnel) call(protocol, method string) *call.Call {
	return &call.Call{
		Listener: "proxy", Grade: call.Cooperative, Caller: t.caller,
		Dest: call.Dest{Scheme: "tcp", Host: t.host, Port: t.port},
		Op:   call.Op{Protocol: protocol, Method: method, Target: hostPort(t.host, t.port)},
	}
}

// distrusted begins the fault of a client that refuses our certificate.
const distrusted = "the client does not trust the certificate authority of outvet"

// handshakeFault says why a handshake failed and what to do.
func handshakeFault(err error) string {
	const fix = ": make it trust ca.pem of the state directory"
	text := err.Error()
	for _, sign := range []string{"unknown certificate authority", "bad certificate", "unknown certificate", "certificate unknown",
		"bad record MAC", "unsupported certificate", "certificate required"} {
		if strings.Contains(text, sign) {
			return distrusted + " (" + sign + ")" + fix
		}
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return distrusted + ", it seems: it broke off the TLS handshake" + fix
	case errors.Is(err, context.DeadlineExceeded):
		return "the client did not complete the TLS handshake in time"
	case errors.Is(err, context.Canceled):
		return "the proxy was shut down during the TLS handshake"
	}
	return "the TLS handshake with the client failed: " + ascii(text, 200)
}

// ascii returns s, which the other side may have written, as one short line.
func ascii(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), max)]
}

// A distrust remembers for a minute who was told of.
type distrust struct {
	mu   sync.Mutex // guards told
	told map[string]time.Time
}

const (
	distrustTime = time.Minute
	distrustMax  = 1024
)

// first reports whether key is new, and remembers it.
func (d *distrust) first(key string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.told[key]; ok && now.Sub(at) < distrustTime {
		return false
	}
	if d.told == nil {
		d.told = map[string]time.Time{}
	}
	if len(d.told) >= distrustMax {
		clear(d.told) // telling twice is better than holding more
	}
	d.told[key] = now
	return true
}
