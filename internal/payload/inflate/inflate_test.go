package inflate

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

var codings = []string{"gzip", "x-gzip", "deflate", "raw", "br", "zstd"}

// write codes b; "raw" is deflate without the zlib frame.
func write(t testing.TB, coding string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "raw":
		w, _ = flate.NewWriter(&out, 6)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		w, _ = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	}
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func field(coding string) string {
	if coding == "raw" {
		return "deflate"
	}
	return coding
}

func TestEachCodingIsUndone(t *testing.T) {
	noise := make([]byte, 100_000)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(noise)
	for _, text := range [][]byte{nil, []byte("x"), []byte(strings.Repeat("one two three ", 3000)), noise} {
		for _, c := range codings {
			in := write(t, c, text)
			out, cut, err := Whole(field(c), in, 1<<20, 200)
			if err != nil || cut || !bytes.Equal(out, text) {
				t.Errorf("Whole %s of %d bytes: %d bytes, cut %v, %v", c, len(text), len(out), cut, err)
			}
			r, err := Reader(field(c), iotest.OneByteReader(bytes.NewReader(in)), 200)
			if err != nil {
				t.Fatal(err)
			}
			out, err = io.ReadAll(r)
			if err != nil || !bytes.Equal(out, text) {
				t.Errorf("Reader %s of %d bytes: %d bytes, %v", c, len(text), len(out), err)
			}
			r.Close()
			if _, err := r.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: read after Close", c)
			}
		}
	}
}

func TestListsAreUndoneLastFirst(t *testing.T) {
	text := []byte(strings.Repeat("hello ", 100))
	for _, a := range []string{"gzip", "deflate", "br", "zstd"} {
		for _, b := range []string{"gzip", "deflate", "br", "zstd"} {
			in := write(t, b, write(t, a, text))
			list := " " + strings.ToUpper(a) + "\t, identity,, " + b + " "
			out, cut, err := Whole(list, in, 1<<20, 200)
			if err != nil || cut || !bytes.Equal(out, text) {
				t.Errorf("%q: %d bytes, cut %v, %v", list, len(out), cut, err)
			}
		}
	}
	for _, none := range []string{"", "identity", " Identity ,,"} {
		if out, cut, err := Whole(none, text, 1000, 0); err != nil || cut || !bytes.Equal(out, text) {
			t.Errorf("%q: %q, %v, %v", none, out, cut, err)
		}
		if out, cut, _ := Whole(none, text, 7, 0); !cut || len(out) != 7 {
			t.Errorf("%q under a cap of 7: %d bytes, cut %v", none, len(out), cut)
		}
	}
}

func TestUnknownCodingsAreNamed(t *testing.T) {
	for _, c := range []string{"lzma", "gzip, compress", "gzip;q=1", "gzip gzip", "aws-chunked"} {
		_, _, err := Whole(c, nil, 10, 10)
		if err == nil || Known(c) {
			t.Errorf("%q is known", c)
		}
		if _, err := Reader(c, nil, 10); err == nil {
			t.Errorf("%q is read", c)
		}
	}
	if err := errOf(Whole("gzip, lzma", nil, 1, 1)); err == nil || !strings.Contains(err.Error(), `"lzma"`) {
		t.Errorf("error %v", err)
	}
	if _, err := Reader("gzip,gzip,gzip,gzip,gzip", nil, 1); err == nil {
		t.Error("five codings are read")
	}
	if !Known("gzip, BR") || !Known("") {
		t.Error("known codings are not")
	}
}

func errOf(_ []byte, _ bool, err error) error { return err }

func TestSeveralMembersAreOneBody(t *testing.T) {
	for _, c := range []string{"gzip", "zstd"} {
		in := append(write(t, c, []byte("one ")), write(t, c, []byte("two"))...)
		if out, cut, err := Whole(c, in, 100, 10); err != nil || cut || string(out) != "one two" {
			t.Errorf("%s: %q, cut %v, %v", c, out, cut, err)
		}
	}
}

func TestDamageIsCut(t *testing.T) {
	text := []byte(strings.Repeat("all work and no play ", 5000))
	for _, c := range codings {
		in := write(t, c, text)
		for name, bad := range map[string][]byte{
			"truncated": in[:len(in)-3], "header only": in[:min(len(in), 9)], "one byte": in[:1],
			"trailing": append(bytes.Clone(in), "AKIA"...), "trailing zero": append(bytes.Clone(in), 0),
			"garbage": []byte("\xff\xff\xff\xff\xff\xff\xff\xff"),
		} {
			out, cut, err := Whole(field(c), bad, 1<<20, 200)
			if err != nil || !cut {
				t.Errorf("%s %s: cut %v, %v", c, name, cut, err)
			}
			if !bytes.HasPrefix(text, out) {
				t.Errorf("%s %s: wrong bytes", c, name)
			}
			r, _ := Reader(field(c), bytes.NewReader(bad), 200)
			if _, err := io.ReadAll(r); err == nil || !strings.HasPrefix(err.Error(), "inflate: "+strings.TrimPrefix(field(c), "x-")) {
				t.Errorf("%s %s: Reader: %v", c, name, err)
			}
			r.Close()
		}
		if name := "trailing"; c != "zstd" && c != "br" {
			out, _, _ := Whole(field(c), append(bytes.Clone(in), "AKIA"...), 1<<20, 200)
			if !bytes.Equal(out, text) {
				t.Errorf("%s %s: only %d bytes came out", c, name, len(out))
			}
		}
	}
}

func TestABodyThatIsBothZlibAndRawIsCut(t *testing.T) {
	// As zlib a stored block of "innocent"; as raw deflate a stored block of
	// its own length, behind which anything may stand.
	in := []byte{0x78, 0x9c, 0x00, 0x63, 0xff}
	if out, cut, err := Whole("deflate", append(in, make([]byte, 0x9c)...), 1000, 10); !cut || err != nil {
		t.Errorf("%q, cut %v, %v", out, cut, err)
	}
}

func TestAHeaderlessErrorNeverHangsThePool(t *testing.T) {
	for range 50 {
		for _, c := range codings {
			Whole(field(c), []byte("\x78"), 10, 10)
			Whole(field(c), []byte("\x78\x9c\xff\xff\xff\xff"), 10, 10)
		}
	}
	TestEachCodingIsUndone(t)
}

func TestBombsStop(t *testing.T) {
	bomb := make([]byte, 12<<20)
	for _, c := range codings {
		in := write(t, c, bomb)
		out, cut, err := Whole(field(c), in, 1<<30, 20)
		if err != nil || !cut || len(out) > max(20*len(in), ratioFrom)+1<<20 {
			t.Errorf("%s: %d bytes of %d, cut %v, %v", c, len(out), len(in), cut, err)
		}
		r, _ := Reader(field(c), bytes.NewReader(in), 20)
		n, err := io.Copy(io.Discard, r)
		r.Close()
		if !errors.Is(err, ErrRatio) || n > int64(max(20*len(in), ratioFrom)+1<<20) {
			t.Errorf("%s: Reader: %d bytes of %d, %v", c, n, len(in), err)
		}
		if out, cut, _ := Whole(field(c), in, 1000, 1<<30); !cut || len(out) != 1000 {
			t.Errorf("%s under a cap of 1000: %d bytes, cut %v", c, len(out), cut)
		}
	}
	small := write(t, "gzip", bomb[:ratioFrom])
	if _, cut, _ := Whole("gzip", small, 2<<20, 2); cut {
		t.Error("the ratio counts below 1 MiB")
	}
	in := write(t, "gzip", write(t, "gzip", write(t, "gzip", bomb)))
	if out, cut, _ := Whole("gzip,gzip,gzip", in, 1<<30, 200); !cut || len(out) > 2<<20 {
		t.Errorf("nested: %d bytes of %d, cut %v", len(out), len(in), cut)
	}
}

func TestAWindowTooLargeIsACap(t *testing.T) {
	var in bytes.Buffer
	w, _ := zstd.NewWriter(&in, zstd.WithWindowSize(16<<20), zstd.WithEncoderConcurrency(1))
	for range 300 {
		w.Write(make([]byte, 64<<10))
	}
	w.Close()
	if out, err := Append(nil, "zstd", in.Bytes(), 1<<30, 1<<30); !errors.Is(err, ErrSize) || len(out) > 0 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	for _, c := range append(codings, "identity") {
		in := []byte("text")
		if c != "identity" {
			in = write(t, c, in)
		}
		if out, err := Append([]byte("some "), field(c), in, 4, 10); err != nil || string(out) != "some text" {
			t.Errorf("%s: %q, %v", c, out, err)
		}
		if out, err := Append([]byte("some "), field(c), in, 2, 10); err != ErrSize || string(out) != "some te" {
			t.Errorf("%s under a cap: %q, %v", c, out, err)
		}
	}
	if out, err := Append([]byte("some "), "lzma", nil, 4, 10); err == nil || string(out) != "some " {
		t.Errorf("unknown: %q, %v", out, err)
	}
}

func TestCapIsExact(t *testing.T) {
	for _, c := range codings {
		in := write(t, c, []byte("0123456789"))
		for n := range 12 {
			out, cut, _ := Whole(field(c), in, n, 10)
			if len(out) != min(n, 10) || cut != (n < 10) {
				t.Errorf("%s, cap %d: %d bytes, cut %v", c, n, len(out), cut)
			}
		}
	}
}

func TestFlushedBytesComeWithoutMore(t *testing.T) {
	for _, c := range []string{"gzip", "deflate", "br", "zstd"} {
		pr, pw := io.Pipe()
		go func() {
			var w interface {
				io.WriteCloser
				Flush() error
			}
			switch c {
			case "gzip":
				w = gzip.NewWriter(pw)
			case "deflate":
				w = zlib.NewWriter(pw)
			case "br":
				w = brotli.NewWriter(pw)
			case "zstd":
				w, _ = zstd.NewWriter(pw, zstd.WithEncoderConcurrency(1))
			}
			w.Write([]byte("first"))
			w.Flush() // and then silence
		}()
		r, err := Reader(c, pr, 200)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "first" {
			t.Errorf("%s: %q, %v", c, got, err)
		}
		pw.CloseWithError(io.ErrUnexpectedEOF)
		if _, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", c, err)
		}
		r.Close()
	}
}

func TestMagicNamesWhatItCanUndo(t *testing.T) {
	for c, want := range map[string]string{"gzip": "gzip", "zstd": "zstd", "deflate": "zlib", "br": "", "raw": ""} {
		if got := Magic(write(t, c, []byte("some text of no importance"))); got != want {
			t.Errorf("%s: %q", c, got)
		}
	}
	for _, s := range []string{"", "x", "x\x9c", "\x1f\x8b", "text"} {
		if got := Magic([]byte(s)); got != "" {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func FuzzWhole(f *testing.F) {
	for _, c := range codings {
		f.Add(field(c), write(f, c, []byte("a seed of some length, a seed of some length")))
	}
	f.Add("gzip, br", []byte{})
	f.Fuzz(func(t *testing.T, coding string, body []byte) {
		out, cut, err := Whole(coding, body, 1<<16, 50)
		if len(out) > 1<<16 || (err == nil) != Known(coding) {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		if err != nil {
			return
		}
		r, err := Reader(coding, iotest.HalfReader(bytes.NewReader(body)), 50)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		streamed, err := io.ReadAll(io.LimitReader(r, 1<<16))
		if !cut && (err != nil || !bytes.Equal(out, streamed)) {
			t.Fatalf("Whole %d bytes, Reader %d, %v", len(out), len(streamed), err)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("text"), uint8(0), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, a, b uint8) {
		x, y := codings[int(a)%len(codings)], codings[int(b)%len(codings)]
		in := write(t, y, write(t, x, text))
		out, cut, err := Whole(field(x)+","+field(y), in, len(text), 1000)
		if err != nil || cut || !bytes.Equal(out, text) {
			t.Fatalf("%s in %s: %d bytes of %d, cut %v, %v", x, y, len(out), len(text), cut, err)
		}
	})
}

func BenchmarkWhole(b *testing.B) {
	text := []byte(strings.Repeat("It was a bright cold day in April, and the clocks were striking thirteen. ", 840))[:61<<10]
	for _, c := range []string{"gzip", "deflate", "br", "zstd"} {
		b.Run(c, func(b *testing.B) {
			in := write(b, c, text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				Whole(c, in, 1<<20, 200000)
			}
		})
	}
}

func TestFrontSaysHowFarItRead(t *testing.T) {
	text := strings.Repeat("what is read is read ", 1000)
	for _, coding := range []string{"gzip", "deflate", "zstd"} {
		body := write(t, coding, []byte(text))
		for _, tail := range []string{"", "and other bytes", strings.Repeat("\x00", 20000)} {
			out, read, err := Front([]byte("> "), coding, append(bytes.Clone(body), tail...), 1<<20)
			if string(out) != "> "+text || (err != nil) != (tail != "") {
				t.Errorf("%s and %d bytes: %d bytes, %v", coding, len(tail), len(out), err)
			}
			if read < len(body) || read > len(body)+16 {
				t.Errorf("%s of %d bytes and %d: read %d", coding, len(body), len(tail), read)
			}
		}
		if out, _, err := Front(nil, coding, body, 100); len(out) != 100 || !errors.Is(err, ErrSize) {
			t.Errorf("%s: %d bytes, %v", coding, len(out), err)
		}
	}
}
