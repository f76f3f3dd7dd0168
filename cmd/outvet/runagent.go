package main

import (
	"path/filepath"
	"slices"
	"strings"

	"outvet/internal/agent"
)

// starters are programs that run what their first plain argument names.
var starters = []string{"npx", "bunx", "pnpx", "uvx", "npm", "pnpm", "bun", "uv", "env", "nice", "timeout", "stdbuf", "node", "nodejs", "python", "python3"}

// shells may start any agent later, and get the key of none.
var shells = []string{"sh", "bash", "zsh", "fish", "dash", "ksh", "tmux"}

// agentOf returns whom a command line starts, as "claude", "npx @openai/codex" and
// "env DEBUG=1 gemini" do, or nil. What stands in a shell's script nobody knows.
func agentOf(command []string) (found *agent.Agent) {
	for i, word := range command {
		if i > 0 && aside(word) {
			continue
		}
		if a := agentNamed(word); a != nil && (a.AI || i == 0) {
			found = a
		}
		if found != nil && found.AI || !slices.Contains(starters, filepath.Base(word)) {
			break
		}
	}
	return found
}

// aside reports whether a word stands between a starter and what it starts.
func aside(word string) bool {
	return word == "" || word[0] == '-' || '0' <= word[0] && word[0] <= '9' || strings.Contains(word, "=") ||
		slices.Contains([]string{"exec", "dlx", "x", "tool", "run"}, word)
}

// agentNamed returns whose program or package has that name. An installation may be
// named after its version, and only the link to it after the agent.
func agentNamed(word string) *agent.Agent {
	for _, path := range []string{program(word), word} {
		if a := agent.ByProgram(path); a != nil {
			return a
		}
	}
	name := word
	if i := strings.LastIndexByte(name, '@'); i > 0 { // @openai/codex@latest
		name = name[:i]
	}
	return agent.ByProgram("node_modules/" + name + "/")
}
