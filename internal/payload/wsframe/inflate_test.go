package wsframe

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	testMax   = 8 << 20
	testRatio = 200
)

// A deflater compresses messages as a client does.
type deflater struct {
	buf bytes.Buffer
	w   *flate.Writer
}

func (d *deflater) message(s []byte) []byte {
	if d.w == nil {
		d.w, _ = flate.NewWriter(&d.buf, 6)
	}
	d.buf.Reset()
	d.w.Write(s)
	d.w.Flush()
	return bytes.Clone(bytes.TrimSuffix(d.buf.Bytes(), []byte(tail[:4])))
}

// TestExamplesOfCompression reads what RFC 7692 §7.2.3 shows.
func TestExamplesOfCompression(t *testing.T) {
	z := Inflater{Takeover: true}
	for _, in := range []string{
		"f248cdc9c90700",                // one block
		"f200110000",                    // by the window
		"000500faff48656c6c6f00",        // without compression
		"f348cdc9c9070000",              // a final block
		"f248 0500 0000ffff cac9c90700", // two blocks
	} {
		out, err := z.Append(nil, unhex(t, in), testMax, testRatio)
		if err != nil || string(out) != "Hello" {
			t.Errorf("%s: %q, %v", in, out, err)
		}
	}
	if out, err := z.Append([]byte("x"), []byte{0}, testMax, testRatio); err != nil || string(out) != "x" {
		t.Errorf("empty: %q, %v", out, err)
	}
}

func TestNothingHidesBehindTheEnd(t *testing.T) {
	for _, in := range []string{
		"f348cdc9c907000000",                    // a final block and two bytes
		"f348cdc9c9070001",                      // and another byte than zero
		"f348cdc9c90700 f248cdc9c90700",         // and a second stream
		"f348cdc9c90700 000500faff48656c6c6f00", // and a stored block
		"",                                      // no block at all
		"f248cd",                                // cut
		"07",                                    // no type of block
	} {
		var z Inflater
		var fault *Fault
		if out, err := z.Append(nil, unhex(t, in), testMax, testRatio); !errors.As(err, &fault) || fault.Code != InvalidData {
			t.Errorf("%s: %q, %v", in, out, err)
		}
	}
}

func TestContextIsTakenOverOnlyIfAgreed(t *testing.T) {
	var d deflater
	first, second := d.message([]byte(strings.Repeat("once upon a time ", 10))), d.message([]byte("once upon a time there was"))
	with, without := Inflater{Takeover: true}, Inflater{}
	for _, z := range []*Inflater{&with, &without} {
		if _, err := z.Append(nil, first, testMax, testRatio); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := with.Append(nil, second, testMax, testRatio); err != nil || string(out) != "once upon a time there was" {
		t.Errorf("%q, %v", out, err)
	}
	if out, err := without.Append(nil, second, testMax, testRatio); err == nil {
		t.Errorf("%q", out)
	}
}

func TestLongTalksKeepTheWindow(t *testing.T) {
	var d deflater
	z := Inflater{Takeover: true}
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []byte
	for i := range 200 {
		m := make([]byte, rnd.IntN(3000))
		for j := range m {
			m[j] = byte(rnd.IntN(256))
		}
		if len(all) > window && i%2 == 0 {
			from := len(all) - window + rnd.IntN(200)
			m = append(m, all[from:from+200]...) // far back
		}
		if i == 50 {
			m = bytes.Repeat(m, 100)
		}
		all = append(all, m...)
		got, err := z.Append(nil, d.message(m), testMax, testRatio)
		if err != nil || !bytes.Equal(got, m) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func TestBombsAreStopped(t *testing.T) {
	var d deflater
	in := d.message(make([]byte, 20<<20))
	for _, tc := range []struct {
		max   int64
		ratio int
	}{{1000, 1 << 30}, {testMax, 1 << 30}, {1 << 30, 200}} {
		var z Inflater
		var fault *Fault
		out, err := z.Append(nil, bytes.Clone(in), tc.max, tc.ratio)
		if !errors.As(err, &fault) || fault.Code != TooBig || int64(cap(out)) > 3*tc.max+1<<20 && tc.max < 1<<30 || cap(out) > 30<<20 {
			t.Errorf("%+v: %v, %d bytes of memory", tc, err, cap(out))
		}
	}
}

// FuzzInflate holds Append to another decoder: where it returns a text, that is
// what the standard library reads; and what we compress comes back.
func FuzzInflate(f *testing.F) {
	f.Add(unhex(f, "f248cdc9c90700"), unhex(f, "f200110000"))
	f.Add(unhex(f, "f348cdc9c9070000"), unhex(f, "000500faff48656c6c6f00"))
	f.Add([]byte("01"), []byte{1, 0, 0, 255, 255})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		z := Inflater{Takeover: true}
		var all []byte
		for _, in := range [][]byte{a, b} {
			got, err := z.Append(nil, bytes.Clone(in), 1<<20, testRatio)
			if err != nil {
				var fault *Fault
				if !errors.As(err, &fault) {
					t.Fatal(err)
				}
				break
			}
			r := flate.NewReaderDict(bytes.NewReader(append(bytes.Clone(in), tail...)), all)
			want, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%q, the standard library reads %q, %v", got, want, err)
			}
			all = append(all, got...)
		}
		var d deflater
		z = Inflater{Takeover: true}
		for _, m := range [][]byte{a, b, a} {
			if got, err := z.Append(nil, d.message(m), 1<<20, 1<<20); err != nil || !bytes.Equal(got, m) {
				t.Fatalf("%q came back as %q, %v", m, got, err)
			}
		}
	})
}
