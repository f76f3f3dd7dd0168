package dnstunnel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"outvet/call"
)

// sessionsMax bounds the sessions with a ledger; beyond it the tenth that was
// used the longest ago is forgotten.
const sessionsMax = 10_000

// popularMax bounds a list of popular domains, in names.
const popularMax = 4_000_000

// A Ledger is what was said in names, by session, and what an installation knows
// of names. It outlives the inspectors that a policy makes. It is safe for
// concurrent use.
type Ledger struct {
	popular func() (set, error) // registrable domains that the user takes for popular; waits until they are read
	used    *used               // by sessions so far

	// mu guards sessions and clock, and each session.
	mu       sync.Mutex
	sessions map[call.SessionID]*session
	clock    uint64
}

// Files are where a Ledger keeps and finds what is known of names.
type Files struct {
	Used    string // names that sessions have used, as keyed hashes; "" for nowhere
	Popular string // popular domains, one a line, that the user put there; may be missing
	Key     []byte // of the hashes
}

// Open returns a ledger with what is known so far. It is read meanwhile: a program
// that starts does not wait for it, the first name of an unknown domain does.
func Open(f Files) (*Ledger, error) {
	l := &Ledger{sessions: map[call.SessionID]*session{}}
	list, err := openPopular(f.Popular)
	if err != nil {
		return nil, err
	}
	if l.used, err = openUsed(f.Used, f.Key); err != nil {
		return nil, errors.Join(err, list.Close())
	}
	l.popular = sync.OnceValues(func() (set, error) { return readPopular(list) })
	go l.popular()
	return l, nil
}

// openPopular opens the list, an empty one if there is none.
func openPopular(path string) (io.ReadCloser, error) {
	empty := io.NopCloser(strings.NewReader(""))
	if path == "" {
		return empty, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dnstunnel: %w", err)
	}
	if i, err := f.Stat(); err != nil || !i.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("dnstunnel: %s is no file", path), err, f.Close())
	}
	return f, nil
}

// readPopular reads names, one a line; of lines with commas, as ranked lists
// have, the last field that is a name, or of more the first.
func readPopular(f io.ReadCloser) (out set, err error) {
	defer f.Close()
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		fields := strings.Split(strings.ToLower(strings.TrimSpace(sc.Text())), ",")
		name := fields[len(fields)-1]
		if len(fields) > 2 { // rank, rank in its domain, name, …
			if i := slices.IndexFunc(fields, func(s string) bool { return strings.Contains(s, ".") }); i >= 0 {
				name = fields[i]
			}
		}
		if name == "" || name[0] == '#' || !strings.Contains(name, ".") {
			continue
		}
		if len(out) == popularMax {
			return out, fmt.Errorf("dnstunnel: the list of popular domains has more than %d names: what comes after line %d does not count", popularMax, n)
		}
		_, domain, _ := split(strings.Trim(name, `".`))
		out = append(out, hashed(domain))
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("dnstunnel: the list of popular domains: %w", err)
	}
	out.sort()
	return out, nil
}

// Close writes what is not yet written. An error also says what was wrong with
// the list of popular domains.
func (l *Ledger) Close() error {
	_, err := l.popular()
	return errors.Join(err, l.used.close())
}

// Forget begins the ledger of a session anew: it ended, or a person released it.
func (l *Ledger) Forget(id call.SessionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, id)
}

// owner names the ledger that a call is charged to: a session that an agent may
// have named itself, or began itself, shares that of its parent.
func owner(c *call.Caller) call.SessionID {
	if c.Parent != "" {
		return c.Parent
	}
	return c.Session
}

// charge counts the host of c. sub is the length of the part that says something.
func (l *Ledger) charge(c *call.Call) (kind string, score float64, sub int, domain string) {
	name := c.Dest.Host
	if name == "" || address(name) {
		return "", 0, 0, ""
	}
	h := hashed(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	id := owner(&c.Caller)
	if s := l.sessions[id]; s != nil {
		if over, seen := s.seen(h); seen && !over { // most names, most of the time
			return "", 0, 0, ""
		}
	}
	left, domain, public := split(name)
	if !public {
		return "", 0, 0, ""
	}
	t := tables()
	class, d := classOf(c, t, l.popular, domain), hashed(domain)
	s := l.session(id)
	kind, score, seen := s.again(h, d, class)
	if !seen {
		cost := bits(0)
		if left != "" {
			cost = t.model.cost(left)
		}
		var m mark
		counted := class == unknown && cost > 0
		if counted {
			m = l.used.mark(name, domain)
			cost = min(cost, l.used.price(m))
		}
		if kind, score = s.charge(h, d, class, cost, time.Now()); kind == "" && counted {
			l.used.learn(m)
		}
	}
	return kind, score, len(left), domain
}

func classOf(c *call.Call, t *shipped, popular func() (set, error), domain string) class {
	switch {
	case c.Dest.Named:
		return named
	case c.Dest.Category == "tunnel", c.Dest.Category == "callback", t.overridden(c.Dest.Host):
	case t.known.has(domain):
		return known
	default:
		if list, _ := popular(); list.has(domain) {
			return known
		}
	}
	return unknown
}

// session returns the ledger of id. mu is held.
func (l *Ledger) session(id call.SessionID) *session {
	l.clock++
	s := l.sessions[id]
	if s == nil {
		if len(l.sessions) >= sessionsMax {
			l.forgetOldest()
		}
		s = &session{}
		l.sessions[id] = s
	}
	s.used = l.clock
	return s
}

// forgetOldest forgets a tenth at once, so that a flood of sessions does not pay
// for a search each.
func (l *Ledger) forgetOldest() {
	uses := make([]uint64, 0, len(l.sessions))
	for _, s := range l.sessions {
		uses = append(uses, s.used)
	}
	slices.Sort(uses)
	limit := uses[len(uses)/10]
	for id, s := range l.sessions {
		if s.used <= limit {
			delete(l.sessions, id)
		}
	}
}

// address reports whether a canonical host is an IP address.
func address(host string) bool {
	return strings.IndexByte(host, ':') >= 0 || host[len(host)-1] >= '0' && host[len(host)-1] <= '9' && strings.Count(host, ".") == 3
}

// log2 of n in sixteenths of a bit, rounded up.
func log2(n int) bits { return bits(math.Ceil(math.Log2(float64(max(n, 1))) * float64(bit))) }
