package agent

// An Agent is one entry of the table. It is not changed.
type Agent struct {
	Name string // as people say it, in lower case; also of its preset, if it has one
	AI   bool   // it decides by itself what it calls; else a tool

	Products   []string // in lower case
	Programs   []string
	Packages   []string
	Paths      []string
	Sessions   []string // canonical header fields, the first that is there counts
	SessionVar string
	CallVar    string // ID of the tool call that a command runs for
}

// table is never written. The first entry that fits counts.
var table = [...]Agent{
	{Name: "claude", AI: true, Products: []string{"claude-cli", "claude-code", "claude"}, Programs: []string{"claude"},
		Packages: []string{"@anthropic-ai/claude-code"}, Paths: []string{"/claude/versions/", "/@anthropic-ai/claude-agent-sdk-", "/@anthropic-ai/claude-code-"},
		Sessions: []string{"X-Claude-Code-Session-Id"}, SessionVar: "CLAUDE_CODE_SESSION_ID"},
	{Name: "codex", AI: true, Products: []string{"codex_cli_rs", "codex_exec", "codex_vscode", "codex"}, Programs: []string{"codex", "codex-exec"},
		Packages: []string{"@openai/codex"}, Paths: []string{"/@openai/codex-"},
		Sessions: []string{"Session-Id", "Session_id", "Thread-Id", "Conversation_id"}, SessionVar: "CODEX_THREAD_ID", CallVar: "CODEX_TOOL_CALL_ID"},
	{Name: "gemini", AI: true, Products: []string{"geminicli", "gemini-cli"}, Programs: []string{"gemini"}, Packages: []string{"@google/gemini-cli"}},
	{Name: "copilot", AI: true, Products: []string{"copilot", "githubcopilot", "copilot-cli", "githubcopilotchat"}, Programs: []string{"copilot"},
		Packages: []string{"@github/copilot"}, Paths: []string{"/@github/copilot-"}, SessionVar: "COPILOT_AGENT_SESSION_ID"},
	{Name: "opencode", AI: true, Products: []string{"opencode"}, Programs: []string{"opencode"}, Packages: []string{"opencode-ai"},
		Sessions: []string{"X-Session-Id", "X-Session-Affinity"}},
	{Name: "cursor", AI: true, Products: []string{"cursor", "cursor-agent"}, Programs: []string{"cursor", "cursor-agent"}, SessionVar: "CURSOR_TRACE_ID"},
	{Name: "aider", AI: true, Products: []string{"aider"}, Programs: []string{"aider"}},
	{Name: "goose", AI: true, Products: []string{"goose"}, Programs: []string{"goose"}},
	{Name: "cline", AI: true, Products: []string{"cline"}, Programs: []string{"cline"}},
	{Name: "crush", AI: true, Products: []string{"crush"}, Programs: []string{"crush"}},
	{Name: "openhands", AI: true, Products: []string{"openhands"}, Programs: []string{"openhands"}},

	{Name: "curl", Products: []string{"curl"}, Programs: []string{"curl"}},
	{Name: "wget", Products: []string{"wget"}, Programs: []string{"wget"}},
	{Name: "git", Products: []string{"git"}, Programs: []string{"git", "git-remote-http", "git-remote-https", "git-lfs"}},
	{Name: "gh", Products: []string{"github cli"}, Programs: []string{"gh"}},
	{Name: "npm", Products: []string{"npm"}, Programs: []string{"npm", "npm-cli.js"}},
	{Name: "npx", Programs: []string{"npx", "npx-cli.js"}},
	{Name: "pnpm", Products: []string{"pnpm"}, Programs: []string{"pnpm", "pnpm.cjs"}},
	{Name: "yarn", Products: []string{"yarn"}, Programs: []string{"yarn", "yarn.js"}},
	{Name: "pip", Products: []string{"pip"}, Programs: []string{"pip", "pip3"}},
	{Name: "uv", Products: []string{"uv"}, Programs: []string{"uv", "uvx"}},
	{Name: "cargo", Products: []string{"cargo"}, Programs: []string{"cargo"}},
	{Name: "go", Products: []string{"go-http-client"}, Programs: []string{"go"}},
	{Name: "docker", Products: []string{"docker"}, Programs: []string{"docker"}},
	{Name: "python", Products: []string{"python-requests", "python-httpx", "python-urllib", "python", "aiohttp"}, Programs: []string{"python"}},
	{Name: "node", Products: []string{"node", "node-fetch", "undici", "axios"}, Programs: []string{"node", "nodejs"}},
	{Name: "browser", Products: []string{"mozilla"}, Programs: []string{"chrome", "chromium", "chrome-headless-shell", "chromium-headless-shell", "firefox"}},
}

// All returns the table.
func All() []*Agent {
	all := make([]*Agent, len(table))
	for i := range table {
		all[i] = &table[i]
	}
	return all
}
