package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var modes = []Mode{Overlay, Review, Strict, Open}

func TestKeysAreHiddenInEveryMode(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		for _, m := range modes {
			t.Run(string(m), func(t *testing.T) {
				p := newPlace(t, w)
				c := p.config(w, "sh", "-c", fmt.Sprintf(`
					cat %[1]s/keys/ca.key %[2]s/.ssh/id_ed25519 %[2]s/.netrc
					ls -A %[1]s
					echo forged > %[1]s/kill && echo WRITTEN
					mv %[1]s %[1]s.old && echo MOVED
					rm -rf %[1]s/* %[2]s/.ssh/*
					mv %[2]s/.local %[2]s/other && cat %[2]s/other/state/outvet/keys/ca.key
					unshare -Urm sh -c 'umount -l %[1]s; cat %[1]s/keys/ca.key; mount --rbind %[2]s /mnt && cat /mnt/.local/state/outvet/keys/ca.key /mnt/other/state/outvet/keys/ca.key'
					true`, p.state, p.home))
				c.Files = m
				l := run(t, w, c)
				if l.code != 0 || l.out != "" {
					t.Errorf("%s", l)
				}
				for f, want := range map[string]string{p.state + "/keys/ca.key": "STATEKEY", p.home + "/.ssh/id_ed25519": "SSHKEY"} {
					if b, err := os.ReadFile(f); string(b) != want {
						t.Errorf("%s holds %q afterwards: %v", f, b, err)
					}
				}
			})
		}
	})
}

// TestKeysAreHiddenUnderEveryName mounts the folders that hold keys elsewhere, too.
func TestKeysAreHiddenUnderEveryName(t *testing.T) {
	w := callers[0]
	for _, m := range []Mode{Overlay, Open} {
		t.Run(string(m), func(t *testing.T) {
			p := newPlace(t, w)
			alias, above := filepath.Dir(p.home)+"/alias", filepath.Dir(p.home)+"/above"
			c := p.config(w, "sh", "-c", fmt.Sprintf("cat %s/keys/ca.key %s/.local/state/outvet/keys/ca.key %s/.ssh/id_ed25519 %s/keys/ca.key; ls %s | grep work", alias, above, above, p.state, above))
			c.Files = m
			l := run(t, w, c, func(l *launch) {
				l.Before = fmt.Sprintf("mkdir %s %s; mount --bind %s %s; mount --bind %s %s", alias, above, p.state, alias, p.home, above)
			})
			if l.out != "work\n" {
				t.Errorf("%s", l)
			}
		})
	}
}

func TestADirectoryWithMountsBelowIsBuiltAnew(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	os.MkdirAll(p.home+"/deep/mounted", 0o755)
	os.WriteFile(p.home+"/deep/file", []byte("small\n"), 0o640)
	os.WriteFile(p.home+"/deep/great", make([]byte, copyFileMax+1), 0o644)
	os.Symlink("file", p.home+"/deep/link")
	os.Mkdir(p.home+"/deep/sub", 0o755)
	os.WriteFile(p.home+"/deep/sub/x", []byte("below\n"), 0o644)
	p.own(t, w)
	c := p.config(w, "sh", "-ec", `cd ~/deep; cat link sub/x mounted/inside; echo more >> file; cat file; stat -c %a file; echo y > sub/x; echo z > mounted/new
		test $(stat -c %s great) = `+fmt.Sprint(copyFileMax+1)+`; touch ~/.cache-new; echo ok`)
	c.User = "65534"
	w2 := w
	w2.uid = nobody
	p.own(t, w2)
	l := run(t, w, c, func(l *launch) {
		l.Before = fmt.Sprintf("mount -t tmpfs x %[1]s/deep/mounted && echo inside > %[1]s/deep/mounted/inside && chown -R 65534:65534 %[1]s/deep/mounted", p.home)
	})
	if want := "small\nbelow\ninside\nsmall\nmore\n640\nok\n"; l.code != 0 || l.out != want {
		t.Errorf("%s", l)
	}
	if b, _ := os.ReadFile(p.home + "/deep/file"); string(b) != "small\n" {
		t.Errorf("the file on the machine has %q", b)
	}
}

func TestStrictShowsProgramsAndNothingElse(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		c := p.config(w, "sh", "-c", "ls -A ~ /var /srv; touch ~/x /tmp/x && echo writable; touch /usr/x /etc/x || echo fixed; /usr/bin/python3 -c 'print(1+1)'; cat /etc/resolv.conf")
		c.Files = Strict
		l := run(t, w, c)
		for _, want := range []string{p.home + ":\nwork\n", "writable\n", "fixed\n2\nnameserver 198.19.255.253\n"} {
			if !strings.Contains(l.out, want) {
				t.Errorf("no %q in %s", want, l)
			}
		}
		if strings.Contains(l.out, "lib") {
			t.Errorf("/var has something: %s", l)
		}
	})
}

func TestGradeSaysWhatIsSealed(t *testing.T) {
	for m, want := range map[Mode]string{Overlay: "sealed", Review: "sealed", Strict: "sealed", Open: "sealed-nofs"} {
		if got := m.Grade(); got != want {
			t.Errorf("%s is %s", m, got)
		}
	}
}

func TestLiveDirectoriesAreTheRealOnes(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		cache := p.home + "/.cache/pip"
		os.MkdirAll(cache, 0o755)
		p.own(t, w)
		c := p.config(w, "sh", "-ec", "echo kept > ~/.cache/pip/a; echo gone > ~/.cache/b")
		c.Live = []string{cache}
		succeeds(t, w, c)
		if b, _ := os.ReadFile(cache + "/a"); string(b) != "kept\n" {
			t.Errorf("the cache has %q", b)
		}
		if _, err := os.Stat(p.home + "/.cache/b"); err == nil {
			t.Error("what is beside the cache was written")
		}
	})
}

// TestWhatOthersRunStaysAsItIs tries to change what git, editors and agents run or
// obey, also by moving the folders that it stands in.
func TestWhatOthersRunStaysAsItIs(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		files := map[string]string{}
		for _, f := range []string{".git/config", ".git/hooks/pre-commit", ".envrc", ".mcp.json", ".claude/settings.json", ".vscode/tasks.json",
			".github/workflows/ci.yml", "vendor/lib/.git/config", "vendor/lib/.git/hooks/post-checkout", "sub/.envrc"} {
			files[f] = "original " + f + "\n"
			os.MkdirAll(filepath.Dir(filepath.Join(p.workspace, f)), 0o755)
			os.WriteFile(filepath.Join(p.workspace, f), []byte(files[f]), 0o755)
		}
		os.MkdirAll(p.workspace+"/.github/other", 0o755)
		p.own(t, w)
		l := run(t, w, p.config(w, "sh", "-c", `
			for f in .git/config .git/hooks/pre-commit .envrc .mcp.json .claude/settings.json .vscode/tasks.json .github/workflows/ci.yml vendor/lib/.git/config sub/.envrc; do
				echo evil > $f; rm -f $f; mv $f x; cp /bin/true $f; ln -sf /bin/sh $f; chmod 777 $f; truncate -s 0 $f
			done
			echo evil > .git/hooks/post-merge; echo evil > .claude/new
			mv .git x; mv .github x; mv .github/workflows x; mv .claude x; mv .vscode x; mv vendor/lib/.git x; mv sub/.envrc y; rm -rf .git .github .claude vendor sub
			python3 -c "import ctypes; print(ctypes.CDLL(None).renameat2(-100, b'.git', -100, b'.github', 2))"
			unshare -Urm sh -c 'umount -l .git/config; umount -l .git; mount -o remount,rw .git/hooks; echo evil > .git/config; mv .git x'
			echo fine > .git/COMMIT_EDITMSG; echo fine > .github/other/y; true`))
		if l.code != 0 {
			t.Errorf("%s", l)
		}
		for f, want := range files {
			if b, err := os.ReadFile(filepath.Join(p.workspace, f)); string(b) != want {
				t.Errorf("%s holds %q, %v", f, b, err)
			}
		}
		if len(l.exit.Changes) > 0 {
			t.Errorf("changes are told that there are none of: %v", l.exit.Changes)
		}
		for _, f := range []string{".git/COMMIT_EDITMSG"} {
			if b, _ := os.ReadFile(filepath.Join(p.workspace, f)); string(b) != "fine\n" {
				t.Errorf("what is beside cannot be written: %s: %q", f, b)
			}
		}
	})
}

func TestNewFilesThatOthersRunAreTold(t *testing.T) {
	w := callers[2]
	p := newPlace(t, w)
	os.MkdirAll(p.workspace+"/a/b/.git/hooks", 0o755)
	os.WriteFile(p.workspace+"/a/b/.git/config", []byte("x"), 0o644)
	os.WriteFile(p.workspace+"/.envrc", []byte("x"), 0o644)
	p.own(t, w)
	script := `mkdir -p .vscode .github/workflows new/.git; echo evil > .vscode/tasks.json; echo evil > .github/workflows/ci.yml; echo evil > new/.git/config
		ln -s /bin/sh .mcp.json
		mkdir -p bare/objects bare/refs; echo x > bare/HEAD; echo evil > bare/config
		mv a z; mkdir -p a/b/.git; echo evil > a/b/.git/config; echo plain > plain
		/usr/bin/python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('mine.sock')"`
	l := run(t, w, p.config(w, "sh", "-c", script))
	want := []string{".github/workflows added", ".github/workflows/ci.yml added", ".mcp.json added", ".vscode added", ".vscode/tasks.json added",
		"a/b/.git/config changed", "bare/config added", "mine.sock socket", "new/.git/config added"}
	var got []string
	for _, c := range l.exit.Changes {
		got = append(got, c.Path+" "+string(c.Kind))
	}
	for _, f := range want {
		if !slices.Contains(got, f) {
			t.Errorf("not told: %s", f)
		}
	}
	if slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "plain") }) {
		t.Errorf("told of what nobody runs: %v", got)
	}
	c := p.config(w, "sh", "-c", "echo evil > .envrc; rm .mcp.json")
	c.Files = Open
	l = run(t, w, c)
	if got := fmt.Sprint(l.exit.Changes); got != "[{.envrc changed} {.mcp.json removed}]" {
		t.Errorf("mode open: %s", got)
	}
}

func TestATopLevelDirectoryMadeLaterIsNotSeen(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes one")
	}
	w := callers[0]
	p := newPlace(t, w)
	late := fmt.Sprintf("/outvet-late-%d", os.Getpid())
	cmd, told, out, errs := startLauncher(t, w, launch{Config: p.config(w, "sh", "-c", "touch ready; while ! test -e made; do sleep 0.02; done; ls "+late+"; ls / | grep late")})
	eventually(t, "it runs", func() bool { _, err := os.Stat(p.workspace + "/ready"); return err == nil })
	if err := os.Mkdir(late, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(late)
	os.WriteFile(p.workspace+"/made", nil, 0o644)
	for range told {
	}
	cmd.Wait()
	if strings.Contains(out.String(), "late") || !strings.Contains(errs.String(), "No such file") {
		t.Errorf("%q %q", out, errs)
	}
}

func TestPiecesTakeTheirPlace(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		for _, m := range modes {
			p := newPlace(t, w)
			os.WriteFile(p.workspace+"/cacert.pem", []byte("theirs\n"), 0o666)
			p.own(t, w)
			c := p.config(w, "sh", "-c", "cat /run/outvet/ca.pem /etc/hostname /run/outvet/copy cacert.pem; echo x > /etc/hostname || echo fixed; cat /nowhere")
			c.Files = m
			c.Binds = []Bind{{To: "/run/outvet/ca.pem", Content: []byte("CERTIFICATE\n")}, {To: "/etc/hostname", Content: []byte("elsewhere\n")},
				{To: "/run/outvet/copy", From: "/etc/debian_version"}, {To: "/nowhere", Content: []byte("x")}, {To: p.workspace + "/cacert.pem", Content: []byte("merged\n")}}
			version, _ := os.ReadFile("/etc/debian_version")
			l := run(t, w, c)
			if want := "CERTIFICATE\nelsewhere\n" + string(version) + "merged\nfixed\n"; l.out != want {
				t.Errorf("%s: want %q, got %s", m, want, l)
			}
		}
	})
}

func TestStandardFilesThatAreSocketsBecomePipes(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	c := p.config(w, "/usr/bin/python3", "-c", "import os, stat, sys; print([stat.S_ISSOCK(os.fstat(i).st_mode) for i in range(3)], sys.stdin.read())")
	l := run(t, w, c, func(l *launch) { l.Sockets = true })
	if l.out != "[False, False, False] given\n\n" && l.out != "[False, False, False] given\n" {
		t.Errorf("%s", l)
	}
}

// TestAMachineWithoutMountsIsShownInFewLayers holds what a start costs: each layer
// is a mount, made and taken down.
func TestAMachineWithoutMountsIsShownInFewLayers(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	l := run(t, w, p.config(w, "grep", "-c", " overlay ", "/proc/self/mountinfo"), func(l *launch) {
		l.Before = "for m in $(awk '$5 != \"/\" && $5 !~ /^\\/(proc|sys|dev|run)/ {print $5}' /proc/self/mountinfo); do umount -l $m || true; done"
	})
	all, err := os.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if fmt.Sscan(l.out, &n); n == 0 || n > len(all)+2 {
		t.Errorf("%d overlays for %d entries of the root: %s", n, len(all), l)
	}
}

// TestNoDeviceIsReachedByANode has nodes of devices in the workspace and the home.
func TestNoDeviceIsReachedByANode(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root makes one")
	}
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		for _, d := range []string{p.workspace, p.home} {
			if err := unix.Mknod(d+"/node", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
				t.Fatal(err)
			}
			os.Chmod(d+"/node", 0o666)
		}
		p.own(t, w)
		if got := outside(t, w, "head", "-c1", p.workspace+"/node"); got != "\x00" {
			t.Fatalf("outside it gives %q", got)
		}
		for _, m := range modes {
			c := p.config(w, "sh", "-c", "head -c1 node; head -c1 ~/node; true")
			c.Files = m
			if m == Open {
				continue // the machine as it is
			}
			if l := run(t, w, c); l.out != "" || strings.Count(l.err, "denied")+strings.Count(l.err, "No such file") != 2 {
				t.Errorf("%s: %s", m, l)
			}
		}
	})
}

func TestADirectoryIsNoStandardFile(t *testing.T) {
	d, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := newPlace(t, callers[0])
	c := p.config(callers[0], "true")
	c.Stdin = d
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "standard file 0 is a directory") {
		t.Errorf("got %v", err)
	}
}

// TestWhatOthersServeIsLeftOut mounts a file system that a program serves: each name
// that is looked for in it is told to that program, and it may tell others.
func TestWhatOthersServeIsLeftOut(t *testing.T) {
	w := callers[0]
	p := newPlace(t, w)
	os.MkdirAll(p.home+"/cloud", 0o755)
	os.MkdirAll(p.workspace+"/cloud", 0o755)
	// nobody answers: whoever looks into it waits for ever
	served := "exec 9<>/dev/fuse; mount -t fuse.sshfs -o fd=9,rootmode=40000,user_id=0,group_id=0,allow_other x "
	l := run(t, w, p.config(w, "sh", "-c", "ls -A ~/cloud; stat ~/cloud/secret-name; echo done"), func(l *launch) { l.Before = served + p.home + "/cloud" })
	if l.out != "done\n" {
		t.Errorf("%s", l)
	}
	l = run(t, w, p.config(w, "true"), func(l *launch) { l.Before = served + p.workspace + "/cloud" })
	if !strings.Contains(l.exit.Refusal, "is on a file system that others serve, or holds one (fuse") {
		t.Errorf("%s", l)
	}
}

// TestWhatIsCommittedInAWorktreeStays has the folder of git outside of the workspace.
func TestWhatIsCommittedInAWorktreeStays(t *testing.T) {
	asEach(t, func(t *testing.T, w caller) {
		p := newPlace(t, w)
		main := p.home + "/main"
		git := "git -c user.name=n -c user.email=e@x -c init.defaultBranch=main"
		if err := sh("cd %[1]s && rmdir work && %[2]s init -q main && cd main && echo a > a && %[2]s add a && %[2]s commit -qm first && %[2]s worktree add -q ../work && echo plain > note", p.home, git); err != nil {
			t.Fatal(err)
		}
		p.own(t, w)
		l := run(t, w, p.config(w, "sh", "-c", "set -e; export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'; echo b > b; "+git+" add b; "+git+" commit -qm inside; set +e\n"+
			"echo evil > ../main/.git/hooks/pre-commit; echo evil >> ../main/.git/config; mv ../main/.git/hooks x; echo evil > ../main/note; echo gitdir: /tmp > .git; rm .git; mv .git z; true"))
		if l.code != 0 || len(l.exit.Changes) > 0 {
			t.Fatalf("%s", l)
		}
		if err := sh("cd %s && git -c safe.directory='*' log --oneline work | grep -q inside && git -c safe.directory='*' fsck 2>&1 && test ! -e .git/hooks/pre-commit && ! grep -q evil .git/config && grep -q plain note", main); err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyTheFolderThatGitMadeForAWorktreeIsReal(t *testing.T) {
	p := newPlace(t, callers[0])
	other := p.home + "/other"
	for _, d := range []string{"/worktrees/w", "/objects", "/refs"} {
		os.MkdirAll(other+d, 0o755)
	}
	own := other + "/worktrees/w"
	write := func(path, text string) {
		os.Remove(path)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := p.workspace + "/.git"
	write(link, "gitdir: "+own+"\n")
	write(own+"/gitdir", link+"\n")
	write(own+"/commondir", "../..\n")
	if got := repository(p.workspace); got != other {
		t.Errorf("a whole one: %q", got)
	}
	for what, change := range map[string]func(){
		"it names another workspace":   func() { write(own+"/gitdir", p.home+"/elsewhere/.git\n") },
		"it names none":                func() { os.Remove(own + "/gitdir") },
		"it has its commons elsewhere": func() { write(own+"/commondir", p.home+"\n") },
		"it is not said whose it is":   func() { os.Remove(own + "/commondir") },
		"the file is a link":           func() { os.Remove(link); os.Symlink(own+"/x", link); write(own+"/x", "gitdir: "+own+"\n") },
		"the file names a home":        func() { write(link, "gitdir: "+p.home+"\n") },
		"the file says more":           func() { write(link, "gitdir: "+own+"\nx") },
		"the commons are a link's end": func() { os.Rename(other, other+"2"); os.Symlink(other+"2", other) },
		"the folder is in the workspace": func() {
			os.MkdirAll(p.workspace+"/f/worktrees/w", 0o755)
			os.MkdirAll(p.workspace+"/f/objects", 0o755)
			os.MkdirAll(p.workspace+"/f/refs", 0o755)
			write(link, "gitdir: f/worktrees/w\n")
			write(p.workspace+"/f/worktrees/w/gitdir", link+"\n")
			write(p.workspace+"/f/worktrees/w/commondir", "../..\n")
		},
	} {
		os.RemoveAll(other + "2")
		if fi, err := os.Lstat(other); err == nil && fi.Mode()&os.ModeSymlink != 0 {
			os.Remove(other)
			for _, d := range []string{"/worktrees/w", "/objects", "/refs"} {
				os.MkdirAll(other+d, 0o755)
			}
		}
		write(link, "gitdir: "+own+"\n")
		write(own+"/gitdir", link+"\n")
		write(own+"/commondir", "../..\n")
		change()
		if got := repository(p.workspace); got != "" && !strings.HasPrefix(what, "the commons are") {
			t.Errorf("%s: %q", what, got)
		}
	}
}
