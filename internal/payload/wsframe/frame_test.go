package wsframe

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExamplesOfTheStandard reads what RFC 6455 §5.7 shows.
func TestExamplesOfTheStandard(t *testing.T) {
	r := Reader{R: bytes.NewReader(unhex(t, "818537fa213d7f9f4d5158 8a8537fa213d7f9f4d5158")), Max: 100}
	for _, op := range []Opcode{Text, Pong} {
		m, err := r.Next()
		if err != nil || m.Op != op || string(m.Payload) != "Hello" {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Error(err)
	}
	if got := AppendFrame(nil, Text, []byte("Hello")); !bytes.Equal(got, unhex(t, "810548656c6c6f")) {
		t.Errorf("%x", got)
	}
	var w Walker
	in := unhex(t, "010348656c 8900 80026c6f")
	for _, want := range []int{5, 2, 4} {
		n, err := w.Next(in)
		if n != want || err != nil || !w.Between() {
			t.Fatal(n, err)
		}
		in = in[n:]
	}
}

// frame returns a masked frame.
func frame(fin, coded bool, op Opcode, payload string) []byte {
	h := Header{Fin: fin, Compressed: coded, Op: op, Masked: true, Key: key{1, 2, 3, 4}, Length: int64(len(payload))}
	b := []byte(payload)
	Mask(b, h.Key, 0)
	return append(h.Append(nil), b...)
}

func TestFragmentsBecomeOneMessageAndControlFramesComeBefore(t *testing.T) {
	in := slices.Concat(frame(false, false, Text, "a\xc3"), frame(true, false, Ping, "p"), frame(false, false, Continuation, ""),
		frame(true, false, Continuation, "\xa4"), frame(true, false, Binary, "\xff"))
	for _, src := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in))} {
		r := Reader{R: src, Max: 100}
		var got []string
		for {
			m, err := r.Next()
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
			got = append(got, fmt.Sprintf("%d %q %v", m.Op, m.Payload, m.Frames))
		}
		if want := []string{`9 "p" [1]`, `1 "aä" [2 2 3]`, `2 "\xff" [1]`}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCutStreamsAreTold(t *testing.T) {
	in := slices.Concat(frame(false, false, Text, strings.Repeat("a", 200)), frame(true, false, Continuation, "b"))
	for n := 1; n < len(in); n++ {
		r := Reader{R: bytes.NewReader(in[:n]), Max: 1000}
		if _, err := r.Next(); err != io.ErrUnexpectedEOF {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestMemoryGrowsAsBytesArrive(t *testing.T) {
	h := Header{Fin: true, Op: Binary, Masked: true, Length: 1 << 30}
	r := Reader{R: bytes.NewReader(append(h.Append(nil), make([]byte, 1000)...)), Max: 1 << 30}
	if _, err := r.Next(); err != io.ErrUnexpectedEOF || cap(r.data) > 16<<10 {
		t.Errorf("%v, holds %d bytes", err, cap(r.data))
	}
	full := errors.New("no memory")
	r = Reader{R: bytes.NewReader(frame(true, false, Binary, strings.Repeat("x", 1<<20))), Max: 1 << 30,
		Grow: func(n int64) error {
			if n > 500_000 {
				return full
			}
			return nil
		}}
	if _, err := r.Next(); err != full || cap(r.data) > 1<<20 {
		t.Errorf("%v, holds %d bytes", err, cap(r.data))
	}
}

func TestVeryManyFramesCostNoMemory(t *testing.T) {
	var in []byte
	op := Binary
	for range framesMax * 2 {
		in, op = append(in, frame(false, false, op, "x")...), Continuation
	}
	in = append(in, frame(true, false, Continuation, "y")...)
	r := Reader{R: bytes.NewReader(in), Max: 1 << 20}
	m, err := r.Next()
	if err != nil || len(m.Frames) != framesMax || m.Frames[framesMax-1] != len(m.Payload) || len(m.Payload) != framesMax*2+1 {
		t.Errorf("%d frames, %d bytes, %v", len(m.Frames), len(m.Payload), err)
	}
}

func TestMaskIsItsOwnInverseAtEveryOffset(t *testing.T) {
	want := []byte("the quick brown fox jumps over the lazy dog")
	k := key{9, 8, 7, 6}
	for from := range 9 {
		for n := range want {
			got := bytes.Clone(want[:n])
			Mask(got, k, from)
			for i := range got {
				if got[i] != want[i]^k[(from+i)%4] {
					t.Fatalf("from %d, byte %d", from, i)
				}
			}
		}
	}
}

func TestExtensionsThatCannotBeReadAreTakenAway(t *testing.T) {
	for _, tc := range []struct {
		offer, kept []string
		same        bool
	}{
		{nil, nil, true},
		{[]string{"permessage-deflate; client_max_window_bits"}, []string{"permessage-deflate; client_max_window_bits"}, true},
		{[]string{"permessage-deflate;server_max_window_bits=10 , permessage-deflate"}, []string{"permessage-deflate;server_max_window_bits=10 , permessage-deflate"}, true},
		{[]string{`x; a="b\", c", permessage-deflate`}, []string{"permessage-deflate"}, false},
		{[]string{"permessage-bzip2", "permessage-deflate"}, []string{"permessage-deflate"}, false},
		{[]string{"permessage-deflate; odd, permessage-deflate; server_max_window_bits=16"}, nil, false},
		{[]string{"permessage-deflate; client_no_context_takeover; client_no_context_takeover"}, nil, false},
		{[]string{`permessage-deflate; server_max_window_bits="8"`}, []string{`permessage-deflate; server_max_window_bits="8"`}, true},
	} {
		if kept, same := Offers(tc.offer); !slices.Equal(kept, tc.kept) || same != tc.same {
			t.Errorf("%q: %q, %v", tc.offer, kept, same)
		}
	}
}

func TestTheServerMayOnlyChooseWhatWasOffered(t *testing.T) {
	offer := []string{"permessage-deflate"}
	for _, tc := range []struct {
		values, offered []string
		want            *Params
		bad             bool
	}{
		{nil, offer, nil, false},
		{[]string{"permessage-deflate"}, offer, &Params{true}, false},
		{[]string{"permessage-deflate; client_no_context_takeover; server_max_window_bits=12"}, offer, &Params{false}, false},
		{[]string{"permessage-deflate"}, nil, nil, true},
		{[]string{"permessage-deflate", "permessage-deflate"}, offer, nil, true},
		{[]string{"x"}, offer, nil, true},
		{[]string{"permessage-deflate; x"}, offer, nil, true},
	} {
		p, err := Accepted(tc.values, tc.offered)
		if (err != nil) != tc.bad || (p == nil) != (tc.want == nil) || p != nil && *p != *tc.want {
			t.Errorf("%q of %q: %+v, %v", tc.values, tc.offered, p, err)
		}
	}
}

func TestAReasonIsCutBetweenCharacters(t *testing.T) {
	b := ClosePayload(Refused, strings.Repeat("ä", 100))
	if len(b) != 2+122 || checkClose(b) != nil {
		t.Errorf("%d bytes, %v", len(b), checkClose(b))
	}
}

func BenchmarkReader(b *testing.B) {
	in := frame(true, false, Text, strings.Repeat("lorem ipsum ", 400))
	r := Reader{R: &again{b: in}, Max: 1 << 20}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

// again repeats b for ever.
type again struct {
	b []byte
	i int
}

func (a *again) Read(p []byte) (int, error) {
	n := copy(p, a.b[a.i:])
	a.i = (a.i + n) % len(a.b)
	return n, nil
}

func TestReadingAMessageAllocatesNothing(t *testing.T) {
	r := Reader{R: &again{b: frame(true, false, Text, strings.Repeat("lorem ipsum ", 400))}, Max: 1 << 20}
	r.Next()
	if n := testing.AllocsPerRun(100, func() { r.Next() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFrames holds Reader and Walker to each other: both take the same frames,
// but for the mask, and what Reader returned is what stands there.
func FuzzFrames(f *testing.F) {
	f.Add(unhex(f, "818537fa213d7f9f4d5158"), true)
	f.Add(slices.Concat(frame(false, true, Text, "a"), frame(true, false, Ping, "p"), frame(true, false, Continuation, "b")), false)
	f.Add(frame(true, false, Close, "\x03\xe8bye"), true)
	f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, in []byte, deflate bool) {
		r := Reader{R: iotest.HalfReader(bytes.NewReader(in)), Max: 1 << 16, Deflate: deflate}
		var out []byte
		for {
			m, err := r.Next()
			if err != nil {
				var fault *Fault
				if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &fault) {
					t.Fatal(err)
				}
				break
			}
			from := 0
			for i, end := range m.Frames {
				h := Header{Fin: i == len(m.Frames)-1, Length: int64(end - from)}
				if i == 0 {
					h.Op, h.Compressed = m.Op, m.Compressed
				}
				out = append(h.Append(out), m.Payload[from:end]...)
				from = end
			}
			if from != len(m.Payload) {
				t.Fatalf("frames end at %d of %d", from, len(m.Payload))
			}
		}
		w := Walker{Deflate: deflate}
		for rest := out; len(rest) > 0; {
			n, err := w.Next(rest)
			if n == 0 || err != nil {
				t.Fatalf("what was read is refused when written: %v", err)
			}
			rest = rest[n:]
		}
		if !w.Between() || w.Inside() {
			t.Fatal("what was read ends within a message")
		}
		w = Walker{Deflate: deflate}
		for rest := in; len(rest) > 0; {
			n, err := w.Next(rest)
			if n == 0 || err != nil {
				break
			}
			rest = rest[n:]
		}
	})
}
