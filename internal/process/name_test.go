package process

import (
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/agent"
)

func TestProgramsAreCalledWhatPeopleCallThem(t *testing.T) {
	for _, c := range []struct {
		exe, comm, argv string // words of argv between |
		want            string
	}{
		{"/usr/bin/curl", "curl", "curl|-s|http://x", "curl"},
		{"/usr/bin/curl (deleted)", "sh", "sh", "curl"},
		{"/usr/lib/git-core/git-remote-http", "git-remote-http", "git|remote-https", "git"},
		{"/usr/bin/node", "node", "node|/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js|-p|x", "claude"},
		{"/usr/bin/node", "claude", "claude", "claude"},
		{"/usr/bin/node", "npm install", "npm install left-pad", "npm"},
		{"/usr/bin/node", "node", "node|/usr/lib/node_modules/npm/bin/npm-cli.js|ci", "npm"},
		{"/usr/bin/node", "node", "node|--max-old-space-size=4096|-r|./hook.js|/x/node_modules/@google/gemini-cli/dist/index.js", "gemini"},
		{"/usr/bin/node", "node", "node|-e|fetch(1)", "node"},
		{"/usr/bin/node", "node", "node|/srv/shop/dist/index.js", "shop"},
		{"/usr/bin/node", "node", "node|/x/node_modules/@acme/tool/lib/index.js", "tool"},
		{"/usr/bin/node", "node", "node|index.js", "index"},
		{"/usr/bin/python3.11", "python3", "python3|-m|pip|download|x", "pip"},
		{"/usr/bin/python3.11", "pip", "/usr/bin/python3|/usr/bin/pip|install|x", "pip"},
		{"/usr/bin/python3.11", "python3", "python3|-c|import os", "python"},
		{"/usr/bin/python3.11", "python3", "python3|-W|ignore|send.py", "send"},
		{"/usr/bin/bash", "bash", "bash|-c|curl x", "bash"},
		{"/usr/bin/bash", "bash", "bash|-lc|curl x", "bash"},
		{"/usr/bin/bash", "bash", "-bash", "bash"},
		{"/usr/bin/bash", "deploy.sh", "/bin/bash|./deploy.sh", "deploy.sh"},
		{"/bin/busybox", "wget", "wget|http://x", "wget"},
		{"/root/.local/share/claude/versions/2.1.332", "claude", "claude", "claude"},
		{"", "kworker", "", "kworker"},
		{"", "", "", "?"},
		{"/tmp/a < claude", "a", "a", "a_?_claude"},
		{"/tmp/" + strings.Repeat("x", 255), "x", "x", strings.Repeat("x", nameMax)},
	} {
		got, _, seen := name(c.exe, c.comm, strings.Split(c.argv, "|"))
		if got != c.want || seen != (c.exe != "") {
			t.Errorf("%s running %q is called %q (seen %v), want %q", c.exe, c.argv, got, seen, c.want)
		}
	}
}

func chainOf(names ...string) *Chain {
	c := &Chain{}
	for i, n := range names {
		c.Links = append(c.Links, Link{PID: i + 2, Name: n, Seen: true, Who: agent.Named(n)})
	}
	return c
}

func TestAChainIsShortEnoughToRead(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"curl bash claude", "curl < bash < claude"},
		{"git git bash bash claude", "git < bash < claude"},
		{"", ""},
		{"a b c d e f", "a < b < c < d < e < f"},
		{"a b c d e f g h claude", "a < b < c < … < h < claude"},
	} {
		if got := chainOf(strings.Fields(c.in)...).String(); got != c.want {
			t.Errorf("%s is shown as %q, want %q", c.in, got, c.want)
		}
	}
}

func TestTheAgentNearestToTheConnectionMadeIt(t *testing.T) {
	if a := chainOf("curl", "bash", "claude", "bash", "codex").Agent(); a == nil || a.Name != "claude" {
		t.Errorf("the agent is %v", a)
	}
	if a := chainOf("curl", "bash").Agent(); a != nil {
		t.Errorf("the agent is %v", a)
	}
	c := chainOf("curl", "bash", "claude", "zsh", "sshd")
	if c.trim(); c.String() != "curl < bash < claude" {
		t.Errorf("trimmed to %q", c)
	}
	c = chainOf("curl", "make", "zsh", "tmux", "sshd")
	if c.trim(); c.String() != "curl < make < zsh" {
		t.Errorf("trimmed to %q", c)
	}
}

func TestWhatWasSeenWinsAndWhatIsSignedStays(t *testing.T) {
	c := chainOf("curl", "bash", "claude")
	c.Session, c.ToolCall = "env-session", "call_1"
	says := c.testimony()
	who := call.Caller{Agent: call.Attr{Value: "curl/7.88"}, Conversation: call.Attr{Value: "from-header"}}
	says.tell(&who)
	if who.Agent != (call.Attr{Value: "claude", Mark: call.Observed}) || who.Process.Mark != call.Observed ||
		who.Conversation.Value != "from-header" || who.ToolCall != (call.Attr{Value: "call_1"}) {
		t.Errorf("the caller is %+v", who)
	}
	c.Links[1].Seen = false // its name is its own word
	says = c.testimony()
	who = call.Caller{Agent: call.Attr{Value: "codex", Mark: call.Signed}}
	says.tell(&who)
	if who.Agent.Value != "codex" || who.Process.Mark != call.Claimed {
		t.Errorf("the caller is %+v", who)
	}
}

func TestAnEnvironmentCannotWriteWhatItLikesIntoTheRecord(t *testing.T) {
	for _, s := range []string{"a b", "a\nb", "\x1b[2J", strings.Repeat("a", 129), "é"} {
		if got := word(s); got != "" {
			t.Errorf("%q becomes %q", s, got)
		}
	}
}
