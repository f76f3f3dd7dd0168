package record

import (
	"fmt"
	"slices"
	"time"

	"outvet/call"
)

// A story is what entries tell together, and whether it holds.
type story struct {
	report *Report
	seqs   map[call.SessionID]uint64
	open   map[call.ID]int64 // index of the decided record
	latest time.Time
	err    error // the first contradiction
}

func newStory() *story {
	return &story{seqs: map[call.SessionID]uint64{}, open: map[call.ID]int64{}}
}

// tell adds an entry.
func (s *story) tell(index int64, f facts, err error) {
	bad := func(format string, a ...any) {
		if s.err == nil {
			s.err = &Damage{Index: index, File: tilePath(entries, index/tileWidth, tileWidth), What: fmt.Sprintf(format, a...)}
		}
	}
	if err != nil {
		bad("%v", err)
		return
	}
	switch f.kind {
	case call.Decided:
		s.report.Calls++
		if last := s.seqs[f.session]; f.seq != last+1 {
			bad("session %q goes on with number %d after %d: entries were left out or doubled", f.session, f.seq, last)
		}
		s.seqs[f.session] = f.seq
		if at, was := s.open[f.id]; was {
			bad("call %q is decided twice, here and in entry %d", f.id, at)
		}
		s.open[f.id] = index
	case call.Closed:
		if _, was := s.open[f.id]; !was {
			bad("call %q is closed but was not decided", f.id)
		}
		delete(s.open, f.id)
	}
	s.clock(f.time)
}

func (s *story) clock(t time.Time) {
	if s.report.First.IsZero() {
		s.report.First = t
	}
	s.report.Last = t
	if t.Before(s.latest.Add(-MaxLag)) {
		s.report.Back++
	}
	if t.After(s.latest) {
		s.latest = t
	}
}

// maxOpen is how many open calls a report names.
const maxOpen = 1000

// finish counts what is left.
func (s *story) finish() {
	s.report.Sessions = len(s.seqs)
	s.report.OpenCalls = int64(len(s.open))
	for id := range s.open {
		s.report.Open = append(s.report.Open, id)
	}
	slices.SortFunc(s.report.Open, func(a, b call.ID) int { return int(s.open[a] - s.open[b]) })
	s.report.Open = s.report.Open[:min(len(s.report.Open), maxOpen)]
}
