package payload

import (
	"bytes"
	be "encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"outvet/call"
)

// framed returns a message of gRPC as it stands on the wire.
func framed(flag byte, msg []byte) []byte {
	return append(be.BigEndian.AppendUint32([]byte{flag}, uint32(len(msg))), msg...)
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// proto returns the fields as a message: number, text, number, text.
func proto(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = be.AppendUvarint(b, uint64(fields[i].(int))<<3|2)
		var v []byte
		switch x := fields[i+1].(type) {
		case string:
			v = []byte(x)
		case []byte:
			v = x
		}
		b = append(be.AppendUvarint(b, uint64(len(v))), v...)
	}
	return b
}

func grpcMessage(body io.Reader, more ...string) *Message {
	m := &Message{Header: http.Header{"Content-Type": {"application/grpc"}}, Body: body, Length: -1, Endless: true}
	for i := 0; i < len(more); i += 2 {
		m.Header.Set(more[i], more[i+1])
	}
	return m
}

// talk reads a stream to its end, masks s where it stands between other words,
// and returns what left and how often it was found.
func talkGRPC(t *testing.T, st *Stream, s string, mask bool) (out []byte, seen int, uninspected []call.Uninspected, err error) {
	t.Helper()
	for {
		c, err := st.Next()
		if err != nil {
			return out, seen, uninspected, err
		}
		checkContent(t, c)
		uninspected = append(uninspected, c.Uninspected...)
		var edits []call.Edit
		for _, p := range places(c, s) {
			if from, to := p.From, p.To; wordAlone(c, from, to) {
				seen++
				edits = append(edits, call.Edit{Kind: call.Redact, Place: p})
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

// wordAlone reports whether no letter or digit stands beside the span, as the
// patterns of tokens ask for.
func wordAlone(c *Content, from, to int) bool {
	word := func(pos int) bool {
		b := c.Text[pos]
		return b == '_' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
	}
	return (c.Edge(from) || !word(from-1)) && (c.Edge(to) || !word(to))
}

const grpcWord = "k7Qm2ZtR9vXc4LpW8sYb3NdF6hJa1G1cxYMDk7Qm2ZtR9vX" // 48 bytes: their length is '0'

func TestGRPCMessagesAreReadWholeHoweverTheyArrive(t *testing.T) {
	far := bytes.Repeat([]byte("nothing to see. "), 20_000)
	for i := range far { // hard to compress
		if far[i] == 'n' {
			far[i] = "abcdefghijklmnopqrstuvwxyz"[i*7%26]
		}
	}
	secret := proto(1, string(far), 2, grpcWord, 8, "next") // its tag is 'B'
	zw, _ := zstd.NewWriter(nil)
	for name, c := range map[string]struct {
		coding string
		flag   byte
		msg    []byte
	}{
		"plain":   {"", 0, secret},
		"gzip":    {"gzip", 1, gzipped(secret)},
		"zstd":    {"zstd", 1, zw.EncodeAll(secret, nil)},
		"not yet": {"gzip", 0, secret},
		"nested":  {"", 0, proto(1, proto(6, proto(6, grpcWord, 6, "x")))},
		"json":    {"", 0, []byte(`{"key":"` + grpcWord + `"}`)},
	} {
		wire := append(framed(0, proto(1, "first")), framed(c.flag, c.msg)...)
		wire = append(wire, framed(0, nil)...)
		for _, most := range []int{7, 1000, 1 << 20} {
			m := grpcMessage(&chunked{wire, rand.New(rand.NewPCG(1, 2)), most}, "Grpc-Encoding", c.coding)
			out, seen, un, err := talkGRPC(t, NewStream(m, nil, Limits{}), grpcWord, false)
			if err != io.EOF || seen == 0 || len(un) > 0 || !bytes.Equal(out, wire) {
				t.Errorf("%s by %d: seen %d times, %d of %d bytes left, uninspected %v, %v", name, most, seen, len(out), len(wire), un, err)
			}
		}
	}
}

func TestWhatIsFramedLikeGRPCIsReadLikeIt(t *testing.T) {
	secret := proto(1, strings.Repeat("words ", 3000), 2, grpcWord)
	for _, c := range []struct {
		ctype, field string
		flag         byte
		edited       byte
	}{
		{"application/grpc-web", "Grpc-Encoding", 1, 0}, {"application/grpc-web+proto", "Grpc-Encoding", 0x80, 0x80},
		{"Application/GRPC; x=y", "Grpc-Encoding", 1, 0},
		{"application/connect+proto", "Connect-Content-Encoding", 3, 2},
	} {
		msg := secret
		if c.flag&1 != 0 {
			msg = gzipped(msg)
		}
		m := grpcMessage(bytes.NewReader(framed(c.flag, msg)), "Content-Type", c.ctype, c.field, "gzip")
		out, seen, un, err := talkGRPC(t, NewStream(m, nil, Limits{}), grpcWord, true)
		want := bytes.ReplaceAll(secret, []byte(grpcWord), bytes.Repeat([]byte("*"), len(grpcWord)))
		if err != io.EOF || seen == 0 || len(un) > 0 || !bytes.Equal(out, framed(c.edited, want)) {
			t.Errorf("%s: seen %d times, uninspected %v, %v", c.ctype, seen, un, err)
		}
	}
}

func TestAnEditedGRPCMessageStaysOne(t *testing.T) {
	msg := proto(1, "before", 2, grpcWord, 8, "next", 9, "bearer "+grpcWord)
	want := bytes.ReplaceAll(msg, []byte(grpcWord), bytes.Repeat([]byte("*"), len(grpcWord)))
	for _, flag := range []byte{0, 1} {
		sent := msg
		if flag == 1 {
			sent = gzipped(msg)
		}
		after := framed(1, gzipped([]byte("after")))
		m := grpcMessage(bytes.NewReader(append(framed(flag, sent), after...)), "Grpc-Encoding", "gzip")
		out, _, _, err := talkGRPC(t, NewStream(m, nil, Limits{}), grpcWord, true)
		if err != io.EOF || !bytes.Equal(out, append(framed(0, want), after...)) {
			t.Errorf("%q, %v", out, err)
		}
	}
}

func TestNothingOfAGRPCMessageLeavesBeforeItsEnd(t *testing.T) {
	pr, pw := io.Pipe()
	st := NewStream(grpcMessage(pr), nil, Limits{})
	got := make(chan int, 2)
	go func() {
		for range 2 {
			if _, err := st.Next(); err != nil {
				t.Error(err)
			}
			b, _ := st.Emit(nil)
			got <- len(b)
		}
	}()
	wire := framed(0, proto(1, "x"))
	pw.Write(wire)
	if n := <-got; n != len(wire) {
		t.Errorf("%d bytes left", n) // a whole message does not wait for the next
	}
	pw.Write(wire[:7])
	select {
	case n := <-got:
		t.Errorf("%d bytes of half a message left", n)
	default:
	}
	pw.Write(wire[7:])
	<-got
}

func TestWhatCannotBeReadInGRPCIsSaid(t *testing.T) {
	long := gzipped(bytes.Repeat([]byte("x"), 5000))
	for name, c := range map[string]struct {
		coding, want string
		msg          []byte
	}{
		"unknown coding": {"snappy", `grpc-encoding "snappy" is not known`, []byte("\x00")},
		"no coding":      {"", "grpc-encoding does not say how", []byte("\x00")},
		"damaged":        {"gzip", `grpc-encoding "gzip" is damaged`, []byte("no gzip")},
		"too long":       {"gzip", "over 1000 bytes", long},
	} {
		wire := framed(1, c.msg)
		_, _, un, err := talkGRPC(t, NewStream(grpcMessage(bytes.NewReader(wire), "Grpc-Encoding", c.coding), nil, Limits{Body: 1000}), "zzz", false)
		if err != io.EOF || !strings.Contains(fmt.Sprint(un), c.want) {
			t.Errorf("%s: %v, %v", name, un, err)
		}
	}
}

func TestAMalformedGRPCStreamEnds(t *testing.T) {
	for name, wire := range map[string][]byte{
		"flag":     framed(2, nil),
		"prefix":   {0, 0, 0},
		"cut":      framed(0, []byte("abc"))[:6],
		"too long": {0, 0xff, 0xff, 0xff, 0xff, 'x'},
	} {
		out, _, _, err := talkGRPC(t, NewStream(grpcMessage(bytes.NewReader(wire)), nil, Limits{}), "zzz", false)
		var bad *Malformed
		if !errors.As(err, &bad) || len(out) > 0 {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	}
}

func TestAnAnnouncedGRPCMessageCostsNothing(t *testing.T) {
	var asked int64
	wire := append([]byte{0, 0, 0x70, 0, 0}, make([]byte, 100)...) // 7 MiB announced
	st := NewStream(grpcMessage(bytes.NewReader(wire)), nil, Limits{})
	st.Lend = func(n int64) bool { asked = max(asked, n); return true }
	talkGRPC(t, st, "zzz", false)
	if asked > 8<<10 {
		t.Errorf("%d bytes were asked for", asked)
	}
	st = NewStream(grpcMessage(bytes.NewReader(framed(0, make([]byte, 1<<20)))), nil, Limits{})
	st.Lend = func(n int64) bool { return n < 1<<18 }
	if out, _, _, err := talkGRPC(t, st, "zzz", false); err == io.EOF || len(out) > 0 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// FuzzGRPC: what leaves is what came, whole messages of it, or with the word
// masked; the word is found wherever a field holds it alone.
func FuzzGRPC(f *testing.F) {
	f.Add(framed(0, proto(1, "a", 2, proto(3, "b"))), uint8(3), uint8(6), false)
	f.Add(append(framed(1, gzipped([]byte("x"))), 0, 0), uint8(15), uint8(1), true)
	f.Fuzz(func(t *testing.T, around []byte, number, next uint8, compress bool) {
		if len(around) > 4<<10 {
			return
		}
		msg := proto(int(number)+1, grpcWord, int(next)+1, around)
		flag := byte(0)
		if compress {
			flag, msg = 1, gzipped(msg)
		}
		wire := append(framed(flag, msg), around...)
		m := func() *Message {
			return grpcMessage(&chunked{bytes.Clone(wire), rand.New(rand.NewPCG(1, uint64(number))), 50}, "Grpc-Encoding", "gzip")
		}
		out, seen, _, _ := talkGRPC(t, NewStream(m(), nil, Limits{}), grpcWord, false)
		if !bytes.HasPrefix(wire, out) || len(out) < grpcPrefix+len(msg) || seen == 0 {
			t.Errorf("%d bytes of %d, seen %d times", len(out), len(wire), seen)
		}
		out, _, _, _ = talkGRPC(t, NewStream(m(), nil, Limits{}), grpcWord, true)
		if !bytes.Contains(around, []byte(grpcWord[:8])) && bytes.Contains(out, []byte(grpcWord)) {
			t.Error("the word was not masked")
		}
	})
}

// BenchmarkGRPC reads a stream of messages, with what the same bytes cost as one
// without messages beside it.
func BenchmarkGRPC(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 256 << 10} {
		msg := framed(0, proto(1, strings.Repeat("words of plain prose ", size/21+1)[:size], 2, "id"))
		wire := bytes.Repeat(msg, max(1<<20/len(msg), 1))
		for name, m := range map[string]*Message{"messages": grpcMessage(nil), "windows": grpcMessage(nil, "Content-Type", "application/octet-stream")} {
			b.Run(fmt.Sprint(size, "/", name), func(b *testing.B) {
				b.SetBytes(int64(len(wire)))
				b.ReportAllocs()
				for b.Loop() {
					m.Body = bytes.NewReader(wire)
					for st := NewStream(m, nil, Limits{}); ; {
						if _, err := st.Next(); err != nil {
							break
						}
						st.Emit(nil)
					}
				}
			})
		}
	}
}

// TestSmallGRPCMessagesCostFewAllocations: what a stream takes does not grow
// with its messages.
func TestSmallGRPCMessagesCostFewAllocations(t *testing.T) {
	if racing {
		t.Skip("skipped, because the race detector allocates")
	}
	const perWindow = 4
	wire := bytes.Repeat(framed(0, proto(1, "hello", 2, "id")), 10_000)
	windows := 0
	n := testing.AllocsPerRun(5, func() {
		windows = 0
		for st := NewStream(grpcMessage(bytes.NewReader(wire)), nil, Limits{}); ; windows++ {
			if _, err := st.Next(); err != nil {
				return
			}
			st.Emit(nil)
		}
	})
	if n > float64(perWindow*windows+60) {
		t.Errorf("%v allocations in %d windows", n, windows)
	}
}
