package dns

import (
	"sync"
	"time"

	"outvet/call"
	"outvet/internal/gate"
)

// Bounds of what is counted together.
const (
	windowTime = 10 * time.Minute
	windowsMax = 4096
)

// A key is a question of one session.
type key struct {
	session call.SessionID
	parent  call.SessionID
	name    string
	kind    uint16
}

// A window is one call that stands for all times the same was asked within
// windowTime, or for as long as it may go on.
type window struct {
	key     key
	passage *gate.Passage // at rest
	guard   *call.Guard
	ends    time.Time
	outcome call.Outcome
	next    *window // opened after it
}

// windows are the calls that were let pass and stand for their repetitions.
// The zero value is ready.
type windows struct {
	// mu guards all below, and times of outcomes.
	mu     sync.Mutex
	byKey  map[key]*window
	oldest *window
	newest *window
	timer  *time.Timer
	over   bool
}

// again counts a repetition and returns the window it belongs to, nil if there
// is none or its call may not go on.
func (w *windows) again(k key) *window {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.byKey[k]
	if x == nil || !x.passage.Stands() || !time.Now().Before(x.ends) {
		return nil
	}
	x.outcome.Times++
	return x
}

// keep makes p the call for k from now on; o is its outcome so far. It reports
// false if p must be closed: it was stopped, another came first, or all are to end.
func (w *windows) keep(k key, p *gate.Passage, o call.Outcome) bool {
	now := time.Now()
	o.Times = 1
	x := &window{key: k, passage: p, guard: p.Guard, ends: now.Add(windowTime), outcome: o}
	if !p.Rest() {
		return false
	}
	w.mu.Lock()
	old := w.byKey[k]
	if w.over || old != nil && old.passage.Stands() && now.Before(old.ends) {
		w.mu.Unlock()
		return false
	}
	if w.byKey == nil {
		w.byKey = map[key]*window{}
	}
	w.byKey[k] = x // an old one still stands in the queue
	if w.newest == nil {
		w.oldest = x
	} else {
		w.newest.next = x
	}
	w.newest = x
	if w.timer == nil {
		w.timer = time.AfterFunc(windowTime, w.sweep)
	}
	w.mu.Unlock()
	w.end(windowsMax, now)
	return true
}

// sweep ends what has run out, and comes again as long as there is something.
func (w *windows) sweep() {
	w.end(windowsMax, time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.oldest == nil || w.over {
		w.timer = nil
		return
	}
	w.timer.Reset(max(time.Until(w.oldest.ends), time.Second))
}

// end closes the calls whose time is over, and the oldest while there are more
// than most.
func (w *windows) end(most int, now time.Time) {
	for {
		w.mu.Lock()
		x := w.oldest
		if x == nil || now.Before(x.ends) && len(w.byKey) <= most {
			w.mu.Unlock()
			return
		}
		if w.oldest = x.next; w.oldest == nil {
			w.newest = nil
		}
		if w.byKey[x.key] == x {
			delete(w.byKey, x.key)
		}
		o := x.outcome
		w.mu.Unlock()
		if o.Times == 1 {
			o.Times = 0
		}
		x.passage.Close(o) // the gate keeps what the log does not take
	}
}

// close closes all, for good.
func (w *windows) close() {
	w.mu.Lock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.end(-1, time.Now())
}
