package siege

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"outvet/test/process"
)

// Wrong command lines and what a newcomer must read.
func TestWrongCommandLinesAreToldApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/bad.yaml", "version: 1\nrules:\n  - {name: a, to: x.example, verdikt: allow}\n")
	write(t, dir+"/tabs.yaml", "version: 1\nrules:\n\t- a\n")
	write(t, dir+"/empty.yaml", "")
	write(t, dir+"/good.yaml", allowing)
	write(t, dir+"/binary.yaml", "\x00\x01\xff\xfe")
	write(t, dir+"/fails.yaml", allowing+"tests:\n  - {block: \"GET https://ok.example/\"}\n")
	write(t, dir+"/notpem.pem", "x")
	os.Mkdir(dir+"/empty-state", 0o700)
	os.Mkdir(dir+"/folder", 0o700)
	busy := listenBusy(t)
	for _, c := range []struct {
		args string
		code int
		want string // in standard error
	}{
		{"nonsense", 2, "nonsense"},
		{"serv", 2, "serve"}, // did you mean
		{"--nonsense", 2, "--nonsense"},
		{"serve extra", 2, "extra"},
		{"serve --policy none.yaml --state s", 2, "none.yaml"},
		{"serve --policy folder --state s", 2, "folder"},
		{"serve --policy bad.yaml --state s", 2, "bad.yaml:3:"},
		{"serve --policy bad.yaml --state s", 2, "verdict"}, // the nearest word
		{"serve --policy tabs.yaml --state s", 2, "tabs.yaml:3"},
		{"serve --policy empty.yaml --state s", 2, "empty.yaml"},
		{"serve --policy binary.yaml --state s", 2, "binary.yaml"},
		{"serve --policy fails.yaml --state s", 2, "fails.yaml"},
		{"serve --preset nonsense --state s", 2, "strict"},
		{"serve --policy good.yaml --preset strict --state s", 2, "preset"},
		{"serve --policy good.yaml --state s --listen nonsense", 2, "--listen"},
		{"serve --policy good.yaml --state s --listen 127.0.0.1:99999", 2, "--listen"},
		{"serve --policy good.yaml --state s --console 0 --listen 127.0.0.1:0", 2, "--console"},
		{"serve --policy good.yaml --state s --listen " + busy, 2, "in use"},
		{"serve --policy good.yaml --state s --upstream-ca none.pem", 2, "none.pem"},
		{"serve --policy good.yaml --state s --upstream-ca notpem.pem", 2, "notpem.pem"},
		{"serve --policy good.yaml --state s --connect-to a:b", 2, "--connect-to"},
		{"serve --policy good.yaml --state good.yaml", 125, "good.yaml"},
		{"serve --policy good.yaml --state /proc/outvet", 125, "/proc/outvet"},
		{"check", 2, "METHOD"},
		{"check GET", 2, "URL"},
		{"check GET nonsense --policy good.yaml", 2, "nonsense"},
		{"check GET ftp://x.example/ --policy good.yaml", 2, "ftp"},
		{"check GET http:///x --policy good.yaml", 2, "http:///x"},
		{"check GET http://ok.example/ --policy good.yaml -H nonsense", 2, "nonsense"},
		{"check POST http://ok.example/ --policy good.yaml --data @none", 2, "none"},
		{"check GET https://ok.example/ --policy good.yaml", 0, ""},
		{"check GET https://blocked.example/ --policy good.yaml", 1, ""},
		{"why", 2, "ID"},
		{"why K7Q2XM --state none", 2, "--state"},
		{"log tail --state none", 2, "--state"},
		{"log search --state empty-state", 2, "--state"},
		{"log search --state none verdict:", 2, "verdict"},
		{"log search --state none nonsense:x", 2, "nonsense"},
		{"log search --state none (host:a", 2, ""},
		{"log search --state none bytes>ten", 2, "ten"},
		{"log verify --state none", 2, "--state"},
		{"log verify --state none --proof none.proof", 2, "none.proof"},
		{"log verify --proof bad.yaml --key x", 2, "--key"},
		{"log prove", 2, "ID"},
		{"log show x y", 2, "ID"},
		{"log nonsense", 2, "nonsense"},
		{"log tail --state none -n -5", 2, ""},
		{"session list --state none", 2, "outvet serve"},
		{"session nonsense", 2, "nonsense"},
		{"policy test fails.yaml", 1, ""},
		{"policy test none.yaml", 2, "none.yaml"},
		{"policy test fails.yaml -o nonsense", 2, "nonsense"},
		{"policy lint bad.yaml", 2, "bad.yaml:3:"},
		{"policy lint good.yaml", 1, ""},
		{"policy schema", 0, ""},
		{"policy nonsense", 2, "nonsense"},
		{"init --preset nonsense", 2, ""},
		{"man --dir /proc/none", 125, "/proc/none"},
		{"version x", 2, "x"},
		{"version", 0, ""},
	} {
		code, out, errs := program(t, dir, nil, binary, strings.Fields(c.args)...)
		text := fmt.Sprintf("exit %d, want %d and %q\n%s%s", code, c.code, c.want, out, errs)
		hold(t, "code/"+c.args, code == c.code, "%s", text)
		hold(t, "says/"+c.args, strings.Contains(errs, c.want) && !strings.Contains(errs, "goroutine "), "%s", text)
		if code == 2 || code == 125 {
			hold(t, "voice/"+c.args, strings.HasPrefix(errs, "outvet: ") || strings.Contains(errs, "\noutvet: "), "%s", text)
			hold(t, "quiet/"+c.args, out == "", "an error is also on standard output: %s", text)
		}
	}
	code, _, errs := program(t, dir, nil, binary, "check", "GET", "https://ok.example/", "--policy", "good.yaml", "--state", "")
	hold(t, "code/empty state", code == 0 || code == 2, "%d %s", code, errs)
}

// listenBusy is an address that somebody listens on.
func listenBusy(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + listen(t, func(net.Conn) {})
}

// Every verb has help, man page, and JSON where it says so.
func TestEveryVerbExplainsItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if code, _, errs := program(t, dir, nil, binary, "man", "--dir", "man"); code != 0 {
		t.Errorf("man: exit %d: %s", code, errs)
	}
	pages, _ := filepath.Glob(dir + "/man/*.1")
	if len(pages) < 10 {
		t.Errorf("%d man pages", len(pages))
	}
	for _, page := range pages {
		verb := strings.Split(strings.TrimSuffix(filepath.Base(page), ".1"), "-")[1:]
		code, out, errs := program(t, dir, nil, binary, append(verb, "--help")...)
		if code != 0 || !strings.Contains(out, "Usage:") || errs != "" {
			t.Errorf("%v --help: exit %d %q %s", verb, code, errs, out)
		}
		code, help, _ := program(t, dir, nil, binary, append([]string{"help"}, verb...)...)
		if code != 0 || help != out {
			t.Errorf("help %v is not %[1]v --help", verb)
		}
	}
	if man, err := exec.LookPath("man"); err == nil && len(pages) > 0 {
		if code, out, errs := program(t, dir, []string{"MANPAGER=cat"}, man, "-l", pages[0]); code != 0 || strings.Contains(errs, "warning") {
			t.Errorf("man: %d %s %s", code, out, errs)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, out, errs := program(t, dir, nil, binary, "completion", shell)
		hold(t, "completion/"+shell, code == 0 && len(out) > 500, "exit %d %s", code, errs)
		write(t, filepath.Join(dir, shell), out)
		if path, err := exec.LookPath(shell); err == nil && shell != "powershell" {
			if code, _, errs := program(t, dir, nil, path, "-n", filepath.Join(dir, shell)); code != 0 {
				t.Errorf("%s does not read its completion: %s", shell, errs)
			}
		}
	}
	code, out, _ := program(t, dir, nil, binary, "__complete", "log", "")
	hold(t, "completion/verbs", code == 0 && strings.Contains(out, "search"), "%s", out)
}

// --json is JSON, line by line, on every verb that has it; a closed pipe and
// NO_COLOR are nothing special.
func TestOutputIsForMachinesToo(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	send(t, s.Proxy, []byte("GET http://ok.example/\x1b HTTP/1.1\r\nHost: ok.example\r\n\r\n"), 2e9)
	send(t, s.Proxy, []byte("GET http://ok.example/%1b[31m%E2%80%AE HTTP/1.1\r\nHost: ok.example\r\nUser-Agent: \xc2\x9b31mx\r\nProxy-Authorization: Basic G1szMW06eA==\r\n\r\n"), 2e9)
	send(t, s.Proxy, []byte("GET http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\n\r\n"), 2e9)
	_, out, _ := outvet(t, "log", "search", "--state", dir, "--json", "host:blocked.example")
	l := parse(t, out)
	if len(l) != 1 {
		t.Fatalf("%d calls: %s", len(l), out)
	}
	id := l[0].ID
	policy := filepath.Join(filepath.Dir(dir), "policy.yaml")
	for _, line := range []string{
		"version", "check --policy " + policy + " GET https://ok.example/", "why --state " + dir + " " + id,
		"log search --state " + dir, "log tail --state " + dir, "log show --state " + dir + " " + id, "log verify --state " + dir,
		"session list --state " + dir, "policy lint " + policy, "policy test " + policy,
		"policy explain --policy " + policy + " GET https://blocked.example/", "policy schema",
	} {
		args := append(strings.Fields(line), "--json")
		code, out, errs := outvet(t, args...)
		ok := out != ""
		dec := json.NewDecoder(strings.NewReader(out))
		for ok && dec.More() {
			var v any
			ok = dec.Decode(&v) == nil
		}
		hold(t, "json/"+strings.Join(strings.Fields(strings.NewReplacer(dir, "", policy, "", id, "").Replace(line)), " "), ok, "exit %d, not JSON: %q %s", code, out, errs)
		_, plain, _ := outvet(t, args[:len(args)-1]...)
		if strings.ContainsRune(plain, 0x1b) || strings.ContainsRune(plain, 0x9b) || strings.Contains(plain, "\u202e") {
			t.Errorf("%s prints what moves the terminal: %q", line, plain)
		}
	}
	for _, line := range []string{"log search", "log tail", "policy schema", "--help"} {
		args := strings.Fields(line)
		if args[0] == "log" {
			args = append(args, "--state", dir)
		}
		cmd := exec.Command(binary, args...)
		cmd.Env = process.Environment(t.TempDir())
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err == nil {
			cmd.Stdout = full
			err := cmd.Run()
			full.Close()
			hold(t, "full output/"+line, err != nil, "nothing could be printed, and the exit code is 0")
		}
		sh := exec.Command("sh", "-c", `"$0" "$@" | true`, binary)
		sh.Args = append(sh.Args, args...)
		sh.Env = process.Environment(t.TempDir())
		if b, _ := sh.CombinedOutput(); strings.Contains(string(b), "goroutine") {
			t.Errorf("%s to a closed pipe: %s", line, b)
		}
	}
	s.stop()
}
