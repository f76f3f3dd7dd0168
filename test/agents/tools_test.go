package agents

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tools are what developers, and agents for them, run all day: what each prints when
// it works is its name. They share the workspace, in this order.
var tools = []struct{ name, needs, script string }{
	{"settings of the home are read", "git", `git config user.name | grep -q Tester`},
	{"what is written to the home can be read again", "sh", `mkdir -p ~/.config/x ~/.cache && echo a > ~/.config/x/y && grep -q a ~/.config/x/y`},
	{"commit", "git", `echo a > a && git add a && git commit -q -m a && git log --oneline | grep -q ' a$'`},
	{"branch and push", "git", `git checkout -q -b topic && git push -q origin topic && git ls-remote origin | grep -q topic`},
	{"worktree", "git", `git worktree add -q wt -b other && cd wt && echo b > b && git add b && git commit -q -m b`},
	{"clone, and push from there", "git", `git clone -q remote.git clone && cd clone && git config x.y z && echo c > c && git add c && git commit -q -m c && git push -q`},
	{"stash and gc", "git", `echo d >> a && git stash -q && git stash pop -q && git gc -q`},
	{"a server on localhost", "node", `(node -e 'require("http").createServer((q,s)=>{s.end("up");setTimeout(()=>process.exit(),100)}).listen(5173,"localhost")' >/dev/null 2>&1 &)
		for i in 1 2 3 4 5 6 7 8 9; do curl -s http://localhost:5173/ | grep -q up && exit 0; sleep 1; done; exit 1`},
	{"npm run", "npm", `mkdir app && cd app && echo '{"scripts":{"dev":"node -p 6*7"}}' > package.json && npm run -s dev | grep -q 42`},
	{"user and interfaces", "node", `node -e 'os.userInfo(); os.networkInterfaces(); new (require("worker_threads").Worker)("1",{eval:true})'`},
	{"processes of python", "python3", `cat > m.py <<'EOF'
import multiprocessing as m
from multiprocessing import shared_memory
if __name__ == "__main__":
    q = m.Queue(); p = m.Process(target=q.put, args=(42,)); p.start(); assert q.get() == 42; p.join()
    with m.Pool(2) as pool: assert sum(pool.map(abs, [1, -2])) == 3
    s = shared_memory.SharedMemory(create=True, size=10); s.unlink(); m.Lock()
EOF
python3 m.py`},
	{"venv", "python3", `python3 -m venv --without-pip venv && venv/bin/python -c 'import ssl'`},
	{"a database in the home", "python3", `python3 -c 'import os,sqlite3; c=sqlite3.connect(os.path.expanduser("~/x.db")); assert c.execute("pragma journal_mode=wal").fetchone()[0]=="wal"; c.execute("create table t(a)")'`},
	{"shared memory", "sh", `echo x > /dev/shm/x && grep -q x /dev/shm/x`},
	{"temporary files", "sh", `test -w "$(mktemp)" && test -w "$(mktemp -p /var/tmp)"`},
	{"a terminal of one's own", "python3", `python3 -c 'import pty; pty.spawn(["tty"])' | grep -q /dev/pts/`},
	{"links and rights", "sh", `touch l && chmod 755 l && ln l m && ln -s l n && mv m o && test -x o`},
	{"a sandbox in the sandbox", "bwrap", `bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all true`},
	{"watching files", "python3", `python3 -c 'import ctypes; assert ctypes.CDLL(None).inotify_init() >= 0'`},
	{"what others obey stays as it is", "git", `! git config core.fsmonitor evil && ! sh -c 'echo evil > .git/hooks/pre-commit' && ! grep -q evil .git/config`},
}

func TestWhatDevelopersRunWorksSealed(t *testing.T) {
	for name, uid := range map[string]int{"as whoever runs the tests": 0, "as an ordinary user": nobody} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "")
			write(t, filepath.Join(s.home, ".gitconfig"), "[user]\nname = Tester\nemail = t@example.com\n[init]\ndefaultBranch = main\n")
			prepare := "set -e; git init -q .; git commit -q --allow-empty -m first; git init -q --bare remote.git; git remote add origin \"$PWD/remote.git\"; git push -q origin HEAD\n"
			if out, err := s.command(t, "sh", []string{"-c", prepare}, nil).CombinedOutput(); err != nil {
				t.Skipf("no git is here: %v %s", err, out)
			}
			var all strings.Builder
			for i, tool := range tools {
				write(t, filepath.Join(s.work, ".tool"+string(rune('a'+i))), tool.script+"\n")
				all.WriteString("(sh .tool" + string(rune('a'+i)) + ") </dev/null && echo '" + strings.ReplaceAll(tool.name, "'", `'\''`) + "'\n")
			}
			write(t, filepath.Join(s.work, "all.sh"), all.String())
			if uid != 0 {
				if os.Getuid() == 0 {
					s.own(t, uid)
				} else {
					t.Skip("only root can become another user")
				}
			}
			out, err := s.run(t, []string{"sh", "all.sh"})
			if strings.Contains(s.table, "cannot seal this command") {
				t.Skip(s.table)
			}
			t.Log(s.table)
			for _, tool := range tools {
				if _, missing := exec.LookPath(tool.needs); missing == nil && !strings.Contains("\n"+out, "\n"+tool.name+"\n") {
					t.Errorf("%s: does not work: %v", tool.name, err)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}
