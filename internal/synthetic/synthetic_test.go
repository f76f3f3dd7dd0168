package synthetic_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"outvet/internal/synthetic"
)

func assign(t *testing.T, tab *synthetic.Table, name string) (v4, v6 netip.Addr) {
	t.Helper()
	v4, v6, err := tab.Assign(name)
	if err != nil {
		t.Fatal(err)
	}
	return v4, v6
}

func TestANameHasOneAddressOfEachFamily(t *testing.T) {
	var tab synthetic.Table
	v4, v6 := assign(t, &tab, "api.example.com")
	if v4 != netip.MustParseAddr("198.18.0.1") || v6 != netip.MustParseAddr("2001:2::c612:1") {
		t.Errorf("the first addresses are %v and %v", v4, v6)
	}
	if again, _ := assign(t, &tab, "api.example.com"); again != v4 {
		t.Errorf("asked again: %v, then %v", v4, again)
	}
	if other, _ := assign(t, &tab, "www.example.com"); other == v4 {
		t.Errorf("two names have the address %v", v4)
	}
	mapped := netip.AddrFrom16(v4.As16())
	for _, a := range []netip.Addr{v4, v6, mapped} {
		if name, ok := tab.Name(a); !ok || name != "api.example.com" || !synthetic.Is(a) {
			t.Errorf("%v stands for %q, %v", a, name, ok)
		}
	}
}

func TestWhatStandsForNoNameHasNone(t *testing.T) {
	var tab synthetic.Table
	assign(t, &tab, "api.example.com")
	for _, s := range []string{"198.18.0.2", "198.18.0.0", "198.19.255.253", "198.19.255.254", "192.0.2.1", "2001:2::1:c612:1", "2001:2::c612:2", "2001:2::7f00:1", "::c612:1", "2001:2::c612:1%lo"} {
		if name, ok := tab.Name(netip.MustParseAddr(s)); ok {
			t.Errorf("%s stands for %q", s, name)
		}
	}
	if name, ok := tab.Name(netip.Addr{}); ok {
		t.Errorf("no address stands for %q", name)
	}
	for s, want := range map[string]bool{"198.18.0.0": false, "198.18.0.1": true, "198.19.255.0": true, "198.19.255.1": false, "198.19.255.254": false,
		"2001:2::1": true, "2001:2:0:ffff::": true, "2001:2:1::": false, "::ffff:198.18.0.1": true, "198.20.0.0": false} {
		if synthetic.Is(netip.MustParseAddr(s)) != want {
			t.Errorf("Is(%s) is not %v", s, want)
		}
	}
	if _, _, err := tab.Assign(""); err == nil {
		t.Error("the empty name got an address")
	}
}

func TestTheLongestUnusedNameGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := synthetic.Table{Size: 3, Rest: time.Minute}
		a, _ := assign(t, &tab, "a.example")
		b, _ := assign(t, &tab, "b.example")
		c, _ := assign(t, &tab, "c.example")
		time.Sleep(2 * time.Minute)
		tab.Name(a) // used: b is now the oldest
		d, _ := assign(t, &tab, "d.example")
		if name, ok := tab.Name(b); ok {
			t.Errorf("%v still stands for %q", b, name)
		}
		if d == a || d == b || d == c {
			t.Errorf("d.example has the address %v of another", d)
		}
		for addr, want := range map[netip.Addr]string{a: "a.example", c: "c.example", d: "d.example"} {
			if name, _ := tab.Name(addr); name != want {
				t.Errorf("%v stands for %q, want %q", addr, name, want)
			}
		}
	})
}

func TestAFullTableRefusesRatherThanTakeAnAddressInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := synthetic.Table{Size: 2, Rest: time.Minute}
		a, _ := assign(t, &tab, "a.example")
		assign(t, &tab, "b.example")
		time.Sleep(59 * time.Second)
		if _, _, err := tab.Assign("c.example"); !errors.Is(err, synthetic.ErrFull) {
			t.Fatalf("a third name: %v", err)
		}
		if name, ok := tab.Name(a); !ok || name != "a.example" { // an open connection asks
			t.Errorf("%v stands for %q", a, name)
		}
		time.Sleep(time.Second)
		assign(t, &tab, "c.example") // b had its rest
		if _, _, err := tab.Assign("d.example"); !errors.Is(err, synthetic.ErrFull) {
			t.Errorf("a was used a second ago, but gave way: %v", err)
		}
	})
}

func TestAnAddressRestsUntilAllOthersHadTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := synthetic.Table{Size: 2, Rest: time.Second}
		gone, _ := assign(t, &tab, "n0.example")
		const turns = 130_000 // of 130,816
		for i := 1; i < turns; i++ {
			if i > 1 {
				time.Sleep(time.Second)
			}
			if a, _ := assign(t, &tab, fmt.Sprintf("n%d.example", i)); a == gone {
				t.Fatalf("name %d has the first one's address", i)
			}
		}
		if tab.Len() != 2 {
			t.Errorf("%d names are kept, want 2", tab.Len())
		}
		seen := false
		for i := turns; i < turns+1000; i++ {
			time.Sleep(time.Second)
			a, _ := assign(t, &tab, fmt.Sprintf("n%d.example", i))
			seen = seen || a == gone
			if !synthetic.Is(a) {
				t.Fatalf("%v was given", a)
			}
		}
		if !seen {
			t.Error("the first address never came again")
		}
	})
}

func TestTablesServeManyAtATime(t *testing.T) {
	var tab synthetic.Table
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				name := fmt.Sprintf("n%d.example", i%500)
				v4, v6, err := tab.Assign(name)
				if err != nil {
					t.Error(err)
				}
				n4, _ := tab.Name(v4)
				n6, _ := tab.Name(v6)
				if n4 != name || n6 != name {
					t.Errorf("%s has addresses of %s and %s", name, n4, n6)
				}
			}
		})
	}
	wg.Wait()
	if tab.Len() != 500 {
		t.Errorf("%d names, want 500", tab.Len())
	}
}

func TestAHitAllocatesNothing(t *testing.T) {
	var tab synthetic.Table
	v4, v6 := assign(t, &tab, "api.example.com")
	if n := testing.AllocsPerRun(1000, func() {
		tab.Assign("api.example.com")
		tab.Name(v4)
		tab.Name(v6)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAssign(b *testing.B) {
	var tab synthetic.Table
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("host-%d.example.com", i)
		if _, _, err := tab.Assign(names[i]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tab.Assign(names[i%len(names)])
	}
}

// FuzzTable plays a script of names and look-ups against a table so small that
// names must go, and holds it to its laws.
func FuzzTable(f *testing.F) {
	f.Add([]byte("abcabdaeafagah"), uint8(2))
	f.Add([]byte("aaaaabbbbbccccc\x00\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, script []byte, size uint8) {
		tab := synthetic.Table{Size: int(size%8) + 1, Rest: time.Nanosecond}
		given := map[netip.Addr]string{} // by whom an address was last given to
		for _, c := range script {
			name := string(rune('a'+c%26)) + ".example"
			v4, v6, err := tab.Assign(name)
			if errors.Is(err, synthetic.ErrFull) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			if was := given[v4]; was != "" && was != name {
				t.Fatalf("%v went from %s to %s at once", v4, was, name)
			}
			given[v4], given[v6] = name, name
			if tab.Len() > tab.Size {
				t.Fatalf("%d names in a table for %d", tab.Len(), tab.Size)
			}
			for a, want := range given {
				if got, ok := tab.Name(a); ok && got != want {
					t.Fatalf("%v stands for %s, given to %s", a, got, want)
				}
			}
			if got, ok := tab.Name(v6); !ok || got != name {
				t.Fatalf("%v stands for %q, want %s", v6, got, name)
			}
		}
	})
}
