package record

import (
	"encoding/base64"
	"time"

	"outvet/call"
)

// Bounds of what is gathered: so many entries, for so long.
const (
	gatherMax = 16
	gatherFor = 5 * time.Millisecond
)

// A gathering is the closed records that wait to be written together, by one
// call of the system for all. Nothing is lost by the wait that a crash a moment
// earlier would not have lost: what was decided is in the log already, and a
// closed record that changes the decision does not wait.
//
// The zero gathering is empty. Log.mu guards it.
type gathering struct {
	entries []byte // as in a bundle
	salts   []byte // lines of their commitments
	ids     []call.ID
	timer   *time.Timer
	stuck   bool // the last try to write them failed
}

// gathers reports whether r may wait for others.
func gathers(r *call.Record) bool {
	return r.Kind == call.Closed && r.Decision == nil && !r.Durable
}

// gather takes r, which is admitted, and writes what waits once it is enough.
// An error of that is for the next Write to say: r is not lost.
func (l *Log) gather(r *call.Record) {
	g := &l.wait
	if l.salt(r) {
		g.salts = appendSalt(g.salts, r.ID, l.salts.salt[:])
	}
	bounded := l.bounded(r)
	start := len(g.entries)
	g.entries = append(g.entries, 0, 0)
	g.entries = appendEntryOf(g.entries, bounded)
	n := len(g.entries) - start - 2
	g.entries[start], g.entries[start+1] = byte(n>>8), byte(n)
	g.ids = append(g.ids, r.ID)
	l.open[r.ID] = gathered
	switch {
	case len(g.ids) >= gatherMax:
		_ = l.disperse()
	case len(g.ids) > 1:
	case g.timer == nil:
		g.timer = time.AfterFunc(gatherFor, l.disperseNow)
	default:
		g.timer.Reset(gatherFor)
	}
}

// disperse writes what waits. After an error it waits on, and Write takes
// nothing until it is written.
func (l *Log) disperse() error {
	g := &l.wait
	if len(g.ids) == 0 {
		return nil
	}
	g.stuck = true
	if len(g.salts) > 0 {
		if err := l.salts.append(l.home, g.salts, time.Now()); err != nil {
			return err
		}
		g.salts = g.salts[:0]
	}
	if l.seg.end+int64(len(g.entries)+frameHead*len(g.ids)) > segmentSize {
		l.rotate()
	}
	l.buf = l.buf[:0]
	chain := l.seg.chain
	for b := g.entries; len(b) > 0; {
		n := int(b[0])<<8 | int(b[1])
		l.buf, chain = appendFrame(l.buf, b[2:2+n], chain)
		b = b[2+n:]
	}
	if err := l.seg.append(l.buf, chain, len(g.ids)); err != nil {
		l.stale = true // some of the frames may have been there for a moment
		return err
	}
	for _, id := range g.ids {
		delete(l.open, id)
	}
	clear(g.ids)
	g.entries, g.ids, g.stuck = g.entries[:0], g.ids[:0], false
	if cap(g.entries) > 4*gatherMax<<10 {
		g.entries = nil // not every closed record is that long
	}
	l.announce(gatherMax)
	return nil
}

// disperseNow writes what waits, at the end of its time.
func (l *Log) disperseNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		_ = l.disperse() // the next Write says the error
	}
}

// appendSalt appends the line of a salt.
func appendSalt(b []byte, id call.ID, salt []byte) []byte {
	b = append(b, id...)
	b = append(b, ' ')
	b = base64.StdEncoding.AppendEncode(b, salt)
	return append(b, '\n')
}
