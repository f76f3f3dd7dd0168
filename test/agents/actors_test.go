package agents

import (
	"os"
	"path/filepath"
	"testing"
)

// An actor is an agent as it is started. What it needs beside the environment of
// all is in prepare.
type actor struct {
	label     string // of the test; "" is name
	name      string // of the table of agents, and of its preset
	command   []string
	env       []string
	prepare   func(t *testing.T, home string)
	model     string // host of its model
	method    string // by which it calls it; "" is POST
	refused   int    // calls to a model that is refused, at most
	preset    string // added to its policy, beside its own preset
	both      bool   // it names its session to the model and to its commands alike
	telemetry string // where it tells its maker of its use; "" if it does not here
	calls     bool   // it tells its commands which tool call they run for
}

const prompt = "Do what the script says."

var actors = []actor{
	{name: "claude", telemetry: "api.anthropic.com", command: []string{"claude", "--dangerously-skip-permissions", "-p", prompt}, model: "api.anthropic.com", refused: 1,
		env: []string{"ANTHROPIC_API_KEY=sk-made-up", "IS_SANDBOX=1"}, both: true},
	{name: "codex", telemetry: "ab.chatgpt.com", command: []string{"codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
		"-c", `model="gpt-5"`, "-c", `model_provider="scripted"`, "-c", `model_providers.scripted.name="scripted"`,
		"-c", `model_providers.scripted.base_url="https://api.openai.com/v1"`, "-c", `model_providers.scripted.env_key="OPENAI_API_KEY"`,
		"-c", `model_providers.scripted.wire_api="responses"`, prompt}, model: "api.openai.com", refused: 2,
		env: []string{"OPENAI_API_KEY=sk-made-up"}, both: true, calls: true},
	{label: "codex over a WebSocket", name: "codex", command: []string{"codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
		"-c", `model="gpt-5"`, prompt}, model: "api.openai.com", refused: 2, env: []string{"CODEX_API_KEY=sk-made-up"}, both: true, calls: true, method: "GET"},
	{name: "gemini", telemetry: "play.googleapis.com", command: []string{"gemini", "--skip-trust", "-m", "gemini-2.5-flash", "--yolo", "-p", prompt}, model: "generativelanguage.googleapis.com", refused: 2,
		env: []string{"GEMINI_API_KEY=made-up"}},
	{name: "copilot", command: []string{"copilot", "--allow-all-tools", "--allow-all-urls", "-p", prompt}, model: "api.openai.com", refused: 1,
		env: []string{"COPILOT_PROVIDER_BASE_URL=https://api.openai.com/v1", "COPILOT_MODEL=scripted", "COPILOT_PROVIDER_API_KEY=made-up",
			"COPILOT_OFFLINE=true", "COPILOT_AUTO_UPDATE=false"}, preset: "opencode"}, // for the model of another provider
	{name: "opencode", command: []string{"opencode", "run", prompt}, model: "api.openai.com", refused: 2,
		env: []string{"OPENCODE_DISABLE_MODELS_FETCH=1"}, prepare: openCode},
}

func openCode(t *testing.T, home string) {
	dir := filepath.Join(home, ".config", "opencode")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := `{"autoupdate":false,"model":"scripted/scripted","provider":{"scripted":{"npm":"@ai-sdk/openai-compatible",
		"options":{"baseURL":"https://api.openai.com/v1","apiKey":"made-up"},"models":{"scripted":{"name":"scripted"}}}}}`
	if err := os.WriteFile(filepath.Join(dir, "opencode.json"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A talker is an agent that is started as a person does, who then types.
type talker struct {
	name    string
	command []string
	env     []string
	prepare func(t *testing.T, s *stage)
	begun   string // what it shows when it takes input
	leave   string // the key that ends it, typed twice
}

var interactive = []talker{
	{name: "claude", command: []string{"claude", "--allowedTools", "Bash"}, begun: "? for shortcuts", leave: "C-c", env: []string{"ANTHROPIC_API_KEY=sk-made-up"}, prepare: func(t *testing.T, s *stage) {
		write(t, filepath.Join(s.home, ".claude.json"), `{"hasCompletedOnboarding":true,"theme":"dark","customApiKeyResponses":{"approved":["sk-made-up"],"rejected":[]},
			"projects":{"`+s.work+`":{"hasTrustDialogAccepted":true,"hasCompletedProjectOnboarding":true}}}`)
	}},
	{name: "codex", command: []string{"codex"}, begun: "? for shortcuts", leave: "C-c", env: []string{"OPENAI_API_KEY=sk-made-up"}, prepare: func(t *testing.T, s *stage) {
		if err := os.Mkdir(filepath.Join(s.home, ".codex"), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(s.home, ".codex", "config.toml"), `model = "gpt-5"
model_provider = "scripted"
approval_policy = "never"
sandbox_mode = "workspace-write"
[sandbox_workspace_write]
network_access = true
[model_providers.scripted]
name = "scripted"
base_url = "https://api.openai.com/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
[projects."`+s.work+`"]
trust_level = "trusted"
`)
	}},
}
