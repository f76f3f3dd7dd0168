package agents

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A screen is a real terminal with a shell in it.
type screen struct {
	t      *testing.T
	socket string
}

// prompting is what the shell shows when it is the terminal's again.
const prompting = "yours>"

// screenMax bounds the wait for what a terminal is to show.
const screenMax = 40 * time.Second

// newScreen starts a terminal with a shell in the workspace of s.
func newScreen(t *testing.T, s *stage, env ...string) *screen {
	t.Helper()
	path, err := exec.LookPath("tmux")
	if err != nil {
		t.Skip("no tmux is here to be the terminal")
	}
	c := &screen{t, filepath.Join(filepath.Dir(s.home), "tmux")}
	cmd := s.command(t, path, []string{"-S", c.socket, "-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "50", "sh"}, env)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v %s", err, out)
	}
	t.Cleanup(func() { c.tmux("kill-server") })
	c.line("PS1='%s '; clear", prompting)
	c.shows(prompting)
	return c
}

func (c *screen) tmux(args ...string) string {
	out, _ := exec.Command("tmux", append([]string{"-S", c.socket}, args...)...).CombinedOutput()
	return string(out)
}

// text is what stands on the screen.
func (c *screen) text() string { return c.tmux("capture-pane", "-p") }

// shows waits until text stands on the screen.
func (c *screen) shows(text string) {
	c.t.Helper()
	for end := time.Now().Add(screenMax); !strings.Contains(c.text(), text); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("the terminal does not show %q:\n%s", text, c.text())
		}
	}
}

// types types keys, by their names or as they are.
func (c *screen) types(keys ...string) { c.tmux(append([]string{"send-keys"}, keys...)...) }

// until types keys, again and again if they were not heard, until text stands on the
// screen.
func (c *screen) until(text string, keys ...string) {
	c.t.Helper()
	for end := time.Now().Add(screenMax); time.Now().Before(end) && !strings.Contains(c.text(), text); {
		for _, k := range keys {
			c.types(k)
			time.Sleep(300 * time.Millisecond)
		}
		for range 20 {
			if strings.Contains(c.text(), text) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	c.shows(text)
}

// line runs a line in the shell.
func (c *screen) line(format string, args ...any) {
	c.tmux("send-keys", "-l", fmt.Sprintf(format, args...))
	c.types("Enter")
}

func TestAnAgentHasItsTerminalAndGivesItBack(t *testing.T) {
	for _, a := range interactive {
		t.Run(a.name, func(t *testing.T) {
			path := installed(t, a.name)
			s := newStage(t, policyOf(t, actor{name: a.name}, scriptRules))
			a.prepare(t, s)
			c := newScreen(t, s, a.env...)
			c.line("stty -g > before; clear")
			var words []string
			for _, w := range append([]string{binary}, s.arguments(append([]string{path}, a.command[1:]...))...) {
				words = append(words, "'"+w+"'")
			}
			write(t, filepath.Join(s.work, "start.sh"), strings.Join(words, " ")+"\n")
			c.line(". ./start.sh; echo code=$?; stty -g > after")
			c.shows(a.begun)
			time.Sleep(time.Second) // it forgets keys that come while it begins
			c.tmux("send-keys", "-l", prompt)
			time.Sleep(time.Second) // what comes at once was pasted
			c.until(finished, "Enter")
			c.until("code=0", a.leave, a.leave)
			c.shows("Session " + session)
			t.Log(c.text())
			s.told(t, "origin got GET /first", "Blocked by egress policy", "origin got POST /third")
			c.line("test -s before && cmp before after && echo restored $((40+2))")
			c.shows("restored 42")
			if c.tmux("display-message", "-p", "#{alternate_on}#{mouse_any_flag}#{cursor_flag}") != "001\n" {
				t.Errorf("the terminal is not as it was: %s", c.tmux("display-message", "-p", "#{alternate_on}#{mouse_any_flag}#{cursor_flag}"))
			}
		})
	}
}
