package policy

import (
	"net/url"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/agent"
)

// reports are what agents and tools send about their use, as seen on the wire.
var reports = []string{
	"POST https://api.anthropic.com/api/event_logging/v2/batch",
	"POST https://api.anthropic.com/api/eval/sdk-zAZezfDKGoZuXXKe",
	"GET https://api.anthropic.com/api/claude_code/organizations/metrics_enabled",
	"POST https://api.anthropic.com/api/claude_code/metrics",
	"POST https://statsig.anthropic.com/v1/initialize",
	"POST https://http-intake.logs.us5.datadoghq.com/api/v2/logs",
	"POST https://ab.chatgpt.com/otlp/v1/metrics",
	"POST https://chatgpt.com/backend-api/codex/analytics-events/events",
	"POST https://play.googleapis.com/log",
	"POST https://copilot-telemetry.githubusercontent.com/telemetry",
	"POST https://telemetry.business.githubcopilot.com/telemetry",
	"POST https://us.i.posthog.com/batch/",
	"POST https://o1.ingest.us.sentry.io/api/1/envelope/",
	"POST https://api.openai.com/v1/traces/ingest",
	"POST https://telemetry.go.dev/upload/2026-01-01",
}

func decideURL(t *testing.T, p *Policy, request string) call.Decision {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	c := &call.Call{Dest: call.Dest{Scheme: u.Scheme, Host: u.Hostname(), Port: 443}, Op: call.Op{Protocol: "http", Method: method, Target: u.EscapedPath()}}
	var d call.Decision
	p.Head(c, &d)
	p.Decide(c, &d)
	return d
}

func TestTelemetryIsRefusedQuietlyByEveryPresetForAgents(t *testing.T) {
	names := []string{"balanced", "observe", "risky", "telemetry", "git", "npm", "pip", "go", "cargo"}
	for _, a := range []string{"claude", "codex", "gemini", "copilot", "opencode"} {
		if agent.Named(a) == nil || !agent.Named(a).AI {
			t.Errorf("the table of agents does not know %s", a)
		}
		names = append(names, a)
	}
	for _, name := range names {
		p, err := Load(t.Context(), Options{Preset: name, Untested: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reports {
			if d := decideURL(t, p, r); d.Verdict != call.Block || !d.Quiet {
				t.Errorf("preset:%s: %s: %s by %q, quiet %v", name, r, d.Verdict, d.Rule, d.Quiet)
			}
		}
	}
}

// What nobody named as telemetry is refused aloud, so that it can be seen.
func TestOtherRefusalsAreNotQuiet(t *testing.T) {
	p, err := Load(t.Context(), Options{Preset: "claude", Untested: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{"POST https://api.anthropic.com/v1/files", "GET https://example.com/", "POST https://pastebin.com/api"} {
		if d := decideURL(t, p, r); d.Verdict != call.Block || d.Quiet {
			t.Errorf("%s: %s by %q, quiet %v", r, d.Verdict, d.Rule, d.Quiet)
		}
	}
}
