package payload

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"outvet/call"
)

// unreadable reads a stream to its end and returns what left, and what the
// windows say of why they could not be read.
func unreadable(t *testing.T, m *Message) (out []byte, why map[string]bool) {
	t.Helper()
	st, why := NewStream(m, nil, Limits{}), map[string]bool{}
	for {
		c, err := st.Next()
		if err == io.EOF {
			return out, why
		}
		if err != nil {
			t.Fatal(err)
		}
		checkContent(t, c)
		for _, u := range c.Uninspected {
			why[u.Reason] = true
		}
		b, err := st.Emit(nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
}

func TestStreamWhoseCodingIsDamagedSaysSoAndLeavesAsItCame(t *testing.T) {
	noise := make([]byte, 250_000)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = "abcdefghijklmnopqrstuvwxyz    \n"[rnd.IntN(31)]
	}
	for _, coding := range []string{"gzip", "deflate", "zstd", "br"} {
		whole := coded(t, coding, noise)
		broken := bytes.Clone(whole)
		for i := len(broken) / 2; i < len(broken)/2+40; i++ {
			broken[i] ^= 0x5a
		}
		for name, in := range map[string][]byte{
			"a bomb":      coded(t, coding, bytes.Repeat([]byte("0"), 6<<20)),
			"cut":         whole[:len(whole)-20],
			"broken":      broken,
			"not in it":   []byte(strings.Repeat("plain ", 20_000)),
			"with a tail": append(bytes.Clone(whole), " and a tail"...),
		} {
			for _, endless := range []bool{false, true} {
				if racing && endless {
					continue // slow, and the same code
				}
				m := &Message{Header: http.Header{"Content-Encoding": {coding}}, Length: -1, Endless: endless,
					Body: &chunked{in, rand.New(rand.NewPCG(3, 4)), 70_000}}
				out, why := unreadable(t, m)
				if !bytes.Equal(out, in) {
					t.Errorf("%s, %s: %d bytes came, %d left, or others", coding, name, len(in), len(out))
				}
				if len(why) != 1 {
					t.Errorf("%s, %s: the windows say %v", coding, name, why)
				}
			}
		}
	}
}

func TestSourceThatFailsIsNoDamagedCoding(t *testing.T) {
	gone := errors.New("gone")
	in := coded(t, "gzip", bytes.Repeat([]byte("text "), 100_000))
	m := &Message{Header: http.Header{"Content-Encoding": {"gzip"}}, Length: -1,
		Body: io.MultiReader(bytes.NewReader(in[:len(in)/2]), iotest.ErrReader(gone))}
	st := NewStream(m, nil, Limits{})
	for {
		if _, err := st.Next(); err != nil {
			if !errors.Is(err, gone) {
				t.Errorf("%v, want the error of the source", err)
			}
			return
		}
		if _, err := st.Emit([]call.Edit(nil)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEndlessCompressedStreamHidesNothingBehindItsEnd(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "zstd", "br"} {
		in := append(coded(t, coding, []byte("hello, world")), (" tail " + token)...)
		m := &Message{Header: http.Header{"Content-Encoding": {coding}}, Length: -1, Endless: true, Body: bytes.NewReader(in)}
		st := NewStream(m, nil, Limits{})
		var left []byte
		for {
			c, err := st.Next()
			if err != nil {
				t.Fatalf("%s: the token was in no window before %v; %d bytes left", coding, err, len(left))
			}
			if bytes.Contains(c.Text, []byte(token)) {
				break
			}
			b, err := st.Emit(nil)
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, b...)
		}
		if bytes.Contains(left, []byte(token)) {
			t.Errorf("%s: the token had left when its window came", coding)
		}
	}
}

// FuzzDamagedStream: whatever stands where compressed data should, it leaves byte
// for byte, and a token behind it is in a window before it leaves.
func FuzzDamagedStream(f *testing.F) {
	f.Add([]byte("text"), uint8(0), uint16(3), uint8(0), []byte("tail"), uint64(1), false)
	f.Add([]byte("0"), uint8(1), uint16(60000), uint8(0), []byte{}, uint64(2), true)
	f.Add([]byte("abc"), uint8(2), uint16(900), uint8(7), []byte{}, uint64(3), false)
	f.Add([]byte(""), uint8(3), uint16(1), uint8(0), []byte("\x1f\x8b\x08"), uint64(4), true)
	codings := []string{"gzip", "deflate", "zstd", "br", "gzip, br"}
	f.Fuzz(func(t *testing.T, piece []byte, which uint8, times uint16, flip uint8, tail []byte, seed uint64, endless bool) {
		if len(piece) > 64 || len(tail) > 4096 {
			return
		}
		coding := codings[int(which)%len(codings)]
		in := bytes.Repeat(piece, int(times))
		for c := range strings.SplitSeq(coding, ", ") {
			in = coded(t, c, in)
		}
		rnd := rand.New(rand.NewPCG(seed, 5))
		for range flip % 8 {
			in[rnd.IntN(len(in))] ^= byte(1 + rnd.IntN(255))
		}
		in = append(append(in, tail...), " "+token+" "...)
		m := &Message{Header: http.Header{"Content-Encoding": {coding}}, Length: -1, Endless: endless, Body: &chunked{in, rnd, 1 + rnd.IntN(len(in))}}
		st := NewStream(m, nil, Limits{})
		var out []byte
		var seen bool
		for {
			c, err := st.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			checkContent(t, c)
			seen = seen || bytes.Contains(c.Text, []byte(token))
			b, err := st.Emit(nil)
			if err != nil {
				t.Fatal(err)
			}
			if out = append(out, b...); !seen && bytes.Contains(out, []byte(token)) {
				t.Fatalf("the token left, and no window had it")
			}
		}
		if !bytes.Equal(out, in) {
			t.Fatalf("%d bytes in, %d out, or others", len(in), len(out))
		}
	})
}
