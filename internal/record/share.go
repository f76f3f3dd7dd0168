package record

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"outvet/call"
)

// A Shared log is written by several processes. One of them holds it, and the
// others give it their records through a socket in the folder of the log. When
// the holder ends, one of the others holds it and the rest turn to that one:
// what was not confirmed is given again and stands in the log once. So there is
// one log of a machine, in one order, whoever started first and whoever ends
// first. Its methods are safe for concurrent use.
type Shared struct {
	dir string
	o   Options

	held atomic.Pointer[hold] // if this process holds the log; then it does so until Close

	mu     sync.Mutex // guards all below, and that one at a time looks for the holder
	peer   *peer      // if another process holds the log
	closed bool
	open   map[call.ID]bool // decided by this process and not yet closed
}

// A hold is the log, held here, and the door for the others.
type hold struct {
	log  *Log
	door *door
}

// Share opens the log below dir as Open does, or joins the process that has it
// open already. Until ctx ends it waits for one that neither lets go nor takes
// records, ten seconds at most.
func Share(ctx context.Context, dir string, o Options) (*Shared, error) {
	s := &Shared{dir: dir, o: o, open: map[call.ID]bool{}}
	if _, err := s.writer(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// A writer takes records. again says that the record may have been given to
// another holder, which ended before it confirmed it.
type writer interface {
	take(r *call.Record, again bool) error
}

// errGone says that the holder ended.
var errGone = errors.New("the process that held the log has ended")

// Write is Log.Write. If the process that holds the log ends, it waits until
// another one does, at most ten seconds.
func (s *Shared) Write(r *call.Record) error {
	if h := s.held.Load(); h != nil {
		return h.log.Write(r)
	}
	again := false
	for end := time.Now().Add(patience); ; {
		w, err := s.writer(context.Background())
		if err != nil {
			return err
		}
		err = w.take(r, again)
		if err == nil {
			s.noted(r)
			return nil
		}
		if !errors.Is(err, errGone) || time.Now().After(end) {
			return err
		}
		again = true
	}
}

// noted keeps which calls are open: the next holder must know them.
func (s *Shared) noted(r *call.Record) {
	switch r.Kind {
	case call.Decided:
		s.mu.Lock()
		s.open[r.ID] = true
		s.mu.Unlock()
	case call.Closed:
		s.mu.Lock()
		delete(s.open, r.ID)
		s.mu.Unlock()
	}
}

// writer returns who takes records now, and finds out if nobody does.
func (s *Shared) writer(ctx context.Context) (writer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, fmt.Errorf("record: %w", ErrClosed)
	case s.held.Load() != nil:
		return s.held.Load().log, nil
	case s.peer != nil && !s.peer.gone():
		return s.peer, nil
	}
	s.peer = nil
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		h, err := s.hold()
		if err == nil {
			s.held.Store(h)
			return h.log, nil
		}
		if !errors.Is(err, ErrLocked) {
			return nil, err
		}
		p, err := s.join()
		if err == nil {
			s.peer = p
			return p, nil
		}
		if errors.Is(err, errOtherVersion) || time.Now().After(end) || ctx.Err() != nil {
			return nil, fmt.Errorf("record: %s: %w, and it takes no records from others: %w", filepath.Join(s.dir, "log"), ErrLocked, err)
		}
	}
}

// hold opens the log in this process.
func (s *Shared) hold() (*hold, error) {
	l, err := Open(s.dir, s.o)
	if err != nil {
		return nil, err
	}
	l.adopt(s.calls())
	d, err := openDoor(l)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &hold{l, d}, nil
}

// calls returns the calls that are open. mu is held, or s is not yet shared.
func (s *Shared) calls() []call.ID {
	ids := make([]call.ID, 0, len(s.open))
	for id := range s.open {
		ids = append(ids, id)
	}
	return ids
}

// join connects to the process that holds the log. When that ends, this one
// looks at once for the next.
func (s *Shared) join() (*peer, error) {
	p, err := dialPeer(filepath.Join(s.dir, "log"), s.calls())
	if err != nil {
		return nil, err
	}
	go func() {
		<-p.over
		_, _ = s.writer(context.Background()) // its error is for the next Write to say
	}()
	return p, nil
}

// Health is Log.Health; of a log that another process holds it is nil, since
// Write says all.
func (s *Shared) Health() error {
	if h := s.held.Load(); h != nil {
		return h.log.Health()
	}
	return nil
}

// Lag is Log.Lag; who does not hold the log knows of no lag.
func (s *Shared) Lag() (int64, error) {
	if h := s.held.Load(); h != nil {
		return h.log.Lag()
	}
	return 0, nil
}

// Close lets the log go, in order if this process holds it. Who gave it records
// turns to another.
func (s *Shared) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	h, p := s.held.Load(), s.peer
	s.mu.Unlock()
	if p != nil {
		p.close()
	}
	if h == nil {
		return nil
	}
	h.door.close()
	return h.log.Close()
}

// take implements writer. What may stand in the log already is looked for.
func (l *Log) take(r *call.Record, again bool) error {
	if again && l.stands(r) {
		return nil
	}
	return l.Write(r)
}

// adopt takes over calls that were decided under another holder.
func (l *Log) adopt(ids []call.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.open[id] == 0 {
			l.open[id] = opened
		}
	}
}

// lookBack is how many entries before its beginning a holder looks through for
// one that the holder before may have written and not confirmed.
const lookBack = 1 << 13

// stands reports whether a record of a call is in the log already, written by the
// holder before. It then does what Write would have done beside.
func (l *Log) stands(r *call.Record) bool {
	if r.Kind != call.Decided && r.Kind != call.Closed {
		return false
	}
	var facts factReader
	for i := l.began - 1; i >= 0 && i >= l.began-lookBack; i -= i%tileWidth + 1 {
		list, err := readBundle(l.feed.store, i/tileWidth, int(i%tileWidth)+1)
		if err != nil {
			return false
		}
		for _, e := range list {
			x, err := facts.read(e)
			if err != nil || x.id != r.ID || x.kind != r.Kind {
				continue
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if delete(l.open, r.ID); r.Kind == call.Decided {
				r.Seq = x.seq
				l.open[r.ID] = opened
			}
			return true
		}
	}
	return false
}
