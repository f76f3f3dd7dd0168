package record

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"outvet/call"
)

// decided returns a typical decided record.
func decided(session string, i int) *call.Record {
	now := time.Now().UTC()
	return &call.Record{
		Kind: call.Decided, ID: call.NewID(now), Time: now, Listener: "proxy", Grade: call.Cooperative,
		Caller: call.Caller{
			Session: call.SessionID(session), SessionMark: call.Observed,
			Agent: call.Attr{Value: "claude-code/2.1", Mark: call.Claimed}, Tool: call.Attr{Value: "Bash", Mark: call.Claimed},
		},
		Scheme: "https", Host: "api.github.com", Port: 443, Category: "code hosting", Trust: "third_party",
		Protocol: "http", Method: "POST", Target: fmt.Sprintf("/repos/acme/shop/issues/%d", i), Size: 4096,
		Decision: &call.Decision{
			Verdict: call.Allow, Rule: "read github", At: "outvet.yaml:12", Layer: "repository", Reason: "allowed by rule",
			Edits:    []call.Edit{},
			Findings: []call.Finding{{Inspector: "secret", Kind: "credential/bearer", Place: call.Place{Part: "header/authorization", Start: 7, End: 47}, Score: 0.9, Digest: "q1w2e3r4t5y6"}},
			Policy:   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		},
		Took: 123456, Inspect: 4567,
	}
}

// closing returns the closed record of d.
func closing(d *call.Record) *call.Record {
	c := *d
	c.Kind, c.Seq, c.Decision = call.Closed, 0, nil
	c.Outcome = &call.Outcome{Status: 200, Sent: 4096, Received: 1234, Address: "192.0.2.7:443"}
	return &c
}

func open(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func write(t testing.TB, l *Log, r *call.Record) {
	t.Helper()
	if err := l.Write(r); err != nil {
		t.Fatal(err)
	}
}

// fill writes n calls over three sessions to the log below dir and closes it.
func fill(t testing.TB, dir string, n int) (ids []call.ID) {
	t.Helper()
	l := open(t, dir)
	for i := range n {
		d := decided(fmt.Sprintf("s%d", i%3), i)
		write(t, l, d)
		write(t, l, closing(d))
		ids = append(ids, d.ID)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestNumbersOfASessionGoOnAfterRestart(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		l := open(t, dir)
		for i := range 3 {
			d := decided("s", i)
			write(t, l, d)
			if want := uint64(round*3 + i + 1); d.Seq != want {
				t.Fatalf("round %d, call %d: seq %d, want %d", round, i, d.Seq, want)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if round == 1 { // without the file the log is read
			if err := os.Remove(filepath.Join(dir, "log", seqsName)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSecondWriterIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if l, err := Open(dir, Options{}); err == nil {
		l.Close()
		t.Fatal("two writers")
	} else {
		t.Log(err)
	}
}

func TestClosedLogLeavesTilesAndNoSegment(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 300)
	s, err := OpenDir(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if wal, err := s.list("wal"); err != nil || len(wal) > 0 {
		t.Fatal(wal, err)
	}
	list, err := readBundle(s, 2, 602-512)
	if err != nil {
		t.Fatal(err)
	}
	var r call.Record
	if err := json.Unmarshal(list[len(list)-1], &r); err != nil || r.Kind != call.Stopped {
		t.Fatal(r.Kind, err)
	}
}

func BenchmarkWrite(b *testing.B) {
	l := open(b, b.TempDir())
	d := decided("s", 1)
	ids := make([]call.ID, b.N)
	for i := range ids {
		ids[i] = call.NewID(time.Now())
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		d.ID = ids[i]
		if err := l.Write(d); err != nil {
			b.Fatal(err)
		}
	}
}
