package proxy

import (
	"bytes"
	"strings"

	"outvet/call"
	"outvet/internal/gate"
)

// turnMax is how far into a raw connection its turning to TLS is looked for, in
// bytes: those that turn do it at once.
const turnMax = 64 << 10

// turnLine is more than the longest line that asks for TLS.
const turnLine = 64

// A turn finds where the client of a raw connection turns to TLS, after it has
// asked the server for that: STARTTLS of SMTP, IMAP and others, STLS of POP3, AUTH
// TLS of FTP, and the requests of PostgreSQL and MySQL.
type turn struct {
	n     int
	head  [mysqlRequest]byte // the first bytes
	line  []byte
	long  bool // the line is longer than those that ask
	asked bool
	first bool // the first byte of a TLS record stood at the start of a line
}

const (
	postgresRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f" // SSLRequest
	mysqlRequest    = 36                                 // length of an SSL request with its head
	mysqlHead       = "\x20\x00\x00\x01"
)

// feed looks at what comes next. It reports true once, when TLS has begun.
func (t *turn) feed(b []byte) bool {
	for _, c := range b {
		if t.n >= turnMax {
			return false
		}
		if t.n < len(t.head) {
			t.head[t.n] = c
		}
		t.n++
		if t.next(c) {
			t.n = turnMax
			return true
		}
	}
	return false
}

func (t *turn) next(c byte) bool {
	start := len(t.line) == 0 && !t.long
	switch {
	case t.first && c == 0x03: // a handshake record, and its version
		return true
	case t.first:
		t.first, t.long = false, true
	case t.asked && start && c == 0x16:
		t.first = true
		return false
	}
	switch {
	case t.binary():
		t.asked, t.line, t.long = true, t.line[:0], false
	case c == '\n':
		t.asked = t.asked || !t.long && asksForTLS(t.line)
		t.line, t.long = t.line[:0], false
	case len(t.line) < turnLine:
		t.line = append(t.line, c)
	default:
		t.long = true
	}
	return false
}

// binary reports whether a request for TLS that is no line has just ended.
func (t *turn) binary() bool {
	if t.n == len(postgresRequest) {
		return string(t.head[:t.n]) == postgresRequest
	}
	return t.n == mysqlRequest && bytes.HasPrefix(t.head[:], []byte(mysqlHead)) && t.head[5]&0x08 != 0 // CLIENT_SSL
}

// asksForTLS reports whether a line asks the server to turn to TLS.
func asksForTLS(line []byte) bool {
	f := strings.Fields(strings.ToUpper(string(line)))
	switch len(f) {
	case 1:
		return f[0] == "STARTTLS" || f[0] == "STLS"
	case 2:
		return f[1] == "STARTTLS" || f[0] == "AUTH" && (f[1] == "TLS" || f[1] == "SSL" || f[1] == "TLS-C")
	}
	return false
}

// turned is what the record says of it.
const turned = "the client turned to TLS within the connection (STARTTLS): what it sends is not read"

// A watched is what the client of a raw connection sends. When it turns to TLS
// policy is asked whether that may pass unread.
type watched struct {
	t    *tunnel
	p    *gate.Passage
	turn turn
}

// unread describes the tunnel as TLS that passes unread.
func (t *tunnel) unread() *call.Call {
	c, _ := gate.TLS(t.host, t.port)
	t.entry.from(c)
	c.Caller, c.Grade = t.caller, call.Unread
	return c
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.t.Read(b)
	if w.turn.n >= turnMax || !w.turn.feed(b[:n]) {
		return n, err
	}
	if c := w.t.unread(); w.t.s.Gate.Unread(*c) {
		w.p.Veiled(turned)
		return n, err
	}
	if stopped := w.p.Hidden(turned); stopped != nil {
		return 0, stopped
	}
	return n, err
}
