package attack

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/payload"
)

// sent is what would leave.
type sent struct {
	call.Decision
	target string
	header http.Header
	body   []byte
}

// send opens r as a listener does and reads what may leave.
func send(t testing.TB, g *gate.Gate, r request) sent {
	t.Helper()
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for _, f := range r.Header {
		h.Add(f[0], f[1])
	}
	c, m, err := gate.HTTP(r.Method, u, h, strings.NewReader(r.Body), int64(len(r.Body)))
	if err != nil {
		t.Fatal(err)
	}
	c.Listener = "proxy"
	if r.Body == "" {
		m.Body, m.Length = nil, 0
	}
	p := g.Open(t.Context(), c, m)
	defer p.Close(call.Outcome{Status: 200})
	s := sent{Decision: p.Decision, target: m.Target, header: m.Header}
	if p.Verdict == call.Allow && m.Body != nil {
		if s.body, err = io.ReadAll(m.Body); err != nil {
			t.Fatalf("read what leaves: %v", err)
		}
	}
	return s
}

// shows reports whether s, decoded, holds text.
func (s *sent) shows(text string) bool {
	m := &payload.Message{Target: s.target, Header: s.header}
	c := payload.Decode(m, s.body, payload.Limits{})
	defer c.Release()
	return bytes.Contains(c.Text, []byte(text)) || bytes.Contains(s.body, []byte(text)) || strings.Contains(s.target, text)
}
