package agent

import (
	"net/http"
	"strings"
	"testing"
)

func name(a *Agent) string {
	if a == nil {
		return ""
	}
	return a.Name
}

func TestProgramsAreKnownByWhatTheyCallThemselves(t *testing.T) {
	for said, want := range map[string]string{
		"claude-cli/2.1.332 (external, sdk-cli)": "claude",
		"Claude-CLI/9":                           "claude",
		"codex_exec/0.171.0":                     "codex",
		"codex_cli_rs/0.171.0 (Debian 12)":       "codex",
		"GeminiCLI/0.61.0/gemini-2.5-flash":      "gemini",
		"opencode/1.18":                          "opencode",
		"git/2.39.5":                             "git",
		"Go-http-client/2.0":                     "go",
		"Mozilla/5.0":                            "browser",
		"claude-cli-evil/1":                      "",
		"":                                       "",
		"/":                                      "",
		strings.Repeat("a", 500):                 "",
	} {
		if got := name(ByProduct(said)); got != want {
			t.Errorf("%q is taken for %q, want %q", said, got, want)
		}
	}
}

func TestProgramsAreKnownByWhereTheyLie(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js":                          "claude",
		"/home/u/.local/share/claude/versions/2.1.332":                                    "claude",
		"/x/node_modules/@anthropic-ai/claude-agent-sdk-linux-x64/claude":                 "claude",
		"/x/node_modules/@openai/codex/bin/codex.js":                                      "codex",
		"/x/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/rg": "codex",
		"/x/node_modules/@google/gemini-cli/dist/index.js":                                "gemini",
		"/x/node_modules/@google/gemini-cli-evil/index.js":                                "",
		"/x/node_modules/@github/copilot/index.js":                                        "copilot",
		"/x/node_modules/opencode-ai/bin/opencode":                                        "opencode",
		"/usr/lib/git-core/git-remote-https":                                              "git",
		"/usr/lib/node_modules/npm/bin/npm-cli.js":                                        "npm",
		"/usr/bin/curl": "curl",
		"/usr/bin/true": "",
		"":              "",
	} {
		if got := name(ByProgram(path)); got != want {
			t.Errorf("%s is taken for %q, want %q", path, got, want)
		}
	}
}

func TestTheSessionOfAnAgentIsReadFromItsOwnField(t *testing.T) {
	h := http.Header{}
	h.Set("X-Claude-Code-Session-Id", "c1")
	h.Set("Session-Id", "x1")
	h.Set("X-Session-Affinity", "o1")
	for who, want := range map[string]string{"claude": "c1", "codex": "x1", "opencode": "o1", "gemini": "", "nobody": ""} {
		if got := Named(who).Session(h); got != want {
			t.Errorf("the session of %s is %q, want %q", who, got, want)
		}
	}
}

func TestTheEnvironmentNamesSessionAndToolCall(t *testing.T) {
	got := FromEnvironment([]byte("HOME=/x\x00CODEX_TOOL_CALL_ID=call_1\x00XCODEX_THREAD_ID=no\x00CODEX_THREAD_ID=t1\x00CODEX_THREAD_ID=t2\x00CLAUDE_CODE_SESSION_ID=\x00odd\x00=\x00"))
	if want := (Claimed{"t1", "call_1"}); got != want {
		t.Errorf("the environment says %+v, want %+v", got, want)
	}
}

// The hot path asks for every call.
func TestAskingAllocatesNothing(t *testing.T) {
	h := http.Header{"X-Claude-Code-Session-Id": {"c1"}}
	if n := testing.AllocsPerRun(100, func() {
		if ByProduct("Claude-CLI/2.1").Session(h) != "c1" {
			t.Fatal("not known")
		}
	}); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func TestTheTableIsUnambiguous(t *testing.T) {
	names, said := map[string]bool{}, map[string]string{}
	for _, a := range All() {
		if names[a.Name] {
			t.Errorf("two entries are named %s", a.Name)
		}
		names[a.Name] = true
		for _, p := range a.Products {
			if said[p] != "" || p != strings.ToLower(p) || len(p) > longest {
				t.Errorf("the product %q of %s is doubled, not in lower case or too long", p, a.Name)
			}
			said[p] = a.Name
		}
		for _, k := range a.Sessions {
			if k != http.CanonicalHeaderKey(k) {
				t.Errorf("the field %q of %s is not canonical", k, a.Name)
			}
		}
	}
}
