package agents

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWhatAnAgentChangesIsLookedAtBeforeItCounts(t *testing.T) {
	a := actors[0]
	path := installed(t, a.name)
	for _, apply := range []string{"none", "all"} {
		t.Run(apply, func(t *testing.T) {
			s := newStage(t, "")
			s.flags = []string{"--fs", "review", "--apply", apply}
			s.origin.model.script = []string{"echo made > made.txt", "mkdir -p .claude && echo '{}' > .claude/settings.json", "curl -s https://allowed.example.com/first"}
			out, err := s.sealed(t, a, path)
			if err != nil || !strings.Contains(out, finished) {
				t.Fatalf("the agent did not finish: %v\n%s%s", err, out, s.table)
			}
			s.told(t, "", "", "origin got GET /first")
			for _, file := range []string{"made.txt", ".claude/settings.json"} {
				if !strings.Contains(s.table, file) {
					t.Errorf("the end does not tell of %s:\n%s", file, s.table)
				}
				if _, err := os.Stat(filepath.Join(s.work, file)); (err == nil) != (apply == "all") {
					t.Errorf("with --apply %s, of %s there is: %v", apply, file, err)
				}
			}
		})
	}
}

// nobody is an ordinary user.
const nobody = 65534

func TestAgentsOfAnOrdinaryUserFinishAsWell(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user; the other tests are by one")
	}
	for _, a := range actors {
		t.Run(a.name+" "+a.label, func(t *testing.T) {
			path := installed(t, a.name)
			s := newStage(t, policyOf(t, a, scriptRules))
			if a.prepare != nil {
				a.prepare(t, s.home)
				a.prepare = nil
			}
			s.own(t, nobody)
			out, err := s.sealed(t, a, path)
			if err != nil && strings.Contains(s.table, "cannot seal this command") {
				t.Skipf("ordinary users cannot make sandboxes here: %s", s.table)
			}
			s.finished(t, a, out, err)
		})
	}
}

// own gives the stage to a user, who then runs outvet.
func (s *stage) own(t *testing.T, uid int) {
	t.Helper()
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	top := filepath.Dir(s.state)
	err := filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAConversationIsGoneWithTheSandboxUnlessItsFolderIsLive(t *testing.T) {
	a := actors[0]
	path := installed(t, a.name)
	for _, live := range []bool{false, true} {
		s := newStage(t, "")
		kept := filepath.Join(s.home, ".claude")
		if err := os.Mkdir(kept, 0o700); err != nil {
			t.Fatal(err)
		}
		if live {
			s.flags = []string{"--live", kept}
		}
		s.origin.model.script = nil
		if out, err := s.sealed(t, a, path); err != nil || !strings.Contains(out, finished) {
			t.Fatalf("the agent did not finish: %v\n%s%s", err, out, s.table)
		}
		found, err := filepath.Glob(filepath.Join(kept, "projects", "*", "*.jsonl"))
		if err != nil || len(found) > 0 != live {
			t.Errorf("with its folder live %t, of the conversation there is %q", live, found)
		}
	}
}
