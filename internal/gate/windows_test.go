package gate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"outvet/call"
	"outvet/internal/payload"
)

// small makes bodies over 1,000 bytes long ones.
func small(g *Gate) { g.Limits = payload.Limits{Body: 1000} }

func filler(n int) string { return strings.Repeat("lorem ipsum dolor ", n/18+1)[:n] }

func TestSecretFarIntoALongBodyStopsTheCallBeforeItLeaves(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	small(g)
	body := filler(300_000) + " " + token + " " + filler(300_000)
	for _, known := range []bool{true, false} {
		n := int64(len(body))
		if !known {
			n = -1
		}
		c, m := request(t, "POST", "https://ok.example/", strings.NewReader(body), n)
		p := g.Open(t.Context(), c, m)
		if p.Verdict != call.Allow {
			t.Fatalf("%+v", p.Decision)
		}
		got, err := io.ReadAll(m.Body)
		var stopped *Stopped
		if !errors.As(err, &stopped) || stopped.Decision.Rule != "no secrets out" {
			t.Fatalf("the body ended with %v", err)
		}
		if bytes.Contains(got, []byte(token[:12])) {
			t.Error("the beginning of the secret left")
		}
		if len(got) < 150_000 {
			t.Errorf("only %d bytes left before the secret", len(got))
		}
		if p.Stopped() == nil {
			t.Error("the passage does not know that it was stopped")
		}
		p.Close(call.Outcome{Status: 403})
		all := log.of(call.Closed)
		r := all[len(all)-1]
		if !r.Outcome.Aborted || r.Outcome.Sent != int64(len(got)) || r.Decision == nil || r.Decision.Verdict != call.Block || len(r.Decision.Findings) != 1 {
			t.Errorf("closed record: %+v %+v", r.Outcome, r.Decision)
		}
		decided := log.of(call.Decided)
		if u := decided[len(decided)-1].Decision.Uninspected; len(u) != 1 || !u[0].Windowed {
			t.Errorf("the decided record does not say that windows are read: %+v", u)
		}
	}
}

func TestSecretInTheFirstWindowIsPartOfTheDecision(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	small(g)
	body := token + " " + filler(5000)
	c, m := request(t, "POST", "https://ok.example/", strings.NewReader(body), int64(len(body)))
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	if p.Verdict != call.Block || p.Rule != "no secrets out" {
		t.Errorf("%+v", p.Decision)
	}
}

func TestSecretIsFoundWhereverTheReadsAreCut(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	small(g)
	for at := 65_000; at < 66_200; at += 97 {
		body := filler(at) + " " + token + " " + filler(2000)
		c, m := request(t, "POST", "https://ok.example/", strings.NewReader(body), int64(len(body)))
		p := g.Open(t.Context(), c, m)
		var stopped *Stopped
		if p.Verdict == call.Allow {
			if _, err := io.ReadAll(m.Body); !errors.As(err, &stopped) {
				t.Errorf("a secret at %d left: %v", at, err)
			}
		}
		p.Close(call.Outcome{})
	}
}

func TestMaskInAWindowKeepsTheLength(t *testing.T) {
	g, log := newGate(t, maskText, inspectors(t))
	small(g)
	for _, at := range []int{10, 200_000} {
		body := filler(at) + " " + token + " " + filler(100_000)
		c, m := request(t, "POST", "https://ok.example/", strings.NewReader(body), int64(len(body)))
		p := g.Open(t.Context(), c, m)
		got, err := io.ReadAll(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Replace(body, token, strings.Repeat("*", len(token)), 1); string(got) != want {
			t.Errorf("secret at %d: %d bytes for %d, or others than the secret changed", at, len(got), len(body))
		}
		p.Close(call.Outcome{})
		all := log.of(call.Closed)
		if d := all[len(all)-1].Decision; at > 1000 && (d == nil || len(d.Edits) == 0) {
			t.Errorf("the record does not tell the edit: %+v", d)
		}
	}
}

func TestSenderThatPausesIsNotWaitedFor(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	g.Patience = 20 * time.Millisecond
	r, w := io.Pipe()
	go io.WriteString(w, "question 1\n")
	c, m := request(t, "POST", "https://ok.example/", r, -1)
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	if p.Verdict != call.Allow {
		t.Fatalf("%+v", p.Decision)
	}
	go func() {
		io.WriteString(w, "question 2 "+token+"\n")
		w.Close()
	}()
	got, err := io.ReadAll(m.Body)
	var stopped *Stopped
	if !errors.As(err, &stopped) || bytes.Contains(got, []byte(token)) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEndlessBodyIsDecidedWithoutItsFirstByte(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	r, w := io.Pipe()
	c, m := request(t, "POST", "https://ok.example/", r, -1)
	m.Endless = true
	p := g.Open(t.Context(), c, m)
	if p.Verdict != call.Allow {
		t.Fatalf("%+v", p.Decision)
	}
	go func() { io.WriteString(w, "hello"); w.Close() }()
	if got, err := io.ReadAll(m.Body); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	p.Close(call.Outcome{})
}

func TestPolicyChangeReachesWindowsUnderWay(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	small(g)
	body := filler(400_000)
	c, m := request(t, "POST", "https://ok.example/", strings.NewReader(body), int64(len(body)))
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	if _, err := io.CopyN(io.Discard, m.Body, 1000); err != nil {
		t.Fatal(err)
	}
	if err := g.Install(load(t, "version: 1\ndefault: block\n"), inspectors(t), "stricter"); err != nil {
		t.Fatal(err)
	}
	var stopped *Stopped
	if _, err := io.ReadAll(m.Body); !errors.As(err, &stopped) || stopped.Decision.Rule != call.RuleDefault {
		t.Errorf("the rest of the body ended with %v", err)
	}
}

func TestFramesAreEditedAndStopped(t *testing.T) {
	g, _ := newGate(t, maskText, inspectors(t))
	c, m := request(t, "GET", "https://ok.example/", nil, 0)
	p := g.Open(t.Context(), c, m)
	got, err := p.Frame("frame/1", []byte(`{"k":"`+token+`"}`))
	if err != nil || string(got) != `{"k":"[redacted:secret/github-pat]"}` {
		t.Errorf("%q, %v", got, err)
	}
	p.Close(call.Outcome{})

	g, _ = newGate(t, rulesText, inspectors(t))
	c, m = request(t, "GET", "https://ok.example/", nil, 0)
	p = g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	if got, err := p.Frame("frame/1", []byte("hello")); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	var stopped *Stopped
	if _, err := p.Frame("frame/2", []byte(token)); !errors.As(err, &stopped) {
		t.Errorf("%v", err)
	}
	if _, err := p.Frame("frame/3", []byte("hello")); !errors.As(err, &stopped) {
		t.Errorf("after a stop a message passed: %v", err)
	}
}

func TestRedactedMessageIsInspectedAgain(t *testing.T) {
	g, _ := newGate(t, strings.Replace(maskText, "mask}", "remove}", 1), knownInspectors(t))
	c, m := request(t, "GET", "https://ok.example/", nil, 0)
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{})
	got, err := p.Frame("frame/1", []byte("x "+known[:9]+known+known[9:]+" y"))
	if err != nil || string(got) != "x  y" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNothingIsReadAfterTheCallIsClosed(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	c, m := request(t, "POST", "https://ok.example/", strings.NewReader(`{"a":1}`), 7)
	p := g.Open(t.Context(), c, m)
	p.Close(call.Outcome{})
	if n, err := m.Body.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestBombFarIntoALongBodyIsUnreadAndPolicyDecides(t *testing.T) {
	bomb := gzipped(t, strings.Repeat("0", 8<<20))
	for text, verdict := range map[string]call.Verdict{rulesText: call.Block, maskText: call.Allow} {
		g, log := newGate(t, text, inspectors(t))
		small(g)
		c, m := request(t, "POST", "https://ok.example/", bytes.NewReader(bomb), int64(len(bomb)))
		m.Header.Set("Content-Encoding", "gzip")
		p := g.Open(t.Context(), c, m)
		var got []byte
		var err error
		if p.Verdict == call.Allow {
			got, err = io.ReadAll(m.Body)
		}
		var stopped *Stopped
		switch {
		case verdict == call.Allow && (err != nil || !bytes.Equal(got, bomb)):
			t.Errorf("%d of %d bytes left: %v", len(got), len(bomb), err)
		case verdict == call.Block && p.Verdict == call.Allow && (!errors.As(err, &stopped) || stopped.Decision.Rule != "no secrets out"):
			t.Errorf("the body ended with %v", err)
		}
		p.Close(call.Outcome{})
		all := log.of(call.Closed)
		d := all[len(all)-1].Decision
		if d == nil {
			decided := log.of(call.Decided)
			d = decided[len(decided)-1].Decision
		}
		if !slices.ContainsFunc(d.Uninspected, func(u call.Uninspected) bool { return strings.Contains(u.Reason, "times its size") }) {
			t.Errorf("the record does not say that it was not read: %+v", d)
		}
	}
}

func TestEditThatACompressedLongBodyCannotTakeStopsTheCall(t *testing.T) {
	g, log := newGate(t, maskText, inspectors(t))
	small(g)
	var text strings.Builder
	for i := range 60_000 {
		text.WriteString(strconv.Itoa(i * 7919))
	}
	body := gzipped(t, text.String()+" "+token+" "+text.String())
	c, m := request(t, "POST", "https://ok.example/", bytes.NewReader(body), int64(len(body)))
	m.Header.Set("Content-Encoding", "gzip")
	p := g.Open(t.Context(), c, m)
	var stopped *Stopped
	if _, err := io.ReadAll(m.Body); !errors.As(err, &stopped) || stopped.Decision.Rule != call.RuleFault {
		t.Errorf("the body ended with %v", err)
	}
	p.Close(call.Outcome{})
	if d := log.of(call.Closed)[0].Decision; d == nil || d.Verdict != call.Block {
		t.Errorf("closed record: %+v", d)
	}
}

func gzipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
