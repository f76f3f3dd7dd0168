package operate

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// bash completes a command line in a real bash and returns what it offers.
func bash(t *testing.T, home, line string) []string {
	t.Helper()
	const script = `
. /usr/share/bash-completion/bash_completion
. <(outvet completion bash)
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
IFS=' ' read -r -a COMP_WORDS <<< "$1"
case $1 in *' ') COMP_WORDS+=('') ;; esac
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
compopt() { :; }
__start_outvet
printf '%s\n' "${COMPREPLY[@]}"
`
	return shell(t, home, "bash", "--norc", "-c", script, "bash", line)
}

func shell(t *testing.T, home string, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "XDG_STATE_HOME=" + home, "TERM=dumb", "PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var words []string
	for line := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		word, _, _ = strings.Cut(word, "  ") // bash puts descriptions behind
		if word != "" {
			words = append(words, word)
		}
	}
	return words
}

// evil is the name of a session that an agent chose for whoever completes it.
const evil = "$(touch pwned)"

// TestRealBashCompletes asks bash for commands, flags and what the record holds.
func TestRealBashCompletes(t *testing.T) {
	if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); err != nil {
		t.Skip("no bash-completion here")
	}
	home := t.TempDir()
	state := filepath.Join(home, "outvet")
	s := start{state: state, args: newOrigin(t, ok).args()}.serve(t)
	for _, session := range []string{"run-7", "run-8", "other", evil, "a`touch pwned`", "-x"} {
		c := client(t, s.Proxy, state)
		c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: s.Proxy, User: url.UserPassword(session, "x")})
		if _, err := get(c, "https://example.com/"+url.PathEscape(evil)); err != nil {
			t.Fatal(err)
		}
	}
	outvet(t, "session", "quarantine", "--state", state, "run-8", "--why", evil)
	for line, want := range map[string][]string{
		"outvet ki":                     {"kill"},
		"outvet serve --pre":            {"--preset"},
		"outvet serve --preset st":      {"strict"},
		"outvet serve --log-level w":    {"warn"},
		"outvet session quarantine r":   {"run-7"},
		"outvet session release ":       {"run-8"},
		"outvet session release run-8 ": nil,
		"outvet policy show ba":         {"balanced"},
		"outvet check PO":               {"POST"},
		"outvet log search hos":         {"host:"},
		"outvet ca rotate --fin":        {"--finish"},
		"outvet kill --re":              {"--reason"},
		"outvet health nothing":         nil,
	} {
		if got := bash(t, home, line); !slices.Equal(got, want) {
			t.Errorf("%q offers %q, want %q", line, got, want)
		}
	}
	if got := bash(t, home, "outvet session quarantine "); !slices.Equal(got, []string{"other", "run-7"}) {
		t.Errorf("sessions: %q", got)
	}
	ids := bash(t, home, "outvet why ")
	if len(ids) != 6 {
		t.Errorf("calls: %q", ids)
	}
	if got := bash(t, home, "outvet why "+ids[0][:5]); !slices.Contains(got, ids[0]) {
		t.Errorf("%q", got)
	}
	if found, _ := filepath.Glob(filepath.Join(home, "*pwned*")); found != nil {
		t.Error("completing ran what an agent wrote")
	}
}

func TestFishAndZshTakeTheirScripts(t *testing.T) {
	home := t.TempDir()
	if _, err := exec.LookPath("fish"); err == nil {
		if got := shell(t, home, "fish", "--no-config", "-c", "outvet completion fish | source; complete -C 'outvet serve --preset s'"); !slices.Equal(got, []string{"strict"}) {
			t.Errorf("fish offers %q", got)
		}
	}
	if _, err := exec.LookPath("zsh"); err == nil {
		got := shell(t, home, "zsh", "-f", "-c", "autoload -U compinit; compinit -u -D; source <(outvet completion zsh); print $_comps[outvet]")
		if !slices.Equal(got, []string{"_outvet"}) {
			t.Errorf("zsh has %q", got)
		}
	}
}

func TestHelpSaysHowToInstallCompletion(t *testing.T) {
	for _, sh := range []string{"bash", "zsh", "fish"} {
		if out, code := outvet(t, "completion", sh, "--help"); code != 0 || !strings.Contains(out, "outvet completion "+sh) {
			t.Errorf("%s: %s", sh, out)
		}
	}
}
