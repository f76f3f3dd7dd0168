package forward

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"outvet/call"
)

func (s *nameserver) addr() netip.AddrPort { return s.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

func TestAskPassesOnWhatAnswersTheQuestionAndNoMore(t *testing.T) {
	s := newNameserver(t)
	txt := func(s ...string) dnsmessage.ResourceBody { return &dnsmessage.TXTResource{TXT: s} }
	s.change(func() {
		s.zone["TXT origin.example."] = func(int) []dnsmessage.ResourceBody {
			return []dnsmessage.ResourceBody{&dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("other.example.")}, txt("one", "two"), &dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}}}
		}
	})
	f := New(Options{NameServers: []netip.AddrPort{s.addr()}})
	defer f.Close()
	for _, cut := range []bool{false, true} { // over UDP, then over TCP
		s.change(func() { s.cut = cut })
		got, err := f.Ask(t.Context(), "origin.example", dnsmessage.TypeTXT)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Records) != 2 || got.RCode != 0 || got.Server != s.addr() || got.Sent == 0 || got.Taken == 0 {
			t.Errorf("cut %v: %+v", cut, got)
		}
		for _, r := range got.Records {
			if r.Header.Type != dnsmessage.TypeTXT && r.Header.Type != dnsmessage.TypeCNAME {
				t.Errorf("a record of type %v came with it", r.Header.Type)
			}
		}
	}
	s.mu.Lock()
	asked := slices.Clone(s.asked)
	s.mu.Unlock()
	if !slices.Equal(asked, []string{"TXT origin.example.", "TXT origin.example."}) {
		t.Errorf("asked: %q", asked)
	}
	if got, err := f.Ask(t.Context(), "nowhere.example", dnsmessage.TypeMX); err == nil && got.RCode != dnsmessage.RCodeNameError {
		t.Errorf("no such name: %+v", got)
	}
}

func TestAskTakesNoAnswerToAnotherQuestion(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			right := m.Questions[0]
			m.Response = true
			answer := func(id uint16, q dnsmessage.Question, text string) {
				r := dnsmessage.Message{Header: m.Header, Questions: []dnsmessage.Question{q}, Answers: []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}, Body: &dnsmessage.TXTResource{TXT: []string{text}}}}}
				r.ID = id
				b, _ := r.Pack()
				pc.WriteTo(b, from)
			}
			wrong := right
			wrong.Name = dnsmessage.MustNewName("evil.example.")
			answer(m.ID, wrong, "another name")
			answer(m.ID+1, right, "another id")
			pc.WriteTo([]byte("no message"), from)
			answer(m.ID, right, "right")
		}
	}()
	f := New(Options{NameServers: []netip.AddrPort{pc.LocalAddr().(*net.UDPAddr).AddrPort()}})
	defer f.Close()
	got, err := f.Ask(t.Context(), "origin.example", dnsmessage.TypeTXT)
	if err != nil || len(got.Records) != 1 || got.Records[0].Body.(*dnsmessage.TXTResource).TXT[0] != "right" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAskSaysWhenNobodyAnswers(t *testing.T) {
	f := New(Options{NameServers: []netip.AddrPort{}})
	defer f.Close()
	_, err := f.Ask(t.Context(), "origin.example", dnsmessage.TypeTXT)
	var e *Error
	if !errors.As(err, &e) || e.Type != "dns_error" {
		t.Errorf("without name servers: %v", err)
	}
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeALL, dnsmessage.TypeAXFR} {
		if _, err := f.Ask(t.Context(), "origin.example", kind); err == nil {
			t.Errorf("%v was asked for", kind)
		}
	}
	if _, err := f.Ask(t.Context(), strings.Repeat("a.", 200), dnsmessage.TypeTXT); err == nil {
		t.Error("a name that is too long was asked for")
	}
}

func TestNameServersAreThoseOfTheMachine(t *testing.T) {
	for text, want := range map[string]string{
		"# c\nnameserver 192.0.2.1\nnameserver bad\nnameserver fe80::1%eth0\noptions rotate\n":   "192.0.2.1:53 [fe80::1%eth0]:53",
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4": "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53",
		"": "127.0.0.1:53",
	} {
		var got []string
		for _, a := range parseResolvConf(text) {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", text, got, want)
		}
	}
}

func TestWhatAClientWasToldIsWhatIsDialled(t *testing.T) {
	origin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	s := newNameserver(t)
	s.change(func() { s.zone["A moves.example."] = inTurn([]string{"127.0.0.1"}, []string{"127.0.0.2"}) })
	f := New(Options{Resolver: s.resolver()})
	defer f.Close()
	g := &call.Guard{Admit: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	port := uint16(origin.Addr().(*net.TCPAddr).Port)
	addrs, good, err := f.Resolve(t.Context(), "Moves.Example.", g)
	if err != nil || len(addrs) != 1 || addrs[0].String() != "127.0.0.1" || good <= 0 || good > pinTime {
		t.Fatalf("%v for %v, %v", addrs, good, err)
	}
	for range 3 {
		c, a, err := f.Dial(t.Context(), "moves.example", port, g)
		if err != nil || a != addrs[0] {
			t.Fatalf("dialled %v, told %v: %v", a, addrs, err)
		}
		c.Close()
	}
	if _, _, err := f.Dial(t.Context(), "moves.example", port, nil); err == nil {
		t.Error("a call that may not reach loopback reached it, since another client was told its address")
	}
	f.Flush()
	if addrs, _, err = f.Resolve(t.Context(), "moves.example", g); err != nil || addrs[0].String() != "127.0.0.2" {
		t.Errorf("after a change of policy: %v, %v", addrs, err)
	}
}

func TestAddressesThatMayNotBeReachedAreNotTold(t *testing.T) {
	s := newNameserver(t)
	s.change(func() { s.zone["A inside.example."] = always("93.184.216.34", "10.0.0.1") })
	f := New(Options{Resolver: s.resolver()})
	defer f.Close()
	addrs, _, err := f.Resolve(t.Context(), "inside.example", nil)
	var refused *Refused
	if !errors.As(err, &refused) || addrs != nil {
		t.Errorf("told %v, %v", addrs, err)
	}
	if f.pins.get("inside.example", time.Now()) != nil {
		t.Error("it is pinned")
	}
}

func TestPinsEndAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pins
		a := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
		p.set("a.example", a, time.Now())
		time.Sleep(40 * time.Second)
		if good := p.set("a.example", a, time.Now()); good != 20*time.Second {
			t.Errorf("asked again after 40 s: good for %v", good)
		}
		time.Sleep(20 * time.Second)
		if p.get("a.example", time.Now()) != nil {
			t.Error("a pin did not end")
		}
		for i := range 2 * pinsMax {
			p.set(strings.Repeat("x", i%200)+string(rune('a'+i%26))+string(rune(0x4e00+i)), a, time.Now())
		}
		if len(p.byName) > pinsMax {
			t.Errorf("%d pins", len(p.byName))
		}
	})
}

// FuzzAnswer holds the reading of answers to this: it does not panic, and what it
// takes answers the question.
func FuzzAnswer(f *testing.F) {
	asked := dnsmessage.Question{Name: dnsmessage.MustNewName("a.example."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true}, Questions: []dnsmessage.Question{asked}, Answers: []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: asked.Name, Class: asked.Class, Type: asked.Type}, Body: &dnsmessage.TXTResource{TXT: []string{"x"}}}}}
	b, _ := m.Pack()
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		var got Found
		if _, err := got.take(b, 7, asked); err != nil {
			return
		}
		if len(got.Records) > askRecord {
			t.Errorf("%d records", len(got.Records))
		}
		for _, r := range got.Records {
			if r.Header.Type != asked.Type && r.Header.Type != dnsmessage.TypeCNAME {
				t.Errorf("a record of type %v", r.Header.Type)
			}
		}
	})
}
