package dns_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/inspect"
	"outvet/internal/inspect/dnstunnel"
	"outvet/internal/listener/dns"
	"outvet/internal/policy"
	"outvet/internal/session"
)

// guarded returns a rig whose gate has the inspector of names.
func guarded(t testing.TB, text string, change ...func(*dns.Server)) *rig {
	t.Helper()
	names, err := dnstunnel.Open(dnstunnel.Files{Key: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	set, err := inspect.NewSet(dnstunnel.New(dnstunnel.Options{Key: []byte("k"), Ledger: names}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(context.Background(), policy.Options{Text: []byte(text), Name: "rig.yaml", Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	l, sessions := &log{}, &session.Table{}
	sessions.OnEnd(names.Forget)
	g := &gate.Gate{Sessions: sessions, Log: l}
	if err := g.Install(p, set, "rig"); err != nil {
		t.Fatal(err)
	}
	return rigOf(t, g, l, change...)
}

// The worst policy that anybody could write: every query leaves.
const leaky = `version: 1
default: allow
include: [preset:names]
rules:
  - {name: everything, protocol: dns, verdict: allow}
`

func TestATunnelIsStoppedAndItsSessionQuarantinedUntilAPersonReleasesIt(t *testing.T) {
	r := guarded(t, leaky)
	name := func(i int) string { return fmt.Sprintf("%010x.drop-off-zone.net", uint64(i)*0x9e3779b97f) }
	for i := range 60 {
		r.ask(t, name(i), wire.TypeTXT)
	}
	if got := r.up.questions(); len(got) == 0 || len(got) > 4 {
		t.Errorf("%d names of 5 bytes left", len(got))
	}
	if r.Gate.Sessions.Stopped(&call.Caller{Session: session1}) == "" {
		t.Error("the session is not quarantined")
	}
	if m := r.ask(t, "www.example.com", wire.TypeTXT); m.Rcode != wire.RcodeRefused {
		t.Errorf("another name: %v", m)
	}
	if err := r.Gate.Release(session1, "ada"); err != nil {
		t.Fatal(err)
	}
	if m := r.ask(t, "www.example.com", wire.TypeTXT); m.Rcode != 0 || len(m.Answer) != 1 {
		t.Errorf("after the release: %v", m)
	}
	r.end(t)
	quarantined, hosts := 0, map[string]bool{}
	for _, d := range r.log.of(call.Decided) {
		if d.Decision.Quarantine {
			quarantined++
		}
		for _, f := range d.Decision.Findings {
			hosts[d.Host] = true
			if f.Kind != "dns/tunnel" || f.Score < 0.5 {
				t.Errorf("%+v", f)
			}
		}
	}
	if quarantined == 0 || len(r.log.of(call.Quarantined)) == 0 {
		t.Error("the record does not say that the session was quarantined")
	}
	for h := range hosts {
		if !strings.HasSuffix(h, "drop-off-zone.net") || strings.Contains(h, "9e37") {
			t.Errorf("the record says %q", h)
		}
	}
}

func TestAttemptsAreEvidenceAlsoWhereNothingLeaves(t *testing.T) {
	r := guarded(t, "version: 1\ndefault: block\ninclude: [preset:names]\n")
	for i := range 60 {
		if a := addresses(r.ask(t, fmt.Sprintf("%010x.drop-off-zone.net", uint64(i)*0x9e3779b97f), wire.TypeA)); len(a) != 1 {
			t.Fatalf("name %d has no address: the client is not told why", i)
		}
	}
	if r.Gate.Sessions.Stopped(&call.Caller{Session: session1}) == "" {
		t.Error("the session is not quarantined")
	}
	if n := len(r.up.questions()); n > 0 {
		t.Errorf("%d names left", n)
	}
}

func TestWhereAllIsObservedNothingIsStopped(t *testing.T) {
	r := guarded(t, "version: 1\nmode: observe\ndefault: allow\ninclude: [preset:names]\n")
	for i := range 60 {
		if m := r.ask(t, fmt.Sprintf("%010x.drop-off-zone.net", uint64(i)*0x9e3779b97f), wire.TypeTXT); m.Rcode != 0 {
			t.Fatalf("name %d: %v", i, m)
		}
	}
	d := r.log.of(call.Decided)
	if last := d[len(d)-1].Decision; !last.Observed || last.Verdict != call.Block || len(last.Findings) != 1 {
		t.Errorf("%+v", last)
	}
}
