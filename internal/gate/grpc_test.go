package gate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"outvet/call"
)

// grpcBody returns messages of gRPC as they stand on the wire.
func grpcBody(flag byte, msgs ...string) []byte {
	var b []byte
	for _, m := range msgs {
		b = append(binary.BigEndian.AppendUint32(append(b, flag), uint32(len(m))), m...)
	}
	return b
}

func openGRPC(t *testing.T, g *Gate, body []byte, coding string) (*Passage, io.Reader) {
	t.Helper()
	c, m := request(t, "POST", "https://ok.example/pkg.S/M", bytes.NewReader(body), -1)
	m.Header.Set("Content-Type", "application/grpc")
	m.Header.Set("Grpc-Encoding", coding)
	c.Op.Protocol, m.Endless = "grpc", true
	p := g.Open(t.Context(), c, m)
	if p.Verdict != call.Allow {
		t.Fatalf("%+v", p.Decision)
	}
	return p, m.Body
}

func TestAGRPCMessageWithASecretDoesNotLeave(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	first := grpcBody(0, filler(20_000)) // small ones that came together are judged together
	p, body := openGRPC(t, g, append(first, grpcBody(0, "\x0a\x28"+token+"\x42\x01x")...), "")
	got, err := io.ReadAll(body)
	var stopped *Stopped
	if !errors.As(err, &stopped) || stopped.Decision.Rule != "no secrets out" || !bytes.Equal(got, first) {
		t.Errorf("%q left, %v", got, err)
	}
	p.Close(call.Outcome{})
	if d := log.of(call.Decided)[0].Decision; len(d.Uninspected) > 0 {
		t.Errorf("%+v", d.Uninspected)
	}
	if r := log.of(call.Closed)[0]; r.Decision == nil || r.Decision.Findings[0].Part != "body/message/2" || r.Outcome.Sent != int64(len(first)) {
		t.Errorf("%+v %+v", r.Decision, r.Outcome)
	}
}

func TestAGRPCMessageThatCannotBeReadIsSaidOrRefused(t *testing.T) {
	g, log := newGate(t, "version: 1\ndefault: allow\nrules:\n  - {name: mask, finding: {kind: \"secret/*\"}, redact: mask, uninspected: allow}\n", inspectors(t))
	sent := grpcBody(1, "\x05snappy", "\x05snappy")
	p, body := openGRPC(t, g, sent, "snappy")
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%q, %v", got, err)
	}
	p.Close(call.Outcome{})
	if r := log.of(call.Closed)[0]; r.Decision == nil || len(r.Decision.Uninspected) != 1 || !strings.Contains(r.Decision.Uninspected[0].Reason, "snappy") {
		t.Errorf("%+v", r.Decision)
	}

	g, _ = newGate(t, rulesText, inspectors(t))
	p, body = openGRPC(t, g, sent, "snappy")
	defer p.Close(call.Outcome{})
	if got, err := io.ReadAll(body); err == nil || len(got) > 0 { // a secret may hide in it
		t.Errorf("%q left", got)
	}
}

func TestAStreamThatIsNoGRPCIsRefused(t *testing.T) {
	g, log := newGate(t, rulesText, inspectors(t))
	p, body := openGRPC(t, g, []byte(`{"this":"is JSON"}`), "")
	if got, err := io.ReadAll(body); err == nil || len(got) > 0 {
		t.Errorf("%q left", got)
	}
	p.Close(call.Outcome{})
	if r := log.of(call.Closed)[0]; r.Decision == nil || r.Decision.Rule != call.RuleFault {
		t.Errorf("%+v", r.Decision)
	}
}

func TestTheMemoryOfGRPCMessagesIsBoundedAndReturned(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	g.Memory = NewMemory(4 << 20)
	large := grpcBody(0, strings.Repeat("words ", 500_000))
	p, body := openGRPC(t, g, bytes.Repeat(large, 3), "")
	buf := make([]byte, 100) // the first message is held while it is taken
	if _, err := io.ReadFull(body, buf); err != nil {
		t.Fatal(err)
	}
	q, other := openGRPC(t, g, large, "")
	g.Patience = 1
	if n, err := io.Copy(io.Discard, other); err == nil || n > 0 {
		t.Errorf("%d bytes of a message left that found no memory", n)
	}
	q.Close(call.Outcome{})
	p.Close(call.Outcome{}) // in the midst of it
	if !g.Memory.sem.TryAcquire(4 << 20) {
		t.Error("memory was not returned")
	}
}
