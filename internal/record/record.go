package record

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"outvet/call"
)

// Errors that callers branch on.
var (
	ErrLocked = errors.New("the log is open in another process")
	ErrClosed = errors.New("the log is closed")
)

// Options of a log. The zero value is ready.
type Options struct {
	Origin     string        // first line of checkpoints; default "outvet.local/log/<first 8 hex of the key's hash>"
	Checkpoint time.Duration // at most so far apart while there is traffic; 1 s
	Sync       time.Duration // group commit to disk; 50 ms
}

// segmentSize is where a segment of the write-ahead log ends and the next
// begins.
const segmentSize = 4 << 20

// A Log is open for writing by one process. Its methods are safe for
// concurrent use.
type Log struct {
	dir  string // of the state
	home string // of the log, dir/log
	o    Options
	lock *os.File

	began int64 // entries when it was opened

	// Owned by the goroutine run, from Open's end to Close.
	feed      *feeder
	wal       *walReader
	savedSeqs int64

	// mu orders the entries: sequence numbers, the write-ahead log and what
	// follows from them change together.
	mu     sync.Mutex
	closed bool
	seg    *segment
	old    []*segment // full, but not yet on disk
	firsts []int64    // first entries of all segments, the oldest first
	buf    []byte
	seqs   map[call.SessionID]uint64
	open   map[call.ID]phase // decided here and not yet closed in the log
	wait   gathering
	salts  salts
	unsign bool      // entries wait for a checkpoint, and run knows
	unsync bool      // entries wait for the disk, and run knows
	stale  bool      // run may have read what was taken back
	looked time.Time // when the segment was last seen in its place

	// syncMu makes writers share a sync: who gets it syncs for all that wait.
	syncMu sync.Mutex
	synced int64       // entries on disk
	broken atomic.Bool // the last sync failed

	written, bundle, sync1 chan struct{} // to run, each of capacity 1
	quit                   chan struct{}
	patience               time.Duration
	done                   sync.WaitGroup
	fault                  atomic.Pointer[fault] // of the last try to make tiles
}

// A phase is how far the log is with a call that is not over.
type phase uint8

const (
	opened   phase = iota + 1 // decided
	gathered                  // its closed record waits in memory
)

// Write appends r. When it returns nil, a crash of this process loses nothing
// of r; if r.Durable, nor does a crash of the machine. A closed record that
// leaves the decision as it was is in the log a moment later, at most 5 ms or
// 16 of them: a crash then leaves the call open, as one before the end of the
// call would. Write sets r.Seq of a decided record and, from r.Body, the salted
// commitment. It does not keep r.
//
// After an error the entry is not in the log, but for one case: if r was to be
// Durable and the disk did not confirm it, it may be. Every later Write tries
// again to put the log right, and returns an error until that succeeds.
//
// A decided record needs an ID that no call of this log has open, a closed
// record one that was decided since Open: a log never tells half a story.
func (l *Log) Write(r *call.Record) error {
	if l.broken.Load() {
		if err := l.mend(); err != nil {
			return err
		}
	}
	if f := l.fault.Load(); f != nil && time.Since(f.since) > l.patience {
		return fmt.Errorf("record: entries cannot be signed since %s: %w", f.since.UTC().Format(time.TimeOnly), f.err)
	}
	l.mu.Lock()
	next, err := l.append(r)
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if r.Durable {
		return l.sync(next)
	}
	return nil
}

// append writes r and returns how many entries the log has then.
func (l *Log) append(r *call.Record) (next int64, err error) {
	if l.closed {
		return 0, ErrClosed
	}
	if l.wait.stuck || r.Kind != call.Decided && !gathers(r) {
		if err := l.disperse(); err != nil {
			return 0, err
		}
	}
	if err := l.admit(r); err != nil {
		return 0, err
	}
	if gathers(r) {
		if err := l.inPlace(); err != nil {
			return 0, err
		}
		l.gather(r)
		return l.seg.next, nil
	}
	if err := l.commit(r); err != nil {
		return 0, err
	}
	session := sessionName(r.Caller.Session)
	seq := r.Seq
	if r.Kind == call.Decided {
		r.Seq = l.seqs[session] + 1
	}
	if err := l.put(r); err != nil {
		r.Seq = seq
		return 0, err
	}
	switch r.Kind {
	case call.Decided:
		l.seqs[session] = r.Seq
		l.open[r.ID] = opened
	case call.Closed:
		delete(l.open, r.ID)
	}
	l.announce(1)
	return l.seg.next, nil
}

// admit refuses what would make the log contradict itself.
func (l *Log) admit(r *call.Record) error {
	switch r.Kind {
	case call.Decided, call.Closed:
	default:
		if len(r.ID) > 64 {
			return fmt.Errorf("%s record with the id %.80q", r.Kind, r.ID)
		}
		return nil
	}
	if r.ID == "" || len(r.ID) > 64 || !utf8.ValidString(string(r.ID)) {
		return fmt.Errorf("%s record with the id %.80q", r.Kind, r.ID)
	}
	was := l.open[r.ID]
	switch {
	case r.Kind == call.Closed && was != opened:
		return fmt.Errorf("call %q is closed but was not decided here", r.ID)
	case r.Kind == call.Decided && was == gathered:
		return l.disperse()
	case r.Kind == call.Decided && was == opened:
		return fmt.Errorf("call %q is decided already", r.ID)
	}
	return nil
}

// bounded returns r with a name of its session that can stand in the log.
func (l *Log) bounded(r *call.Record) *call.Record {
	session := sessionName(r.Caller.Session)
	if session == r.Caller.Session {
		return r
	}
	b := *r
	b.Caller.Session = session
	return &b
}

// put encodes r and writes it to the write-ahead log.
func (l *Log) put(r *call.Record) error {
	if err := l.inPlace(); err != nil {
		return err
	}
	var head [frameHead]byte
	l.buf = append(l.buf[:0], head[:]...)
	l.buf = appendEntryOf(l.buf, l.bounded(r))
	if l.seg.end+int64(len(l.buf)) > segmentSize {
		l.rotate()
	}
	chain := sealFrame(l.buf, l.seg.chain)
	return l.seg.append(l.buf, chain, 1)
}

// rotate begins a new segment. If it cannot, the old one goes on.
func (l *Log) rotate() {
	s, err := createSegment(l.home, l.seg.next, l.seg.chain)
	if err != nil {
		return
	}
	l.old = append(l.old, l.seg)
	l.seg = s
	l.firsts = append(l.firsts, s.next)
}

// tileEvery is how many entries make run store tiles before it is time to sign
// them. Many files at once cost the file system little more than one.
const tileEvery = 16 * tileWidth

// announce tells run that there are n more entries, without ever waiting for it.
func (l *Log) announce(n int64) {
	if !l.unsign {
		l.unsign = true
		poke(l.written)
	}
	if !l.unsync {
		l.unsync = true
		poke(l.sync1)
	}
	if l.seg.next%tileEvery < n {
		poke(l.bundle)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sessionName returns s, or what stands for it in the log if it is too long
// or not UTF-8. Different sessions keep different names.
func sessionName(s call.SessionID) call.SessionID {
	if len(s) <= maxSession && utf8.ValidString(string(s)) {
		return s
	}
	return longSession(s)
}

// Close writes a stop record, the rest of the tiles and a last checkpoint. It
// waits ten seconds for a disk that does not answer and then leaves the rest to
// the next Open, which finds everything in the write-ahead log.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	_, err := l.append(&call.Record{Kind: call.Stopped, Time: time.Now().UTC()})
	l.closed = true
	l.mu.Unlock()
	close(l.quit)
	end := make(chan error, 1)
	go func() { end <- l.end(err) }()
	slow := time.NewTimer(l.patience)
	defer slow.Stop()
	select {
	case err := <-end:
		return err
	case <-slow.C:
		return errors.Join(err, fmt.Errorf("record: the disk of %s does not answer: the log was left as after a crash, and the next start puts it in order", l.home))
	}
}

// end leaves the log in order, unless err says that it cannot be.
func (l *Log) end(err error) error {
	l.done.Wait()
	err = errors.Join(err, l.step(true))
	if err == nil {
		err = l.tidy()
	}
	return errors.Join(err, l.release())
}

// tidy leaves nothing behind that a clean log does not need: all entries are
// in tiles, under a checkpoint.
func (l *Log) tidy() error {
	if err := l.saveSeqs(); err != nil {
		return err
	}
	for _, first := range l.firsts {
		if err := l.feed.store.Drop(segmentName(first)); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	return nil
}

// release closes all files.
func (l *Log) release() error {
	var err error
	for _, s := range append(l.old, l.seg) {
		if s != nil {
			err = errors.Join(err, s.close())
		}
	}
	err = errors.Join(err, l.salts.close())
	if l.wal != nil {
		err = errors.Join(err, l.wal.close())
	}
	if l.feed != nil {
		err = errors.Join(err, l.feed.history.close(), l.feed.store.Close())
	}
	if err = errors.Join(err, l.lock.Close()); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
