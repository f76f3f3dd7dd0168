package payload

import (
	"bytes"
	"testing"
)

// TestHostileGRPCMessagesAreReadFewTimes counts what is read of messages made to
// be read many times over: fields in fields, all of which look like words.
func TestHostileGRPCMessagesAreReadFewTimes(t *testing.T) {
	const size = 1 << 20
	nested := bytes.Repeat([]byte("A"), 40_000)
	for range 30 {
		nested = proto(6, nested, 6, "")
	}
	fit := func(b []byte) []byte { return bytes.Repeat(b, size/len(b)) }
	for name, msg := range map[string][]byte{
		"small fields": fit(proto(6, "abc")), "long fields": fit(proto(6, string(bytes.Repeat([]byte("a"), 48)))),
		"nested": fit(nested), "groups": fit([]byte{0x0b}), "empty": fit([]byte{0x32, 0}), "tags": fit([]byte{0x32, 1, 0x32}),
	} {
		c, err := NewStream(grpcMessage(bytes.NewReader(framed(0, msg))), nil, Limits{}).Next()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(c.Text); n > (protoDepth+3)*size || len(c.parts) > 3*protoFields {
			t.Errorf("%s: %d bytes of text in %d parts of a message of %d", name, n, len(c.parts), size)
		}
	}
}
