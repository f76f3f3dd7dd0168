package call

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestIDsSortByTimeAndAreDistinct(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_000)
	a, b := NewID(at), NewID(at.Add(time.Millisecond))
	if a >= b {
		t.Errorf("%s is not before %s", a, b)
	}
	seen := map[ID]bool{}
	for range 10_000 {
		id := NewID(at)
		if seen[id] || len(id) != idLen || strings.Trim(string(id), alphabet) != "" {
			t.Fatalf("bad or repeated ID %q", id)
		}
		seen[id] = true
	}
	if got := ID("0123456789ABCDEFGHJK").Short(); got != "EFGHJK" {
		t.Errorf("short form is %q", got)
	}
}

func TestUnknownWordsAreReadStrictly(t *testing.T) {
	var v Verdict
	var m Mark = Observed
	if v.UnmarshalText([]byte("alow")); v != Block {
		t.Errorf("an unknown verdict is read as %s", v)
	}
	if m.UnmarshalText([]byte("seen")); m != Claimed {
		t.Errorf("an unknown mark is read as %s", m)
	}
	for _, want := range []Verdict{Allow, Hold, Block} {
		b, _ := json.Marshal(want)
		var got Verdict
		if err := json.Unmarshal(b, &got); err != nil || got != want {
			t.Errorf("%s is read back as %s, %v", b, got, err)
		}
	}
}

func TestVerdictsAreOrderedByStrictness(t *testing.T) {
	if !(Allow < Hold && Hold < Block && Claimed < Signed && Signed < Observed) {
		t.Error("the order of verdicts or marks changed")
	}
}
