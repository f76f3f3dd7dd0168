package session

import (
	"sync"

	"outvet/call"
)

// A Local is what one inspector remembers of each session. It ends with the
// session.
type Local[T any] struct {
	// mu keeps two calls of one session from seeing half of each other.
	mu sync.Mutex
	m  map[call.SessionID]*T
}

// NewLocal returns a Local whose values end with t's sessions.
func NewLocal[T any](t *Table) *Local[T] {
	l := &Local[T]{m: map[call.SessionID]*T{}}
	t.OnEnd(func(id call.SessionID) {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.m, id)
	})
	return l
}

// OnEnd has f called with each session that ends: one that is forgotten, or
// released, since a release begins anew what was held against it. f must be short
// and must not call the table.
func (t *Table) OnEnd(f func(call.SessionID)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = append(t.ends, f)
}

// Do runs f with the session's value, one call at a time. f must be short and
// must not call the table.
func (l *Local[T]) Do(id call.SessionID, f func(*T)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.m[id]
	if v == nil {
		v = new(T)
		l.m[id] = v
	}
	f(v)
}
