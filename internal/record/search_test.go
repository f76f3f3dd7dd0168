package record

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"outvet/call"
	"outvet/internal/filter"
)

// found returns the IDs that an expression finds.
func found(t testing.TB, dir, expr string, limit int) (ids []call.ID) {
	t.Helper()
	e, err := filter.Parse(expr)
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range Search(context.Background(), dir, e, SearchOptions{Limit: limit}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.Decided.ID)
	}
	return ids
}

func TestSearchFindsNewestFirstAlsoWhileTheLogIsOpen(t *testing.T) {
	dir := t.TempDir()
	ids := fill(t, dir, 300)
	l := open(t, dir)
	d := decided("s0", 300)
	write(t, l, d)
	if got := found(t, dir, "session:s0", 2); len(got) != 2 || got[0] != d.ID || got[1] != ids[297] {
		t.Fatal(got)
	}
	if got := found(t, dir, `status:""`, 0); len(got) != 1 || got[0] != d.ID {
		t.Fatal(got)
	}
	write(t, l, closing(d))
	l.disperseNow()
	if got := found(t, dir, `status:200 path~"/300$"`, 0); len(got) != 1 || got[0] != d.ID {
		t.Fatal(got)
	}
	if got := found(t, dir, "", 0); len(got) != 301 {
		t.Fatal(len(got))
	}
}

func TestIndexIsMadeAnewWhenItCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	ids := fill(t, dir, 700)
	found(t, dir, "", 1)
	path := filepath.Join(dir, indexDir, indexName)
	other := t.TempDir()
	fill(t, other, 10)
	found(t, other, "", 1)
	for name, damage := range map[string]func() error{
		"missing":  func() error { return os.RemoveAll(filepath.Dir(path)) },
		"garbage":  func() error { return os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600) },
		"empty":    func() error { return os.WriteFile(path, nil, 0o600) },
		"another":  func() error { return os.Rename(filepath.Join(other, indexDir, indexName), path) },
		"shredded": func() error { return shred(path) },
		"cut":      func() error { return os.Truncate(path, 8192) },
	} {
		if err := damage(); err != nil {
			t.Fatal(name, err)
		}
		if got := found(t, dir, "host:api.github.com", 0); len(got) != 700 || got[0] != ids[699] || got[699] != ids[0] {
			t.Errorf("%s: %d calls", name, len(got))
		}
	}
}

// shred overwrites all pages of a database but the first.
func shred(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := 4096; i < len(b); i++ {
		b[i] = byte(i * 7)
	}
	return os.WriteFile(path, b, 0o600)
}

func TestReadersMayBuildTheIndexTogether(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 1000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := found(t, dir, "method:post", 0); len(got) != 1000 {
				t.Error(len(got))
			}
		})
	}
	wg.Wait()
}

func TestTailOfAnIDFindsItsCallOrTheCandidates(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for _, id := range []call.ID{"01JD4X8Q7KAAAAAABCDE", "01JD4X8Q7KBBBBBABCDE", "01JD4X8Q7KCCCCCCCCCC"} {
		d := decided("s", 1)
		d.ID = id
		write(t, l, d)
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for tail, want := range map[string]call.ID{"cccc": "01JD4X8Q7KCCCCCCCCCC", "AABCDE": "01JD4X8Q7KAAAAAABCDE", "01jd4x8q7kbbbbbabcde": "01JD4X8Q7KBBBBBABCDE"} {
		if c, err := r.Lookup(tail); err != nil || c.Decided.ID != want {
			t.Errorf("%s: %v", tail, err)
		}
	}
	var several *AmbiguousError
	if _, err := r.Lookup("ABCDE"); !errors.As(err, &several) || len(several.Calls) != 2 || !strings.Contains(err.Error(), "01JD4X8Q7KAAAAAABCDE") {
		t.Error(err)
	}
	if _, err := r.Lookup("ZZZZ"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := r.Lookup("CDE"); err == nil || errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func BenchmarkIndex(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, 20_000)
	b.ResetTimer()
	for b.Loop() {
		if err := os.RemoveAll(filepath.Join(dir, indexDir)); err != nil {
			b.Fatal(err)
		}
		found(b, dir, "host:nowhere", 1)
	}
	b.ReportMetric(float64(b.N)*40_002/b.Elapsed().Seconds(), "leaves/s")
}

func BenchmarkSearch(b *testing.B) {
	dir := b.TempDir()
	fill(b, dir, 20_000)
	found(b, dir, "", 1)
	b.ResetTimer()
	for b.Loop() {
		found(b, dir, "finding:credential/* path:*99 status:200", 20)
	}
}
