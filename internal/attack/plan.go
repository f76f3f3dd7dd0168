package attack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// A Plan tells the inside where the wires are. It holds no secret of the user:
// whoever wants to show one has to find it.
type Plan struct {
	Nonce      string            // of this attack, in each message
	TCP        map[string]string // wire to address
	UDP        map[string]string
	Unix       map[string]string // to path, or to @name
	Fifo, File string            // in the home; "" where it could not be made
	Interfaces []string          // addresses of the machine's interfaces
	Group      string            // of multicast, with its port
	Pid        int               // a process outside
	Repository string            // in the workspace: a folder with files that others run
	Late       string            // a socket that is made later
	State      []string          // files of keys and record
	Hidden     []string          // files that keep secrets of the user
	Canary     string            // digest of a secret in the environment outside
	Home       string
	Secrets    map[string]string // made up, one for each try
}

// mark is what a message of the try name says to a wire.
func (p *Plan) mark(name string) []byte { return fmt.Appendf(nil, "%s/%s;\n", p.Nonce, name) }

// A Said is what the inside says of a try.
type Said struct {
	Try    string
	Ended  Ended
	Text   string            `json:",omitempty"` // how it ended, in a few words
	To     []string          `json:",omitempty"` // HOST:PORT of the calls that outvet may have recorded
	Met    bool              `json:",omitempty"` // somebody took it, or answered: the record must have it
	MS     int64             `json:",omitempty"`
	Proofs map[string]string `json:",omitempty"` // path or name of a secret to the digest of what was read
}

// An Ended is how a try ended, as the inside sees it.
type Ended string

const (
	Closed Ended = "closed" // by an error
	Sent   Ended = "sent"   // nothing stopped it here; the wires know whether it arrived
	Opened Ended = "opened" // it has what it may not have
	None   Ended = "none"   // it cannot be tried here
)

func closed(err error) Said { return Said{Ended: Closed, Text: plain(err)} }
func opened(format string, a ...any) Said {
	return Said{Ended: Opened, Text: fmt.Sprintf(format, a...)}
}
func none(why string) Said { return Said{Ended: None, Text: why} }
func sent(text string, to ...string) Said {
	return Said{Ended: Sent, Text: text, To: to, Met: len(to) > 0}
}
func (s Said) toward(to ...string) Said { s.To = append(s.To, to...); return s }
func ended(err error, open string) Said {
	if err != nil {
		return closed(err)
	}
	return opened("%s", open)
}

// plain says an error without the addresses and calls around it.
func plain(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var sys syscall.Errno
	switch {
	case errors.As(err, &sys):
		return sys.Error()
	case errors.As(err, &dns):
		return "the name is not found: " + dns.Err
	case errors.As(err, &op):
		err = op.Err
	}
	var web *url.Error
	if errors.As(err, &web) {
		err = web.Err // the address has the secret
	}
	s := err.Error()
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return s
}

// A Try is one way out.
type Try struct {
	Name  string
	Group string
	What  string // is tried
	Seen  string // how success would be seen
	do    func(context.Context, *Plan, Try) Said
	alone bool // after which a session may be stopped, so that others would not be tried
}

// Groups of tries, in the order of reports.
const (
	groupNetwork = "network"
	groupSockets = "sockets and processes"
	groupKernel  = "kernel"
	groupFiles   = "files"
	groupSecrets = "secrets in calls"
	groupPlain   = "harmless calls"
)

// Tries returns all tries, in the order of reports.
func Tries() []Try {
	return slices.Concat(networkTries(), nameTries(), socketTries(), processTries(), kernelTries(), fileTries(), environmentTries(), parcelTries(), detourTries(), plainTries())
}

// Slug is the name of a try as a host has it.
func (t Try) slug() string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name))
}

// Zone is the domain of the internet that is laid. Nothing answers for it elsewhere.
const Zone = "attack.example.com"

// host is the name of a try's server.
func (t Try) host() string { return t.slug() + "." + Zone }
