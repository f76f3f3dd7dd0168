package stand

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"outvet/test/bench/load"
)

func TestMain(m *testing.M) {
	if asked, err := Play(os.Args[1:]); asked {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := Supported(); err != nil {
		fmt.Println(err)
		return
	}
	os.Exit(m.Run())
}

func TestAutomatonFindsWhatAPlainSearchFinds(t *testing.T) {
	words := []string{"he", "she", "his", "hers", "aaa", "ab"}
	a := newAutomaton(words)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := make([]byte, rng.IntN(40))
		for i := range b {
			b[i] = "hersiab"[rng.IntN(7)]
		}
		want := 0
		for end := 1; end <= len(b); end++ {
			for _, w := range words {
				if strings.HasSuffix(string(b[:end]), w) {
					want++
					break
				}
			}
		}
		if got := a.count(b); got != want {
			t.Fatalf("%q: %d places, want %d", b, got, want)
		}
	}
	if newAutomaton(literals()).count(load.Chat(64<<10)) == 0 {
		t.Error("a chat about source code has none of the words that filters stop at")
	}
}

func TestEachReferenceCarriesWholeAnswers(t *testing.T) {
	s, err := New(t.TempDir(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	chat := load.Job{Host: Host, Port: TLSPort, TLS: true, Method: "POST", Path: "/v1/chat/completions", Body: load.Chat(64 << 10)}
	ways := map[string]load.Contender{}
	if ways["direct"], err = s.Direct(); err != nil {
		t.Fatal(err)
	}
	for name := range references {
		p, err := s.Reference(name)
		if err != nil {
			t.Fatal(err)
		}
		if ways[name], err = s.Contender(p, p.Ready["proxy"], s.CA()); err != nil {
			t.Fatal(err)
		}
	}
	for name, way := range ways {
		j := chat
		j.Unread = name == "connect"
		c := load.NewClient(way.Route, j)
		want := func(length int64) {
			t.Helper()
			for range 2 {
				if err := c.Do(); err != nil || c.Length != length {
					t.Fatalf("%s: %d bytes, %v; want %d", name, c.Length, err, length)
				}
			}
			if c.Again > 0 {
				t.Errorf("%s closed a connection that was kept alive", name)
			}
		}
		want(int64(len(load.Reply())))
		j.Path = "/echo"
		c.Send(j)
		want(64 << 10)
		j.Path = "/sse?n=30&us=0"
		c.Send(j)
		if got, err := c.Stream(); err != nil || !got.Whole || got.Events != 30 || got.First <= 0 || len(got.Delays) != 30 {
			t.Errorf("%s: %d of 30 events, %v", name, got.Events, err)
		}
		j.Method, j.Path, j.Body = "GET", "/bytes/3000000", nil
		c.Send(j)
		want(3_000_000)
		j.Path, j.Fresh = "/empty", true
		c.Send(j)
		want(0)
		c.Close()
	}
	c := load.NewClient(ways["connect"].Route, load.Job{Host: Host, Port: RawPort, Raw: true, Body: load.Chat(4 << 10)})
	defer c.Close()
	for range 2 {
		if err := c.Do(); err != nil || c.Length != int64(len(load.Reply())) {
			t.Errorf("a frame of %d bytes, %v", c.Length, err)
		}
	}
	if wrong := load.NewClient(ways["connect"].Route, chat); wrong.Do() == nil {
		t.Error("it was not noticed that a tunnel does not intercept")
	}
}

func TestProcessIsMeasured(t *testing.T) {
	s, err := New(t.TempDir(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	way, err := s.Direct()
	if err != nil {
		t.Fatal(err)
	}
	before := s.Origin.CPU()
	c := load.NewClient(way.Route, load.Job{Host: Host, Port: TLSPort, TLS: true, Method: "POST", Path: "/echo", Body: load.Chat(1 << 20)})
	if err := c.Do(); err != nil {
		t.Fatal(err)
	}
	if s.Origin.CPU() <= before {
		t.Error("the CPU clock of the origin stood still")
	}
	kb, err := s.Origin.Memory()
	if err != nil || kb < 1000 {
		t.Errorf("%d KB, %v", kb, err)
	}
	if n, err := s.Origin.Files(); err != nil || n < 4 {
		t.Errorf("%d files, %v", n, err)
	}
}
