package forward

import (
	"sync"
	"time"
)

const (
	silenceFor = time.Minute
	silenceMax = 1024 // names that are known
)

// A silence knows the names that the DNS gave no answer for. Behind an upstream
// proxy there is often a DNS that never answers; each connection would wait for
// it again.
type silence struct {
	mu    sync.Mutex // guards names
	names map[string]time.Time
}

// about reports whether to expect no answer for name.
func (s *silence) about(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, ok := s.names[name]
	if ok && time.Since(since) > silenceFor {
		delete(s.names, name)
		return false
	}
	return ok
}

// heard remembers that there was none.
func (s *silence) heard(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) >= silenceMax {
		clear(s.names)
	}
	if s.names == nil {
		s.names = map[string]time.Time{}
	}
	s.names[name] = time.Now()
}
