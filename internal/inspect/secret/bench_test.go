package secret

import (
	"bytes"
	"fmt"
	"testing"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/match"
	"outvet/internal/payload"
)

// chat returns a request to a model of about size bytes, made of real ones.
func chat(t testing.TB, size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"model":"m","messages":[`)
	corpus(t, "model-requests", func(line []byte) {
		r := parse[struct{ Body string }](t, line)
		if n := len(r.Body); n < 200 || b.Len()+n > size {
			return
		}
		if b.Bytes()[b.Len()-1] == '}' {
			b.WriteByte(',')
		}
		b.WriteString(r.Body)
	})
	b.WriteString(`]}`)
	return b.Bytes()
}

type prepared struct {
	in      *Inspector
	m       *match.Matcher
	s       match.Scratch
	subject inspect.Subject
}

func prepare(t testing.TB, body []byte) *prepared {
	p := &prepared{in: newInspector(t, Options{})}
	p.m = newEngine(t, p.in.patterns).m
	c := payload.Decode(post("application/json"), body, payload.Limits{})
	hits, err := p.m.Scan(c.Text, &p.s)
	if err != nil {
		t.Fatal(err)
	}
	p.subject = inspect.Subject{Call: &call.Call{Dest: call.Dest{Host: "api.openai.com"}}, Content: c, Hits: hits}
	return p
}

func TestHarmlessTextDoesNotAllocate(t *testing.T) {
	for _, size := range []int{4 << 10, 64 << 10} {
		p := prepare(t, chat(t, size))
		n := testing.AllocsPerRun(20, func() {
			if got, err := p.in.Inspect(t.Context(), &p.subject); len(got) > 0 || err != nil {
				t.Fatal(got, err)
			}
		})
		if n > 0 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		body := chat(b, size)
		p := prepare(b, body)
		name := fmt.Sprintf("chat%dK", size>>10)
		b.Run("judge/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			b.ReportMetric(float64(len(p.subject.Hits)), "hits")
			for b.Loop() {
				if _, err := p.in.Inspect(b.Context(), &p.subject); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("scan/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.m.Scan(p.subject.Content.Text, &p.s); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("all/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			msg := post("application/json")
			for b.Loop() {
				c := payload.Decode(msg, body, payload.Limits{})
				hits, err := p.m.Scan(c.Text, &p.s)
				if err != nil {
					b.Fatal(err)
				}
				sub := inspect.Subject{Call: p.subject.Call, Content: c, Hits: hits}
				if _, err := p.in.Inspect(b.Context(), &sub); err != nil {
					b.Fatal(err)
				}
				c.Release()
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		in, err := New(Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := match.New(in.Patterns()); err != nil {
			b.Fatal(err)
		}
	}
}
