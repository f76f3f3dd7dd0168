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
	"outvet/internal/hello"
)

// recordUnused records a tunnel in which no call was made. Nothing went
// upstream: its decision says what policy thinks of the destination, its
// outcome what happened.
func (s *Server) recordUnused(t *tunnel) {
	why := t.fault
	if why == "" {
		why = "the client closed the tunnel without a request that can be understood"
	}
	if t.supposed() && s.trust.has(t.key(), time.Now()) {
		return // it gave up a connection that it did not need
	}
	if strings.HasPrefix(why, distrusted) {
		if !s.distrust.add(t.key(), time.Now()) {
			return
		}
		s.log.Warn("a client does not trust our certificate authority: let it trust ca.pem",
			"session", t.caller.Session, "agent", t.caller.Agent.Value, "host", t.host, "err", why)
	}
	if t.kept != "" {
		why += "; its TLS did not pass unread: " + t.kept
	}
	p := s.Gate.Open(context.Background(), t.call("connect", "CONNECT"), nil)
	s.closed(p.Close(call.Outcome{Error: why}))
}

// call describes the tunnel itself.
func (t *tunnel) call(protocol, method string) *call.Call {
	c := &call.Call{
		Caller: t.caller, Witness: t.arrival.who(), Dest: call.Dest{Scheme: "tcp", Host: t.host, Port: t.port},
		Op: call.Op{Protocol: protocol, Method: method, Target: hostPort(t.host, t.port)},
	}
	t.entry.from(c)
	return c
}

// Faults of clients: distrusted begins that of one that refuses our
// certificate, brokeOff that of one of which it can only be supposed.
const (
	distrusted = call.Distrusts
	brokeOff   = distrusted + ", it seems"
	leftEarly  = "the client closed the tunnel without a request"
)

// supposed reports whether what is wrong with the tunnel is only supposed: its
// client may have had no use for it.
func (t *tunnel) supposed() bool {
	return t.fault == leftEarly || strings.HasPrefix(t.fault, brokeOff)
}

// doubtful reports whether it is not known yet if that is so.
func (t *tunnel) doubtful() bool {
	return t.supposed() && !t.s.trust.has(t.key(), time.Now())
}

// doubtTime is for how long a client may make a call to the host on another
// connection. Clients of HTTP/2 open several at a time and keep one.
const doubtTime = time.Second

// wait waits for d, or until the server is shut down.
func (s *Server) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ending:
	}
}

// key names who makes tunnels to one host.
func (t *tunnel) key() string {
	return string(t.caller.Session) + " " + t.caller.Agent.Value + " " + t.host
}

// tooOld says of a client what it could be told only by an alert.
const tooOld = "the client speaks no version of TLS that is safe: it needs TLS 1.2 or newer"

// handshakeFault says why a handshake failed and what to do. head is what the
// client sent first.
func (t *tunnel) handshakeFault(err error, head []byte) string {
	text, fix := err.Error(), t.fix()
	if t.shown {
		head = nil // it was understood
	}
	if why := helloFault(text, head); why != "" {
		return why
	}
	for _, sign := range []string{"unknown certificate authority", "bad certificate", "unknown certificate", "certificate unknown",
		"bad record MAC", "unsupported certificate", "certificate required"} {
		if strings.Contains(text, sign) {
			return distrusted + " (" + sign + ")" + fix
		}
	}
	gone := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
	switch {
	case gone && !t.shown:
		return "the client closed the tunnel within its first TLS message"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return brokeOff + ": it broke off the TLS handshake" + fix
	case errors.Is(err, context.DeadlineExceeded):
		return "the client did not complete the TLS handshake in time"
	case errors.Is(err, context.Canceled):
		return "the proxy was shut down during the TLS handshake"
	}
	return "the TLS handshake with the client failed: " + ascii(text, 200)
}

// fix says what to do about a client that does not trust us.
func (t *tunnel) fix() string {
	how := ""
	if who := t.caller.Agent.Value; t.s != nil && t.s.Cure != nil {
		if how = " (" + t.s.Cure(who) + ")"; who != "" {
			how = " (" + ascii(who, 60) + ": " + t.s.Cure(who) + ")"
		}
	}
	return ": make it trust ca.pem of the state directory" + how + ", or, if it never will, name the host in a rule with tls: passthrough"
}

// fled reports whether the client closed the tunnel as one does that looks at
// our certificate only after the handshake (GnuTLS: wget and git of Debian),
// and says so as the tunnel's fault.
func (t *tunnel) fled() bool {
	if !t.ready || t.fault != "" || t.asked.Load() || time.Since(t.met) > fledTime || t.s.isClosing() {
		return false
	}
	t.fault = brokeOff + ": it closed the connection right after the handshake" + t.fix()
	return true
}

// fledTime is how long after the handshake that counts as right after. A
// connection that is made in advance is kept for longer.
const fledTime = time.Second

// helloFault says what is wrong with what the client said first, as far as the
// error of the handshake or the bytes tell, or "".
func helloFault(text string, head []byte) string {
	for _, f := range []struct{ sign, why string }{
		{"unsupported versions", tooOld},
		{"unsupported application protocols", "the client speaks another protocol in TLS than HTTP, which cannot be read: " +
			"name the host in a rule with tls: passthrough"},
		{"unexpected early data", "the client sent data before the handshake (0-RTT) to a server that it knows from elsewhere: " +
			"turn early data off in it, or let it forget its TLS sessions"},
		{"no cipher suite supported by both", "the client and outvet have no TLS cipher suite in common"},
	} {
		if strings.Contains(text, f.sign) {
			return f.why
		}
	}
	h, _, err := hello.Read(head, strings.NewReader(""))
	if m, ok := errors.AsType[*hello.Malformed](err); ok {
		return "the ClientHello is malformed: " + m.Why
	}
	if strings.HasSuffix(h.Name, ".") {
		return "the TLS server name ends in a dot, which RFC 6066 forbids"
	}
	return ""
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

// A memory holds keys for a minute.
type memory struct {
	mu sync.Mutex // guards at
	at map[string]time.Time
}

const (
	memoryTime = time.Minute
	memoryMax  = 1024
)

// add adds key and reports whether it was new.
func (m *memory) add(key string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.at[key]; ok && now.Sub(at) < memoryTime {
		return false
	}
	if m.at == nil {
		m.at = map[string]time.Time{}
	}
	if len(m.at) >= memoryMax {
		clear(m.at) // telling twice is better than holding more
	}
	m.at[key] = now
	return true
}

// has reports whether key was added.
func (m *memory) has(key string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.at[key]
	return ok && now.Sub(at) < memoryTime
}
