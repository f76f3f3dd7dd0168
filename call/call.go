package call

import (
	"net/netip"
	"time"
)

// A Call is one outbound act: the unit that policy decides on and a record
// describes. A request inside a tunnel, a DNS query, an MCP tools/call and a
// raw connection are each one Call.
type Call struct {
	ID       ID
	Parent   ID // the call this one travels in, if any
	Time     time.Time
	Listener string // where it came in: proxy, sealed, dns, mcp, api
	Grade    Grade
	Caller   Caller
	Dest     Dest
	Op       Op
	Sent     int64 // bytes of body to be sent; -1 when not known before the end
}

// A Grade says how well the path that the call took is closed.
type Grade string

// Grades, best first.
const (
	Sealed      Grade = "sealed"      // no other way out of the sandbox
	SealedNoFS  Grade = "sealed-nofs" // network sealed, file system not
	Cooperative Grade = "cooperative" // the client chose to come by the proxy
	Unread      Grade = "unread"      // whatever the path: what went through was not read, since policy names its host
)

// A Dest is where the call goes.
type Dest struct {
	Scheme string // http, https, tcp, tls, …
	Host   string // canonical: lower case, ASCII (IDNA), no trailing dot, no brackets
	Port   uint16
	Addrs  []netip.Addr // resolved addresses; known only once the call is admitted

	// Category, Trust and Credentials are the labels that the policy gives this
	// destination. Only package policy writes them.
	Category    string
	Trust       string
	Credentials []string // kinds of credentials that are at home here
	Named       bool     // a rule or destination of the outermost layer names the host, not just any
}

// An Op is what the call does there, in its own protocol's words.
type Op struct {
	Protocol string // http, ws, grpc, connect, tcp, tls, dns, mcp
	Method   string // POST, AAAA, tools/call
	Target   string // /v1/charges (without query), x.example.com, create_issue
}

// A Verdict is the outcome of a decision. The zero Verdict is Allow.
type Verdict uint8

// Verdicts, in the order of their strictness.
const (
	Allow Verdict = iota
	Hold          // wait for a human
	Block
)

// String returns the word that policies and records use.
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Hold:
		return "hold"
	}
	return "block"
}

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. An unknown word is Block.
func (v *Verdict) UnmarshalText(b []byte) error {
	switch string(b) {
	case "allow":
		*v = Allow
	case "hold":
		*v = Hold
	default:
		*v = Block
	}
	return nil
}
