package payload

import (
	"bytes"
	"compress/zlib"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"outvet/call"
)

// chunked returns what is left of b in pieces of random sizes.
type chunked struct {
	b   []byte
	rnd *rand.Rand
	max int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:min(1+c.rnd.IntN(c.max), len(c.b))])
	c.b = c.b[n:]
	return n, nil
}

// drain reads a stream and redacts s in each window if mask. It returns what
// left, and in how many windows s was seen for the first time.
func drain(t *testing.T, st *Stream, s string, mask bool) (out []byte, seen int) {
	t.Helper()
	for {
		c, err := st.Next()
		if err == io.EOF {
			return out, seen
		}
		if err != nil {
			t.Fatal(err)
		}
		checkContent(t, c)
		var edits []call.Edit
		for _, p := range places(c, s) {
			if p.Part == "body" && !c.Repeated(p.From, p.To) {
				seen++
			}
			if p.Part == "body" { // a layer around it would be masked as a whole
				edits = append(edits, call.Edit{Kind: call.Redact, Place: p, With: "x"})
			}
		}
		if !mask {
			edits = nil
		}
		b, err := st.Emit(edits)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("plain text"), uint64(1), uint16(10), uint8(0), false)
	f.Add([]byte("\xe2\x82\xac\xff\xe2"), uint64(2), uint16(1), uint8(40), true)
	f.Add([]byte(`{"a":"\u00e9`+token), uint64(3), uint16(3000), uint8(200), false)
	f.Fuzz(func(t *testing.T, piece []byte, seed uint64, most uint16, times uint8, endless bool) {
		if len(piece) > 1<<10 || strings.Contains(string(piece), "zq7") {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, 1))
		in := bytes.Repeat(piece, int(times))
		k := 0
		if len(in) > 0 {
			k = rnd.IntN(len(in))
		}
		in = append(append(bytes.Clone(in[:k]), " "+token+" "...), in[k:]...)
		max := int(most) + 1 + len(in)/50
		cut := rnd.IntN(min(len(in), 1<<10))
		for _, mask := range []bool{false, true} {
			if mask && endless {
				continue
			}
			m := &Message{Header: http.Header{}, Body: &chunked{in[cut:], rnd, max}, Length: -1, Endless: endless}
			out, seen := drain(t, NewStream(m, in[:cut], Limits{}), token, mask)
			if seen != 1 {
				t.Fatalf("token at %d of %d was seen %d times", k, len(in), seen)
			}
			want := in
			if mask {
				want = bytes.Replace(in, []byte(token), bytes.Repeat([]byte("*"), len(token)), 1)
			}
			if !bytes.Equal(out, want) {
				t.Fatalf("mask %v: %d bytes in, %d out", mask, len(in), len(out))
			}
		}
	})
}

func coded(t testing.TB, coding string, b []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCompressedStreamLeavesUnchangedAndBehindItsInspection(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < 2<<20 {
		b.WriteString(strings.Repeat("word ", rnd.IntN(3)) + std64(string(rune(rnd.IntN(1<<16)))) + "\n")
	}
	secret := b.Len()
	b.WriteString(token)
	b.WriteString(strings.Repeat(" and so on", 1<<16))
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		wire := coded(t, coding, b.Bytes())
		m := &Message{Header: http.Header{"Content-Encoding": {coding}}, Body: &chunked{wire, rnd, 9000}, Length: -1}
		out, seen := drain(t, NewStream(m, nil, Limits{}), token, false)
		if seen != 1 || !bytes.Equal(out, wire) {
			t.Errorf("%s: seen %d times, %d of %d bytes left", coding, seen, len(out), len(wire))
		}

		// Up to the window with the secret, nothing of it may have left.
		m.Body = &chunked{wire, rnd, 9000}
		s := NewStream(m, nil, Limits{})
		out = nil
		for {
			c, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if len(places(c, token)) > 0 {
				break
			}
			e, _ := s.Emit(nil)
			out = append(out, e...)
		}
		if len(out) == 0 {
			t.Errorf("%s: nothing left before the secret", coding)
		}
		if n := decodable(coding, out); n > secret {
			t.Errorf("%s: %d decoded bytes left, the secret is at %d", coding, n, secret)
		}
	}
}

// decodable returns how many bytes the prefix b of a coded body decodes to.
func decodable(coding string, b []byte) int {
	var r io.Reader
	switch coding {
	case "gzip":
		r, _ = gzip.NewReader(bytes.NewReader(b))
	case "deflate":
		r, _ = zlib.NewReader(bytes.NewReader(b))
	case "br":
		r = brotli.NewReader(bytes.NewReader(b))
	case "zstd":
		r, _ = zstd.NewReader(bytes.NewReader(b))
	}
	n, _ := io.Copy(io.Discard, r)
	return int(n)
}

func TestBlockedWindowHoldsTheSecretBack(t *testing.T) {
	in := strings.Repeat("words and words ", 20_000)
	in = in[:200_000] + token + in[200_000:]
	for _, endless := range []bool{false, true} {
		m := &Message{Body: &chunked{[]byte(in), rand.New(rand.NewPCG(1, 1)), 7}, Length: -1, Endless: endless}
		s := NewStream(m, nil, Limits{})
		var out []byte
		for {
			c, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if len(places(c, token)) > 0 {
				break
			}
			b, err := s.Emit(nil)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b...)
		}
		if most := 200_000 + len(token) - 1; len(out) > most || !endless && len(out) > 200_000 {
			t.Errorf("endless %v: %d bytes have left, the secret is at 200000", endless, len(out))
		}
	}
}

func TestEndlessStreamHoldsNothingBack(t *testing.T) {
	r, w := io.Pipe()
	s := NewStream(&Message{Body: r, Length: -1, Endless: true}, nil, Limits{})
	for _, line := range []string{"hello", " again \xe2\x82", "\xac"} {
		go w.Write([]byte(line))
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
		if b, err := s.Emit(nil); err != nil || string(b) != line {
			t.Errorf("%q left for %q: %v", b, line, err)
		}
	}
}
