package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outvet/call"
)

// say runs a command line in a home of its own and returns what it says.
func say(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e strings.Builder
	code = run(context.Background(), args, terminal{strings.NewReader(""), &o, &e})
	return code, o.String(), e.String()
}

func TestBadCommandLineIsToldWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	t.Chdir(t.TempDir())
	state := filepath.Join(t.TempDir(), "state")
	if err := os.MkdirAll(filepath.Join(state, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("a.yaml", []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for line, want := range map[string][]string{
		"serve --drain -5s":                                 {"--drain", "negative"},
		"serve --drain 5":                                   {"--drain", "30s"},
		"serve --max-connections 0":                         {"--max-connections", "at least 1"},
		"serve --max-connections many":                      {"--max-connections", "whole number"},
		"serve --state S2 --preset strict --listen x":       {"--listen x: missing port", "127.0.0.1:8088"},
		"serve --state S2 --preset strict --listen " + addr: {"--listen " + addr + ": bind: address already in use", "port 0"},
		"serve --state S2 --preset strict --listen 127.0.0.1:0 --console " + addr: {"--console " + addr, "another address with --console"},
		"serve --preset nope":                  {`unknown preset "nope"`, "balanced", "observe", "strict"},
		"log search -n -1 --state S":           {"--limit", "at least 0"},
		"log tail -n -1 --state S":             {"--lines", "at least 0"},
		"log verify --key x --state S":         {"--key", "not a verifier key", "log.pub"},
		"log verify --proof a.yaml --key x":    {"--key", "not a verifier key"},
		"log verify --proof none":              {"--proof", "none"},
		"kill --lift --status --state S":       {"--lift and --status exclude each other"},
		"kill --status --reason x --state S":   {"--status and --reason exclude each other"},
		"ca rotate --finish --overlap 1h":      {"--overlap and --finish exclude each other"},
		"ca rotate --overlap -1h":              {"--overlap", "negative"},
		"completion cmd":                       {`outvet completion: unknown command or argument "cmd"`},
		"help nothing":                         {`unknown command or argument "nothing"`, "see outvet --help"},
		"help log nothing":                     {`outvet log: unknown command or argument "nothing"`},
		"policy lint a.yaml --preset strict":   {"a.yaml and --preset exclude each other"},
		"check -d @none GET https://a.example": {"--data", "none"},
		"check -H x GET https://a.example":     {"-H", `"x"`},
		"check CONNECT a.example:443":          {"a.example:443", "tls://HOST:443"},
	} {
		args := strings.Fields(line)
		for i := range args {
			switch args[i] {
			case "S":
				args[i] = state
			case "S2":
				args[i] = filepath.Join(t.TempDir(), "s")
			}
		}
		code, out, err := say(t, args...)
		if code != exitUsage || out != "" {
			t.Errorf("outvet %s: exit code %d, output %q", line, code, out)
		}
		for _, w := range want {
			if !strings.Contains(err, w) {
				t.Errorf("outvet %s: says %q, want %q in it", line, err, w)
			}
		}
	}
}

func TestHelpOfACommandIsThatOfItsFlag(t *testing.T) {
	for _, of := range [][]string{{}, {"log"}, {"log", "search"}, {"completion"}} {
		code, help, _ := say(t, append([]string{"help"}, of...)...)
		_, flag, _ := say(t, append(of, "--help")...)
		if code != exitOK || help != flag || help == "" {
			t.Errorf("help %v: exit code %d\n%s\n--help says\n%s", of, code, help, flag)
		}
	}
}

func TestAddressThatIsAllowedByRuleIsCheckedAsServeDoes(t *testing.T) {
	t.Chdir(t.TempDir())
	state := t.TempDir()
	if code, out, err := say(t, "check", "--state", state, "--preset", "balanced", "GET", "http://127.1:8080/"); code != exitRefused || !strings.Contains(out, "rule    address\n") {
		t.Errorf("exit code %d\n%s%s", code, out, err)
	}
}

func TestExplanationSaysWhatIsWantedAndWhatTheCallHas(t *testing.T) {
	t.Chdir(t.TempDir())
	const text = "version: 1\ndefault: block\nrules:\n" +
		"  - {name: long, when: call.sent > 10, verdict: allow}\n" +
		"  - {name: mine, to: a.example, path: /x/**, agent: crew, verdict: allow}\n" +
		"  - {name: other, to: b.example, verdict: allow}\n"
	if err := os.WriteFile("p.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string][]string{
		"https://a.example/y":   {"when: wants call.sent > 10\n", "path: wants /x/**, has /y\n", "\n1 rule is about other destinations"},
		"https://a.example/x/y": {"agent: wants crew, has nothing known (unknown)\n"},
	} {
		code, out, err := say(t, "policy", "explain", "--state", t.TempDir(), "--policy", "p.yaml", "GET", url)
		for _, w := range want {
			if code != exitOK || !strings.Contains(out, w) {
				t.Errorf("%s: exit code %d, want %q in\n%s%s", url, code, w, out, err)
			}
		}
	}
	if _, out, _ := say(t, "policy", "explain", "--state", t.TempDir(), "--preset", "balanced", "GET", "http://127.1/"); !strings.Contains(out, "rule    address\n") {
		t.Errorf("explain differs from check:\n%s", out)
	}
}

func TestPlaceOfACallIsWrittenAsAPersonWould(t *testing.T) {
	for want, r := range map[string]call.Record{
		"a.example/x?y":        {Host: "a.example", Port: 443, Scheme: "https", Target: "/x?y"},
		"a.example:8443/":      {Host: "a.example", Port: 8443, Scheme: "https", Target: "/"},
		"a.example:443/":       {Host: "a.example", Port: 443, Scheme: "http", Target: "/"},
		"a.example/ws":         {Host: "a.example", Port: 80, Scheme: "ws", Target: "/ws"},
		"[2b00::1]:80/":        {Host: "2b00::1", Port: 80, Scheme: "https", Target: "/"},
		"a.example:443":        {Host: "a.example", Port: 443, Scheme: "tcp", Target: "a.example:443"},
		"[2b00::1]:22":         {Host: "2b00::1", Port: 22, Scheme: "tcp", Target: "[2b00::1]:22"},
		"updates.example:8443": {Host: "updates.example", Port: 8443, Scheme: "tls", Target: "updates.example:8443"},
		"send_email":           {Target: "send_email"},
	} {
		if got := whither(&r); got != want {
			t.Errorf("%+v is shown as %q, want %q", r, got, want)
		}
	}
}

func TestFailedTestOfAPolicyIsToldByTestAndLintReadsOn(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("p.yaml", []byte("version: 1\ndefault: allow\ntests:\n  - {block: \"GET https://a.example/\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	if code, out, err := say(t, "policy", "test", "--state", state, "-o", "tap", "p.yaml"); code != exitRefused || !strings.Contains(out, "not ok 1") {
		t.Errorf("policy test: exit code %d\n%s%s", code, out, err)
	}
	if code, _, err := say(t, "policy", "lint", "--state", state, "p.yaml"); strings.Contains(err, "test fails") || code == exitUsage {
		t.Errorf("policy lint: exit code %d, %s", code, err)
	}
	if code, _, err := say(t, "check", "--state", state, "--policy", "p.yaml", "GET", "https://a.example/"); code != exitUsage || !strings.Contains(err, "p.yaml:4:6: test fails") {
		t.Errorf("check: exit code %d, %s", code, err)
	}
}
