package dns_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"

	"outvet/call"
	"outvet/internal/forward"
	"outvet/internal/kill"
	"outvet/internal/listener/dns"
	"outvet/internal/synthetic"
)

const blockAll = "version: 1\ndefault: block\n"

const some = `version: 1
default: block
rules:
  - {name: read, to: [read.example.com, in.corp.internal], method: GET, verdict: allow}
  - {name: text, to: text.example.com, protocol: dns, method: [TXT, "NULL", ANY, PTR], verdict: allow}
`

func TestEveryNameHasAnAddressAndNobodyIsAsked(t *testing.T) {
	r := newRig(t, some)
	for _, name := range []string{"read.example.com", "denied.example.com", "a.b.c.example.org", "x_y-z.example.net", "in.corp.internal", "xn--bcher-kva.example.de"} {
		a4, a6 := addresses(r.ask(t, name, wire.TypeA)), addresses(r.ask(t, name, wire.TypeAAAA))
		if len(a4) != 1 || len(a6) != 1 || !synthetic.Is(a4[0]) || !synthetic.Is(a6[0]) {
			t.Errorf("%s: %v, %v", name, a4, a6)
			continue
		}
		for _, a := range []netip.Addr{a4[0], a6[0]} {
			if got, ok := r.Names.Name(a); !ok || got != name {
				t.Errorf("%v stands for %q, want %s", a, got, name)
			}
		}
	}
	m := r.ask(t, "READ.Example.Com", wire.TypeA)
	if m.Question[0].Name != "READ.Example.Com." || m.Answer[0].Header().Name != "READ.Example.Com." || m.Answer[0].Header().Ttl != 1 {
		t.Errorf("the case of the question is not kept: %v", m)
	}
	if got, _ := r.Names.Name(addresses(m)[0]); got != "read.example.com" {
		t.Errorf("in capitals it is %q", got)
	}
	for _, kind := range []uint16{wire.TypeHTTPS, wire.TypeSVCB} {
		if m := r.ask(t, "read.example.com", kind); m.Rcode != 0 || len(m.Answer) != 0 {
			t.Errorf("type %d: %v", kind, m)
		}
	}
	if q := r.up.questions(); len(q) > 0 {
		t.Errorf("somebody was asked: %v", q)
	}
}

func TestOtherTypesAreRefusedWithTheReasonUnlessARuleLetsThemOut(t *testing.T) {
	r := newRig(t, some)
	for _, kind := range []uint16{wire.TypeTXT, wire.TypeMX, wire.TypeSRV, wire.TypeNS, wire.TypeCNAME, wire.TypeSOA, wire.TypeNULL, 65399, wire.TypeANY, wire.TypeKEY} {
		m := r.ask(t, "read.example.com", kind)
		code, text := told(m)
		if m.Rcode != wire.RcodeRefused || code != 15 || !strings.Contains(text, "read.example.com is not allowed") || !strings.Contains(text, "rule default") {
			t.Errorf("type %d: %s, EDE %d %q", kind, wire.RcodeToString[m.Rcode], code, text)
		}
	}
	for _, kind := range []uint16{wire.TypeNULL, wire.TypeANY} { // a rule allows them
		if m := r.ask(t, "text.example.com", kind); m.Rcode != wire.RcodeRefused {
			t.Errorf("type %d: %v", kind, m)
		}
	}
	if q := r.up.questions(); len(q) > 0 {
		t.Errorf("somebody was asked: %v", q)
	}
	m := r.ask(t, "Text.Example.COM", wire.TypeTXT)
	if m.Rcode != 0 || len(m.Answer) != 1 || m.Question[0].Name != "Text.Example.COM." {
		t.Errorf("%v", m)
	}
}

func TestAQueryThatLeavesSaysNothingMoreThanItMust(t *testing.T) {
	r := newRig(t, some)
	m := new(wire.Msg).SetQuestion("TeXt.ExAmPle.com.", wire.TypeTXT)
	m.Id, m.CheckingDisabled, m.AuthenticatedData = 0x5ec7, true, true
	m.SetEdns0(777, true)
	o := m.IsEdns0()
	o.Option = append(o.Option, &wire.EDNS0_SUBNET{Code: wire.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: net.IPv4(10, 1, 2, 3)},
		&wire.EDNS0_LOCAL{Code: 65001, Data: []byte("stolen data")}, &wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "0123456789abcdef"})
	c := &wire.Client{Timeout: 10 * time.Second}
	if a, _, err := c.Exchange(m, r.addr); err != nil || a.Id != 0x5ec7 || len(a.Answer) != 1 {
		t.Fatalf("%v, %v", a, err)
	}
	for _, q := range r.up.questions() {
		o := q.IsEdns0()
		if q.Question[0].Name != "text.example.com." || q.Id == 0x5ec7 || q.CheckingDisabled || q.AuthenticatedData || o == nil || len(o.Option) > 0 || o.Do() || o.UDPSize() != 1232 || len(q.Extra) != 1 {
			t.Errorf("asked: %v", &q)
		}
	}
}

func TestNamesOfThisSideAreAnsweredHere(t *testing.T) {
	r := newRig(t, "version: 1\ndefault: allow\nrules:\n  - {name: corp, to: \"*.corp.internal\", verdict: allow}\n")
	for name, want := range map[string]string{"localhost": "127.0.0.1", "a.b.localhost": "127.0.0.1"} {
		if a := addresses(r.ask(t, name, wire.TypeA)); len(a) != 1 || a[0].String() != want {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a := addresses(r.ask(t, "LOCALHOST", wire.TypeAAAA)); len(a) != 1 || !a[0].IsLoopback() {
		t.Errorf("localhost: %v", a)
	}
	for _, name := range []string{"printer", "www.example.com.localdomain", "host.lan", "x.onion", "x.local", "x.test", "db.internal", "x.alt", "use-application-dns.net", "_dns.resolver.arpa"} {
		if m := r.ask(t, name, wire.TypeA); m.Rcode != wire.RcodeNameError {
			t.Errorf("%s: %s, %v", name, wire.RcodeToString[m.Rcode], m.Answer)
		}
	}
	if a := addresses(r.ask(t, "db.corp.internal", wire.TypeA)); len(a) != 1 || !synthetic.Is(a[0]) {
		t.Errorf("a name that the policy names: %v", a)
	}
	standIn := addresses(r.ask(t, "api.example.com", wire.TypeA))[0]
	standIn6 := addresses(r.ask(t, "api.example.com", wire.TypeAAAA))[0]
	for a, want := range map[string]string{standIn.String(): "api.example.com.", standIn6.String(): "api.example.com.", "127.0.0.1": "localhost.", "::1": "localhost."} {
		name, err := wire.ReverseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		if m := r.ask(t, name, wire.TypePTR); len(m.Answer) != 1 || m.Answer[0].(*wire.PTR).Ptr != want {
			t.Errorf("%s: %v", name, m)
		}
	}
	for _, name := range []string{"1.2.0.192.in-addr.arpa", "9.255.19.198.in-addr.arpa", "x.in-addr.arpa", "1.0.0.127.0.in-addr.arpa"} {
		if m := r.ask(t, name, wire.TypePTR); m.Rcode != wire.RcodeNameError {
			t.Errorf("%s: %v", name, m)
		}
	}
	if q := r.up.questions(); len(q) > 0 {
		t.Errorf("somebody was asked: %v", q)
	}
}

func TestWhatIsNoHostNameIsRefusedAndRecorded(t *testing.T) {
	r := newRig(t, "version: 1\ndefault: allow\n")
	for _, name := range []string{`da\001ta.example.com`, `a\032b.example.com`, `\255\254.example.com`, `a\.b.example.com`, "."} {
		if m := r.ask(t, name, wire.TypeA); m.Rcode != wire.RcodeRefused {
			t.Errorf("%q: %v", name, m)
		}
	}
	m := new(wire.Msg).SetQuestion("version.bind.", wire.TypeTXT)
	m.Question[0].Qclass = wire.ClassCHAOS
	if a, err := wire.Exchange(m, r.addr); err != nil || a.Rcode != wire.RcodeRefused {
		t.Errorf("%v, %v", a, err)
	}
	r.end(t)
	decided := r.log.of(call.Decided)
	if len(decided) != 6 {
		t.Errorf("%d decided records, want 6", len(decided))
	}
	for _, d := range decided {
		if d.Decision.Verdict != call.Block || strings.ContainsFunc(d.Host, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			t.Errorf("%s %q: %+v", d.Method, d.Host, d.Decision)
		}
	}
}

func TestRepetitionsShareOneRecordUnlessRefused(t *testing.T) {
	r := newRig(t, some)
	for range 50 {
		r.ask(t, "read.example.com", wire.TypeA)
	}
	for range 3 {
		r.ask(t, "denied.example.com", wire.TypeA)
		r.ask(t, "read.example.com", wire.TypeMX)
	}
	r.ask(t, "read.example.com", wire.TypeAAAA)
	r.end(t)
	count := map[string]int{}
	byID := map[call.ID]call.Record{}
	for _, d := range r.log.of(call.Decided) {
		count[d.Method+" "+d.Host+" "+d.Decision.Verdict.String()]++
		byID[d.ID] = d
		if d.Listener != "dns" || d.Protocol != "dns" || d.Port != 53 || d.Scheme != "dns" || d.Target != d.Host || d.Grade != call.Sealed || d.Caller.Session != session1 {
			t.Errorf("%+v", d)
		}
	}
	for what, want := range map[string]int{"A read.example.com allow": 1, "AAAA read.example.com allow": 1, "A denied.example.com block": 3, "MX read.example.com block": 3} {
		if count[what] != want {
			t.Errorf("%s: %d records, want %d", what, count[what], want)
		}
	}
	closed := r.log.of(call.Closed)
	if len(closed) != len(byID) {
		t.Errorf("%d closed of %d", len(closed), len(byID))
	}
	for _, c := range closed {
		d, want := byID[c.ID], int64(0)
		if d.Method == "A" && d.Host == "read.example.com" {
			want = 50
		}
		if c.Outcome.Times != want {
			t.Errorf("%s %s: asked %d times, want %d", d.Method, d.Host, c.Outcome.Times, want)
		}
	}
}

func TestAChangeOfMindReachesRepetitions(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"policy":     func(r *rig) { install(t, r.Gate, blockAll) },
		"quarantine": func(r *rig) { r.Gate.Quarantine(session1, "ada", "because") },
		"kill":       func(r *rig) { r.Gate.Kill(kill.Notice{By: "ada", How: "hand", Why: "because"}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, some)
			r.ask(t, "read.example.com", wire.TypeA)
			change(r)
			if a := addresses(r.ask(t, "read.example.com", wire.TypeA)); len(a) != 1 {
				t.Error("the client gets no address, to which it would be told why")
			}
			if m := r.ask(t, "text.example.com", wire.TypeTXT); m.Rcode != wire.RcodeRefused {
				t.Errorf("%v", m)
			}
			d := r.log.of(call.Decided)
			if len(d) != 3 || d[0].Decision.Verdict != call.Allow || d[1].Decision.Verdict != call.Block || d[2].Decision.Verdict != call.Block {
				t.Errorf("%d records: %+v", len(d), d)
			}
			r.end(t)
			closed := r.log.of(call.Closed)
			if len(closed) != 3 {
				t.Errorf("%d closed records, want 3", len(closed))
			}
			for _, c := range closed {
				if c.Outcome.Aborted {
					t.Errorf("a question that was answered is recorded as broken off: %+v", c)
				}
			}
		})
	}
}

func TestAFullTableIsSaidAndGivesNoWrongName(t *testing.T) {
	r := newRig(t, "version: 1\ndefault: allow\n", func(s *dns.Server) { s.Names, s.Rate = &synthetic.Table{Size: 3}, 1000 })
	for i := range 5 {
		m := r.ask(t, fmt.Sprintf("n%d.example.com", i), wire.TypeA)
		if i < 3 && len(m.Answer) != 1 || i >= 3 && m.Rcode != wire.RcodeServerFailure {
			t.Errorf("name %d: %v", i, m)
		}
	}
}

func TestTenThousandNamesStayBounded(t *testing.T) {
	r := newRig(t, "version: 1\ndefault: allow\n", func(s *dns.Server) { s.Rate = 1 << 20 })
	c, err := net.Dial("tcp", r.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	seen := map[netip.Addr]bool{}
	conn := &wire.Conn{Conn: c}
	for i := range 10_000 {
		m := new(wire.Msg).SetQuestion(fmt.Sprintf("n%d.example.com.", i), wire.TypeA)
		if err := conn.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		a, err := conn.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range addresses(a) {
			seen[x] = true
		}
	}
	if len(seen) != 10_000 || r.Names.Len() != 10_000 {
		t.Errorf("%d addresses, %d names", len(seen), r.Names.Len())
	}
	if n := 10_000 - len(r.log.of(call.Closed)); n > 4096 {
		t.Errorf("%d calls wait for repetitions", n)
	}
}

func TestAFloodIsDroppedAndOthersAreServed(t *testing.T) {
	who := func(peer net.Addr) call.Caller {
		return call.Caller{Session: call.SessionID(peer.(*net.UDPAddr).IP.String()), SessionMark: call.Observed}
	}
	r := newRig(t, blockAll, func(s *dns.Server) { s.Rate, s.Caller = 1, who })
	from := func(ip string, name string) error {
		c := &wire.Client{Timeout: 300 * time.Millisecond, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(ip)}, Timeout: time.Second}}
		_, _, err := c.Exchange(new(wire.Msg).SetQuestion(name, wire.TypeA), r.addr)
		return err
	}
	lost := 0
	for i := range 6 {
		if from("127.0.0.1", fmt.Sprintf("n%d.example.com.", i)) != nil {
			lost++
		}
	}
	if lost == 0 || r.Dropped() == 0 {
		t.Errorf("%d of 6 lost, %d dropped", lost, r.Dropped())
	}
	if err := from("127.0.0.2", "other.example.com."); err != nil {
		t.Errorf("another client is not served: %v", err)
	}
}

func TestAnswersFitAndTheRestComesOverTCP(t *testing.T) {
	r := newRig(t, some)
	long := strings.Repeat("x", 200)
	r.up.reply(func(q *wire.Msg) *wire.Msg {
		m := new(wire.Msg).SetReply(q)
		for range 20 {
			m.Answer = append(m.Answer, &wire.TXT{Hdr: wire.RR_Header{Name: q.Question[0].Name, Rrtype: wire.TypeTXT, Class: wire.ClassINET}, Txt: []string{long}})
		}
		return m
	})
	for _, size := range []uint16{0, 512, 1232, 4096} {
		m := new(wire.Msg).SetQuestion("text.example.com.", wire.TypeTXT)
		if size > 0 {
			m.SetEdns0(size, false)
		}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("udp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write(b)
		buf := make([]byte, 8192)
		n, err := c.Read(buf)
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		if limit := min(max(int(size), 512), 1232); n > limit || buf[2]&2 == 0 {
			t.Errorf("size %d: %d bytes, truncated: %v", size, n, buf[2]&2 != 0)
		}
	}
	if m := exchange(t, "tcp", r.tcp.Addr().String(), "text.example.com", wire.TypeTXT); len(m.Answer) != 20 || m.Truncated {
		t.Errorf("over TCP: %d records", len(m.Answer))
	}
}

func TestARefusalFitsIntoTheSmallestAnswer(t *testing.T) {
	r := newRig(t, blockAll)
	name := strings.Repeat(strings.Repeat("a", 49)+".", 5) + "de."
	m := new(wire.Msg).SetQuestion(name, wire.TypeTXT)
	m.SetEdns0(512, false)
	b, _ := m.Pack()
	c, err := net.Dial("udp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write(b)
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil || n > 512 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	var a wire.Msg
	if err := a.Unpack(buf[:n]); err != nil || a.Rcode != wire.RcodeRefused {
		t.Errorf("%v, %v", &a, err)
	}
}

func TestBrokenConnectionsHarmNobody(t *testing.T) {
	r := newRig(t, some)
	for _, b := range [][]byte{{}, {0}, {0, 5, 1, 2}, {0, 0}, {0xff, 0xff, 1}, append([]byte{0, 12}, make([]byte, 12)...)} {
		c, err := net.Dial("tcp", r.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Write(b)
		c.(*net.TCPConn).CloseWrite()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		got, err := io.ReadAll(c)
		if err != nil || len(got) > 0 && int(binary.BigEndian.Uint16(got)) != len(got)-2 {
			t.Errorf("%x: %x, %v", b, got, err)
		}
		c.Close()
	}
	if m := exchange(t, "tcp", r.tcp.Addr().String(), "read.example.com", wire.TypeA); len(m.Answer) != 1 {
		t.Errorf("afterwards: %v", m)
	}
}

// Without a sandbox there are no stand-ins.
func TestRealAddressesAreToldOnlyOfWhatPolicyAdmits(t *testing.T) {
	const text = `version: 1
default: block
rules:
  - {name: read, to: [read.example.com, inside.example.com, nowhere.example.com], method: GET, verdict: allow}
`
	var f *forward.Forwarder
	r := newRig(t, text, func(s *dns.Server) {
		f = forward.New(forward.Options{Resolver: resolver{"read.example.com": "93.184.216.34 2606:2800:220:1::1", "denied.example.com": "93.184.216.35", "inside.example.com": "10.0.0.7"}})
		s.Names, s.Upstream = nil, f
	})
	t.Cleanup(f.Close)
	if a := addresses(r.ask(t, "read.example.com", wire.TypeA)); len(a) != 1 || a[0].String() != "93.184.216.34" {
		t.Errorf("%v", a)
	}
	if m := r.ask(t, "read.example.com", wire.TypeAAAA); len(m.Answer) != 1 || m.Answer[0].Header().Ttl > 30 {
		t.Errorf("%v", m)
	}
	m := r.ask(t, "denied.example.com", wire.TypeA)
	if code, text := told(m); m.Rcode != wire.RcodeRefused || code != 15 || !strings.Contains(text, "not allowed") {
		t.Errorf("%v", m)
	}
	m = r.ask(t, "inside.example.com", wire.TypeA)
	if code, text := told(m); m.Rcode != wire.RcodeRefused || code != 15 || !strings.Contains(text, "private network") {
		t.Errorf("%v", m)
	}
	if m := r.ask(t, "nowhere.example.com", wire.TypeA); m.Rcode != wire.RcodeNameError {
		t.Errorf("%v", m)
	}
	r.end(t)
	for _, c := range r.log.of(call.Closed) {
		if c.Decision != nil && c.Decision.Code != "destination_ip_prohibited" {
			t.Errorf("%+v", c)
		}
	}
}

// Somebody whose questions all wait for a slow name server, and who holds as many
// connections as he gets, takes nothing from others.
func TestOneClientCannotTakeItAll(t *testing.T) {
	who := func(peer net.Addr) call.Caller {
		host, _, _ := net.SplitHostPort(peer.String())
		return call.Caller{Session: call.SessionID(host), SessionMark: call.Observed}
	}
	r := newRig(t, "version: 1\ndefault: allow\nrules:\n  - {name: all, protocol: dns, verdict: allow}\n", func(s *dns.Server) { s.Rate, s.Caller = 1<<20, who })
	release := make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	r.up.reply(func(q *wire.Msg) *wire.Msg {
		if strings.HasPrefix(q.Question[0].Name, "slow") {
			<-release
		}
		return new(wire.Msg).SetReply(q)
	})
	greedy, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9)}, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(r.addr)))
	if err != nil {
		t.Fatal(err)
	}
	defer greedy.Close()
	for i := range 400 {
		b, _ := new(wire.Msg).SetQuestion(fmt.Sprintf("slow%d.example.com.", i), wire.TypeTXT).Pack()
		greedy.Write(b)
		if i%50 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	for range 300 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: 5 * time.Second}
		c, err := d.Dial("tcp", r.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if m := r.ask(t, "quick.example.com", wire.TypeTXT); m.Rcode != 0 {
		t.Errorf("over UDP: %v", m)
	}
	if m := exchange(t, "tcp", r.tcp.Addr().String(), "quick2.example.com", wire.TypeTXT); m.Rcode != 0 {
		t.Errorf("over TCP: %v", m)
	}
	if r.Dropped() == 0 {
		t.Error("nothing was dropped: the test shows nothing")
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("work", func(t *testing.T) {
		r := newRig(t, some)
		for i := range 20 {
			r.ask(t, fmt.Sprintf("n%d.example.com", i), wire.TypeA)
			r.ask(t, "text.example.com", wire.TypeTXT)
		}
		exchange(t, "tcp", r.tcp.Addr().String(), "read.example.com", wire.TypeA)
	})
	goleak.VerifyNone(t, before)
}
