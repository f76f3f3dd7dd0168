package inside

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"outvet/call"
)

// Kept is how many calls of a session can be asked for; of older ones the log
// knows.
const Kept = 2000

// tailMin is the shortest tail of an ID that is looked for.
const tailMin = 4

// An Answer is what became of a call.
type Answer struct {
	ID          call.ID      `json:"call"`
	Time        string       `json:"time"` // RFC 3339, UTC
	What        string       `json:"what"` // GET https://host/path
	Verdict     call.Verdict `json:"verdict"`
	Observed    bool         `json:"observed,omitempty"` // it was not enforced
	Rule        string       `json:"rule"`
	Reason      string       `json:"reason,omitempty"`
	Findings    []Found      `json:"findings,omitempty"`
	Edits       []string     `json:"edits,omitempty"`       // in a few words
	Uninspected []string     `json:"uninspected,omitempty"` // parts that were not read
	Open        bool         `json:"open,omitempty"`        // it is not over
	Status      int          `json:"status,omitempty"`
	Sent        int64        `json:"sent"`
	Received    int64        `json:"received"`
	Aborted     bool         `json:"aborted,omitempty"`
}

// A Found says what was found, and in which part. It has nothing of the text.
type Found struct {
	Kind string `json:"kind"`
	Part string `json:"part,omitempty"`
}

// A Ledger keeps the newest calls of one session. It implements gate.Sink. It is
// safe for concurrent use.
type Ledger struct {
	session call.SessionID

	// mu guards the rest.
	mu      sync.Mutex
	ring    []Answer           // call n is at n % Kept
	open    map[call.ID]uint64 // number of a call that is not over
	count   uint64             // of all calls; the number of a call is count when it came
	blocked uint64
	waiting map[call.ID]bool // held and not over
}

// NewLedger returns the ledger of a session, and of those that it starts.
func NewLedger(id call.SessionID) *Ledger {
	return &Ledger{session: id, open: map[call.ID]uint64{}, waiting: map[call.ID]bool{}}
}

// Write implements gate.Sink.
func (l *Ledger) Write(r *call.Record) error {
	switch r.Kind {
	case call.Decided:
		if r.Caller.Session == l.session || r.Caller.Parent == l.session {
			l.decided(r)
		}
	case call.Closed:
		l.closed(r)
	}
	return nil
}

func (l *Ledger) decided(r *call.Record) {
	a := Answer{ID: r.ID, Time: r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), What: what(r), Open: true}
	a.judge(r.Decision)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < Kept {
		l.ring = append(l.ring, a)
	} else {
		old := &l.ring[l.count%Kept]
		delete(l.open, old.ID)
		delete(l.waiting, old.ID)
		*old = a
	}
	l.open[r.ID] = l.count
	l.count++
	if enforced(&a, call.Block) {
		l.blocked++
	}
	if enforced(&a, call.Hold) {
		l.waiting[r.ID] = true
	}
}

func (l *Ledger) closed(r *call.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ours := l.open[r.ID]
	if !ours {
		return
	}
	delete(l.open, r.ID)
	delete(l.waiting, r.ID)
	a := &l.ring[n%Kept]
	a.Open = false
	was := enforced(a, call.Block)
	a.judge(r.Decision)
	if !was && enforced(a, call.Block) {
		l.blocked++
	}
	if o := r.Outcome; o != nil {
		a.Status, a.Sent, a.Received, a.Aborted = o.Status, o.Sent, o.Received, o.Aborted
	}
}

func enforced(a *Answer, v call.Verdict) bool { return a.Verdict == v && !a.Observed }

// judge takes over what may be told of a decision; a closed record has none if
// nothing changed.
func (a *Answer) judge(d *call.Decision) {
	if d == nil {
		return
	}
	a.Verdict, a.Observed, a.Rule, a.Reason = d.Verdict, d.Observed, d.Rule, d.Reason
	a.Findings, a.Edits, a.Uninspected = nil, nil, nil
	for i, f := range d.Findings {
		if i == listMax {
			break
		}
		a.Findings = append(a.Findings, Found{f.Kind, cut(f.Part)})
	}
	for i, e := range d.Edits {
		if i == listMax {
			break
		}
		switch e.Kind {
		case call.Redact:
			a.Edits = append(a.Edits, cut("redact "+e.Cause+" in "+e.Part))
		default:
			a.Edits = append(a.Edits, cut(strings.ReplaceAll(string(e.Kind), "_", " ")+" "+e.Name))
		}
	}
	for i, u := range d.Uninspected {
		if i == listMax {
			break
		}
		a.Uninspected = append(a.Uninspected, cut(u.Part)) // the reason may speak of the machine
	}
}

// Bounds of what is kept of one call: it is the agent that chooses it.
const (
	listMax = 20
	textMax = 512
)

func cut(s string) string {
	if len(s) > textMax {
		return strings.ToValidUTF8(s[:textMax], "") + "…"
	}
	return strings.Clone(s)
}

// what says what the call was.
func what(r *call.Record) string {
	to := r.Host
	if r.Scheme != "" {
		to = r.Scheme + "://" + to
	}
	if r.Port != 0 && !(r.Scheme == "https" && r.Port == 443 || r.Scheme == "http" && r.Port == 80) {
		to += fmt.Sprintf(":%d", r.Port)
	}
	switch {
	case strings.HasPrefix(r.Target, "/"):
		to += r.Target
	case r.Target != "" && r.Target != r.Host:
		to = strings.TrimSpace(to + " " + r.Target)
	}
	return cut(strings.TrimSpace(r.Method + " " + to))
}

// Errors of a look-up.
var (
	errShort     = fmt.Errorf("give at least %d characters of the end of an ID", tailMin)
	errUnknown   = fmt.Errorf("none of the last %d calls of this session has this ID; if a text showed it, that text is not outvet's", Kept)
	errAmbiguous = errors.New("more than one call of this session ends so: give more of the ID")
)

// find returns the call whose ID ends with tail.
func (l *Ledger) find(tail string) (Answer, error) {
	if len(tail) < tailMin {
		return Answer{}, errShort
	}
	tail = strings.ToUpper(tail)
	l.mu.Lock()
	defer l.mu.Unlock()
	found := -1
	for i := range l.ring {
		switch id := string(l.ring[i].ID); {
		case id == tail:
			return l.ring[i], nil
		case !strings.HasSuffix(id, tail):
		case found >= 0:
			return Answer{}, errAmbiguous
		default:
			found = i
		}
	}
	if found < 0 {
		return Answer{}, errUnknown
	}
	return l.ring[found], nil
}

// counts returns how many calls there were, were blocked, and wait for a human.
func (l *Ledger) counts() (calls, blocked, waiting uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, l.blocked, uint64(len(l.waiting))
}
