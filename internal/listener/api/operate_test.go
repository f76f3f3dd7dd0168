package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/kill"
	"outvet/internal/listener/api"
	"outvet/internal/policy"
	"outvet/internal/session"
)

var someMetrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "outvet_killed 0\n") })

// A log that can be made to fail, in both ways that a log has.
type log struct{ full, untiled atomic.Bool }

func (l *log) Write(*call.Record) error {
	if l.full.Load() {
		return errors.New("write /var/lib/outvet/log/wal: no space left on device")
	}
	return nil
}

func (l *log) Health() error {
	if l.untiled.Load() {
		return errors.New("sign: permission denied")
	}
	return nil
}

func newGate(t *testing.T) (*gate.Gate, *log) {
	t.Helper()
	l := &log{}
	g := &gate.Gate{Sessions: &session.Table{}, Log: l, Switch: &kill.Switch{Dir: t.TempDir()}}
	p, err := policy.Load(t.Context(), policy.Options{Name: "p", Text: []byte("version: 1\ndefault: allow\n")})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Install(p, nil, "test"); err != nil {
		t.Fatal(err)
	}
	return g, l
}

const check = `{"http":{"method":"GET","url":"https://a.example/"}}`

func TestKillAndLiftByTheConsole(t *testing.T) {
	g, _ := newGate(t)
	if status, body := ask(t, g, "POST", "/v1/kill", `{"why":"odd"}`, nil); status != 400 || !strings.Contains(body, "by") {
		t.Errorf("%d %s", status, body)
	}
	if _, body := ask(t, g, "GET", "/v1/kill", "", nil); body != `{"killed":false}`+"\n" {
		t.Errorf("%s", body)
	}
	if status, body := ask(t, g, "POST", "/v1/kill", `{"by":"ada","why":"odd"}`, nil); status != 200 || !strings.Contains(body, `"killed":true,"by":"ada","how":"the console","why":"odd"`) {
		t.Errorf("%d %s", status, body)
	}
	if _, body := ask(t, g, "POST", "/v1/check", check, nil); !strings.Contains(body, `"code":"killed"`) {
		t.Errorf("%s", body)
	}
	if status, body := ask(t, g, "POST", "/v1/kill/lift", `{"by":"bob"}`, nil); status != 200 || body != `{"killed":false}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
	if _, body := ask(t, g, "POST", "/v1/check", check, nil); !strings.Contains(body, `"verdict":"allow"`) {
		t.Errorf("%s", body)
	}
	if status, _ := ask(t, g, "POST", "/v1/kill/lift", `{"by":"bob"}`, nil); status != 409 {
		t.Errorf("%d", status)
	}
}

func TestNobodyWithoutTheTokenMovesTheSwitch(t *testing.T) {
	g, _ := newGate(t)
	for name, change := range map[string]func(*http.Request){
		"no token":     func(r *http.Request) { r.Header.Del("Authorization") },
		"a page":       func(r *http.Request) { r.Host = "evil.example" },
		"wrong method": func(r *http.Request) { r.Method = "PUT" },
	} {
		for _, path := range []string{"/v1/kill", "/v1/kill/lift"} {
			if status, _ := ask(t, g, "POST", path, `{"by":"eve"}`, change); status < 400 {
				t.Errorf("%s: %s answers %d", name, path, status)
			}
		}
	}
	if n, _ := g.Killed(); n != nil {
		t.Errorf("%+v", n)
	}
}

func TestHealthSaysOkOrWhyNotAndNoSecret(t *testing.T) {
	g, l := newGate(t)
	health := func(status int, body string) {
		t.Helper()
		s, b := ask(t, g, "GET", "/healthz", "", func(r *http.Request) { r.Header.Del("Authorization"); r.Host = "outvet.example" })
		if s != status || b != body {
			t.Errorf("%d %q, want %d %q", s, b, status, body)
		}
	}
	health(200, "ok\n")
	l.full.Store(true)
	if _, body := ask(t, g, "POST", "/v1/check", check, nil); !strings.Contains(body, "could not be recorded") {
		t.Errorf("%s", body)
	}
	health(503, "degraded: the record cannot be written\n")
	l.full.Store(false)
	health(200, "ok\n") // asking was enough to heal it
	l.untiled.Store(true)
	health(503, "degraded: the record cannot be written\n")
	l.untiled.Store(false)
	if err := g.Kill(kill.Notice{By: "ada", Why: "odd"}); err != nil {
		t.Fatal(err)
	}
	health(200, "ok\nthe kill switch is pulled: no call passes\n")
	if err := g.Lift("ada", "hand"); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(g.Switch.Dir)
	g.Look()
	health(503, "degraded: the kill switch cannot be read, so no call passes\n")
}

func TestMetricsAreForWhoKnowsTheTokenOrForAll(t *testing.T) {
	g, _ := newGate(t)
	for _, tc := range []struct {
		open  bool
		token string
		want  int
	}{{false, "", 401}, {false, token, 200}, {false, "x", 401}, {true, "", 200}} {
		s := httptest.NewServer(api.New(g, token, api.Options{Metrics: someMetrics, MetricsOpen: tc.open}))
		req, _ := http.NewRequest("GET", s.URL+"/metrics", nil)
		req.Host = "outvet.monitoring.svc:7070" // as a collector calls it
		if tc.token != "" {
			req.Header.Set("Authorization", "Bearer "+tc.token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tc.want {
			t.Errorf("open %t, token %q: %d", tc.open, tc.token, res.StatusCode)
		}
		s.Close()
	}
}
