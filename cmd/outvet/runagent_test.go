package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheAgentOfACommandLineIsFound(t *testing.T) {
	dir := t.TempDir()
	versions := filepath.Join(dir, "claude", "versions")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(versions, "2.1.9"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(versions, "2.1.9"), filepath.Join(dir, "agent")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want    string
		command []string
	}{
		{"claude", []string{"claude"}},
		{"claude", []string{filepath.Join(dir, "agent"), "-p", "hello"}},
		{"codex", []string{"npx", "@openai/codex@latest", "exec"}},
		{"codex", []string{"npx", "-y", "@openai/codex"}},
		{"gemini", []string{"env", "-i", "DEBUG=1", "gemini"}},
		{"codex", []string{"timeout", "5m", "nice", "codex"}},
		{"claude", []string{"node", "/x/node_modules/@anthropic-ai/claude-code/cli.js"}},
		{"npx", []string{"npx", "prettier", "claude"}}, // the agent is an argument of another program
		{"git", []string{"git", "clone", "claude"}},
		{"", []string{"sh", "-c", "claude"}},
		{"", []string{"/bin/true"}},
		{"", []string{""}},
	} {
		got := ""
		if a := agentOf(c.command); a != nil {
			got = a.Name
		}
		if got != c.want {
			t.Errorf("%q starts %q, want %q", c.command, got, c.want)
		}
	}
}
