package dns

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/policy"
	"outvet/internal/session"
	"outvet/internal/synthetic"
)

func seeds(f *testing.F) {
	add := func(m *wire.Msg) {
		if b, err := m.Pack(); err == nil {
			f.Add(b)
			f.Add(b[:len(b)-1])
			f.Add(append(b, 0))
		}
	}
	for _, name := range []string{"read.example.com.", "TEXT.example.com.", ".", `a\001b.example.com.`, "localhost.", "1.0.18.198.in-addr.arpa.", strings.Repeat("a.", 126)} {
		for _, kind := range []uint16{wire.TypeA, wire.TypeTXT, wire.TypePTR, wire.TypeHTTPS, wire.TypeANY, 65399} {
			m := new(wire.Msg).SetQuestion(name, kind)
			add(m)
			m.SetEdns0(1232, true)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &wire.EDNS0_LOCAL{Code: 65001, Data: []byte("x")})
			add(m)
		}
	}
	m := new(wire.Msg).SetQuestion("read.example.com.", wire.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().SetVersion(1)
	add(m)
	m.Opcode = wire.OpcodeNotify
	add(m)
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01")) // a pointer to itself
}

// FuzzQuestion holds the parser against another one: what it accepts, that one
// understands alike.
func FuzzQuestion(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		q, code, err := parse(b, nil)
		if err != nil {
			if len(b) >= headLen && b[2]&0x80 == 0 {
				t.Fatal("a query is ignored")
			}
			return
		}
		if code != noError {
			return
		}
		var m wire.Msg
		if err := m.Unpack(b); err != nil {
			t.Fatalf("accepted, but malformed: %v", err)
		}
		asked := m.Question[0]
		if len(m.Question) != 1 || asked.Qtype != q.kind || asked.Qclass != q.class || m.Id != q.id || m.RecursionDesired != q.rd || m.Opcode != 0 {
			t.Fatalf("%+v is taken for %+v", m, q)
		}
		if q.plain && wire.CanonicalName(asked.Name) != wire.Fqdn(q.name) {
			t.Fatalf("%q is taken for %q", asked.Name, q.name)
		}
		if o := m.IsEdns0(); (o != nil) != q.edns || o != nil && (o.Version() != 0 || o.Do() != q.do) {
			t.Fatalf("%v is taken for %+v", o, q)
		}
	})
}

// An upstream answers all, without a network.
type upstream struct{}

func (upstream) Ask(_ context.Context, name string, kind dnsmessage.Type) (*forward.Found, error) {
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, err
	}
	var body dnsmessage.ResourceBody
	switch long := strings.Repeat("x", 200); {
	case kind == dnsmessage.TypeTXT:
		body = &dnsmessage.TXTResource{TXT: []string{long, long, long}}
	case kind > 1000: // whose content nobody reads
		body = &dnsmessage.UnknownResource{Type: kind, Data: []byte(long)}
	default:
		return &forward.Found{RCode: dnsmessage.RCodeNameError}, nil
	}
	return &forward.Found{Records: []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET, Type: kind}, Body: body}}}, nil
}

func (upstream) Resolve(context.Context, string, *call.Guard) ([]netip.Addr, time.Duration, error) {
	return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, time.Second, nil
}

type nowhere struct{}

func (nowhere) Write(*call.Record) error { return nil }

func server(t testing.TB, text string) *Server {
	p, err := policy.Load(context.Background(), policy.Options{Text: []byte(text), Name: "test.yaml", Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	g := &gate.Gate{Sessions: &session.Table{}, Log: nowhere{}}
	if err := g.Install(p, nil, "test"); err != nil {
		t.Fatal(err)
	}
	s := &Server{Gate: g, Upstream: upstream{}, Names: &synthetic.Table{Size: 64, Rest: time.Nanosecond}, Rate: 1 << 30}
	s.once.Do(s.setUp)
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s
}

const open = "version: 1\ndefault: allow\nrules:\n  - {name: all, protocol: dns, verdict: allow}\n"

// FuzzServer holds whole answers to this: there is none to what is no query, and
// any other is well formed, answers the question, and fits.
func FuzzServer(f *testing.F) {
	seeds(f)
	servers := []*Server{server(f, open), server(f, "version: 1\ndefault: block\n"), server(f, open)}
	servers[2].Names = nil
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range servers {
			q, code, err := parse(b, nil)
			if err != nil {
				continue
			}
			who := call.Caller{Session: "fuzz"}
			var msg []byte
			if code != noError {
				msg = begin(&q, code, q.size).finish(code, 0, "")
			} else if msg = s.atOnce(&q, &who); msg == nil {
				msg = s.decide(&q, &who)
			}
			var m wire.Msg
			if err := m.Unpack(msg); err != nil {
				t.Fatalf("the answer to %x is malformed: %v", b, err)
			}
			if m.Id != q.id || !m.Response || code == noError && !bytes.Equal(msg[headLen:headLen+len(q.raw)], q.raw) || m.IsEdns0() != nil && !q.edns {
				t.Fatalf("%x is answered with %v", b, &m)
			}
			if len(msg) > q.size {
				t.Fatalf("%d bytes where the client takes %d", len(msg), q.size)
			}
			for _, r := range m.Answer {
				if r.Header().Rrtype != q.kind || r.Header().Class != classIN {
					t.Fatalf("a record of type %d to a question for %d", r.Header().Rrtype, q.kind)
				}
			}
		}
	})
}

func query(name string, kind uint16) []byte {
	m := new(wire.Msg).SetQuestion(name, kind)
	m.SetEdns0(1232, false)
	b, _ := m.Pack()
	return b
}

func TestAnsweringAgainCostsLittle(t *testing.T) {
	s := server(t, open)
	b, name := query("read.example.com.", wire.TypeA), make([]byte, 0, 4*nameMax)
	who := call.Caller{Session: "s"}
	again := func() {
		q, _, _ := parse(b, name)
		if msg := s.atOnce(&q, &who); msg == nil {
			s.decide(&q, &who)
		}
	}
	again()
	if n := testing.AllocsPerRun(200, again); n > 5 {
		t.Errorf("%v allocations for a question that was asked before, want at most 5", n)
	}
}
