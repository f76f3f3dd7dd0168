package metrics

import (
	"strings"

	"outvet/call"
)

// products are what programs call themselves, before the version, and the value
// of the label for each. The list is short on purpose: it bounds the label.
var products = [...]struct{ product, name string }{
	{"claude-cli", "claude"}, {"claude-code", "claude"}, {"claude", "claude"},
	{"codex_cli_rs", "codex"}, {"codex_exec", "codex"}, {"codex", "codex"},
	{"copilot", "copilot"}, {"githubcopilot", "copilot"}, {"copilot-cli", "copilot"},
	{"geminicli", "gemini"}, {"gemini-cli", "gemini"},
	{"opencode", "opencode"}, {"cursor", "cursor"}, {"cursor-agent", "cursor"},
	{"aider", "aider"}, {"goose", "goose"}, {"cline", "cline"}, {"crush", "crush"}, {"openhands", "openhands"},
	{"curl", "curl"}, {"wget", "wget"}, {"git", "git"}, {"npm", "npm"}, {"pip", "pip"}, {"cargo", "cargo"},
	{"python-requests", "python"}, {"python-httpx", "python"}, {"python-urllib", "python"}, {"python", "python"},
	{"node", "node"}, {"node-fetch", "node"}, {"undici", "node"}, {"axios", "node"},
	{"go-http-client", "go"}, {"mozilla", "browser"},
}

const unknown = "unknown"

// agent returns the value of the label for who called. The names that are not
// claimed are taken as they are, within the bound that m sets.
func (m *Metrics) agent(a call.Attr) string {
	if a.Value == "" {
		return unknown
	}
	if a.Mark != call.Claimed {
		return m.named.one(a.Value, unknown)
	}
	product, _, _ := strings.Cut(a.Value, "/")
	for i := range products {
		if strings.EqualFold(products[i].product, product) {
			return products[i].name
		}
	}
	return unknown
}
