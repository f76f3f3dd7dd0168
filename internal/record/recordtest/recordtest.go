// Package recordtest is the suite that every Storage of the log passes.
package recordtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"

	"outvet/internal/record"
)

// Run tests a Storage. reopen returns the storage as another process would
// find it; the first call returns an empty one. What was put before must be
// there after.
func Run(t *testing.T, reopen func(t *testing.T) record.Storage) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, reopen func(t *testing.T) record.Storage)
	}{
		{"what is put is got, also after reopening", putGet},
		{"what is not there is fs.ErrNotExist", absent},
		{"what is put last counts", overwrite},
		{"dropping a folder drops all below it and nothing else", drop},
		{"what is got is the caller's own", own},
		{"a reader sees a file whole or not at all", atomic},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, reopen) })
	}
}

func put(t *testing.T, s record.Storage, files ...record.File) {
	t.Helper()
	if err := s.Put(files...); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, s record.Storage, name, data string) {
	t.Helper()
	if b, err := s.Get(name); err != nil || string(b) != data {
		t.Fatalf("%s: %q, %v; want %q", name, b, err, data)
	}
}

func gone(t *testing.T, s record.Storage, name string) {
	t.Helper()
	if b, err := s.Get(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s: %q, %v; want fs.ErrNotExist", name, b, err)
	}
}

func putGet(t *testing.T, reopen func(t *testing.T) record.Storage) {
	s := reopen(t)
	put(t, s)
	put(t, s, record.File{Name: "checkpoint", Data: []byte("c")}, record.File{Name: "tile/0/x001/067", Data: []byte("a\x00b")}, record.File{Name: "tile/entries/000.p/7"})
	for _, s := range []record.Storage{s, reopen(t)} {
		want(t, s, "checkpoint", "c")
		want(t, s, "tile/0/x001/067", "a\x00b")
		want(t, s, "tile/entries/000.p/7", "")
	}
}

func absent(t *testing.T, reopen func(t *testing.T) record.Storage) {
	s := reopen(t)
	put(t, s, record.File{Name: "there/is", Data: []byte("x")})
	gone(t, s, "nothing")
	gone(t, s, "there/isnt")
	if err := s.Drop("nothing/at/all"); err != nil {
		t.Error(err)
	}
}

func overwrite(t *testing.T, reopen func(t *testing.T) record.Storage) {
	s := reopen(t)
	for _, v := range []string{"a long value", "v", ""} {
		put(t, s, record.File{Name: "over/it", Data: []byte(v)})
		want(t, reopen(t), "over/it", v)
	}
}

func drop(t *testing.T, reopen func(t *testing.T) record.Storage) {
	s := reopen(t)
	put(t, s, record.File{Name: "d/000.p/1", Data: []byte("1")}, record.File{Name: "d/000.p/2", Data: []byte("2")}, record.File{Name: "d/000", Data: []byte("f")}, record.File{Name: "d/0001", Data: []byte("g")})
	if err := s.Drop("d/000.p"); err != nil {
		t.Fatal(err)
	}
	s = reopen(t)
	gone(t, s, "d/000.p/1")
	gone(t, s, "d/000.p/2")
	want(t, s, "d/000", "f")
	want(t, s, "d/0001", "g")
	if err := s.Drop("d/000"); err != nil {
		t.Fatal(err)
	}
	gone(t, reopen(t), "d/000")
}

func own(t *testing.T, reopen func(t *testing.T) record.Storage) {
	s := reopen(t)
	data := []byte("mine")
	put(t, s, record.File{Name: "own", Data: data})
	data[0] = 'x'
	b, err := s.Get("own")
	if err != nil {
		t.Fatal(err)
	}
	b[0] = 'y'
	want(t, s, "own", "mine")
}

func atomic(t *testing.T, reopen func(t *testing.T) record.Storage) {
	s := reopen(t)
	value := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%03d", i%1000), 5000) }
	put(t, s, record.File{Name: "whole", Data: value(0)})
	reader := reopen(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			b, err := reader.Get("whole")
			if err != nil || len(b) != 15000 || !bytes.Equal(b, bytes.Repeat(b[:3], 5000)) {
				t.Errorf("%d bytes of a file that is being put, %v", len(b), err)
				return
			}
		}
	})
	for i := range 50 {
		put(t, s, record.File{Name: "whole", Data: value(i)})
	}
	close(stop)
	wg.Wait()
}
