package main

import (
	"strings"
	"testing"
	"time"
)

func TestProgressIsSilentForTwoSecondsAndLeavesACleanLine(t *testing.T) {
	var out strings.Builder
	at := time.Unix(0, 0)
	p := progress{w: &out, begin: at, now: func() time.Time { return at }}
	at = at.Add(1900 * time.Millisecond)
	p.show(1, 4)
	p.clear()
	if out.Len() > 0 {
		t.Fatalf("said at once: %q", out.String())
	}
	at = at.Add(200 * time.Millisecond)
	p.show(3, 4)
	if want := "\r3 of 4 entries, 75 % \033[K"; out.String() != want {
		t.Fatalf("%q, want %q", out.String(), want)
	}
	out.Reset()
	p.clear()
	if out.String() != "\r\033[K" {
		t.Fatalf("left behind: %q", out.String())
	}
}
