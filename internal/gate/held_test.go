package gate

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"outvet/call"
)

// Bodies share memory one after the other. Whoever still reads one of a closed
// call must not see that of another.
func TestBodyOfAClosedCallIsNotReadFromTheNext(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	for _, size := range []int{100, 8 << 10, 8<<10 + 1, 64 << 10, 64<<10 + 1} {
		c, m := request(t, "POST", "https://ok.example/", strings.NewReader(strings.Repeat("a", size)), int64(size))
		p := g.Open(t.Context(), c, m)
		if p.Verdict != call.Allow || !p.Held() {
			t.Fatalf("%d bytes: %+v, held %v", size, p.Decision, p.Held())
		}
		first := make([]byte, 10)
		io.ReadFull(m.Body, first)
		p.Close(call.Outcome{})
		n, err := m.Body.Read(first)
		if _, again := p.Rewind(); n > 0 || err == nil || again {
			t.Errorf("%d bytes: a closed call gives %d more, %v", size, n, err)
		}
	}
}

func TestManyCallsKeepTheirBodiesApart(t *testing.T) {
	g, _ := newGate(t, rulesText, inspectors(t))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				body := []byte(strings.Repeat(fmt.Sprintf("call %d %d ", i, j), 1+j*10))
				c, m := request(t, "POST", "https://ok.example/", bytes.NewReader(body), int64(len(body)))
				p := g.Open(t.Context(), c, m)
				got, err := io.ReadAll(m.Body)
				if again, ok := p.Rewind(); ok {
					got, err = io.ReadAll(again)
				}
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d bytes became %d, %v", len(body), len(got), err)
				}
				p.Close(call.Outcome{})
			}
		})
	}
	all.Wait()
}
