package payload

import (
	"bytes"
	"testing"
	"time"
)

// TestHostileGRPCMessagesCostLittleMore compares messages made to be read many
// times over with plain ones of the same length.
func TestHostileGRPCMessagesCostLittleMore(t *testing.T) {
	const size = 1 << 20
	nested := bytes.Repeat([]byte("A"), 40_000)
	for range 12 {
		nested = proto(6, nested, 6, "")
	}
	read := func(msg []byte) time.Duration {
		wire := framed(0, msg)
		best := time.Hour
		for range 3 {
			begin := time.Now()
			st := NewStream(grpcMessage(bytes.NewReader(wire)), nil, Limits{})
			if _, err := st.Next(); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
		}
		return best
	}
	fit := func(b []byte) []byte { return bytes.Repeat(b, size/len(b)) }
	plain := read(fit([]byte("plain words of no kind. ")))
	for name, msg := range map[string][]byte{
		"small fields": fit(proto(6, "abc")), "long fields": fit(proto(6, string(bytes.Repeat([]byte("a"), 48)))),
		"nested": fit(nested), "groups": fit([]byte{0x0b}), "empty": fit([]byte{0x32, 0}),
	} {
		d := read(msg)
		t.Logf("%s: %.1f times a plain one", name, float64(d)/float64(plain))
		if d > 30*plain {
			t.Errorf("%s costs %.1f times a plain one", name, float64(d)/float64(plain))
		}
	}
}
