package attack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func fileTries() []Try {
	file := func(name, what, seen string, do func(context.Context, *Plan, Try) Said) Try {
		return Try{Name: name, Group: groupFiles, What: what, Seen: seen, do: do}
	}
	const changed = "the file outside is not what it was"
	return []Try{
		file("read the state", "read the keys of outvet, its token and its record", "what was read is what the files hold", readState),
		file("read secrets of the home", "read keys and tokens in ~/.ssh, ~/.aws, ~/.netrc and the like", "what was read is what the files hold", readHidden),
		file("read by other ways", "the same by /proc/*/root and /proc/*/cwd", "what was read is what the files hold", readAround),
		file("write in the home", "change, replace and remove a file of the home", changed, writeHome),
		file("write by a link", "the same by links that stand in the workspace", changed, writeByLink),
		file("write auto-run files", "change what editors, shells, agents and git run or obey", changed, writeAutorun),
		file("replace auto-run files", "remove them, and put others in their place", changed, replaceAutorun),
		file("rename trick", "rename the folder that they stand in away, and make another one", changed, renameAutorun),
		file("new auto-run files", "make such files where there were none", "they are there at the end, and are not told", newAutorun),
		file("write programs", "change programs and settings of this machine", "one opens for writing", writeSystem),
		file("write settings of the kernel", "change what the kernel runs: core_pattern, uevent_helper, release_agent", "one opens for writing", writeKernel),
		file("devices", "open disks, memory, tun, kvm, vsock", "one opens", devices),
	}
}

// readAll reads files and tells digests of what is in them.
func readAll(paths []string, nothing string) Said {
	if len(paths) == 0 {
		return none(nothing)
	}
	s := Said{Ended: Closed, Proofs: map[string]string{}}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		switch {
		case err != nil:
			s.Text = plain(errors.Unwrap(err))
		case len(b) > 0:
			s.Ended, s.Proofs[p] = Sent, digest(b)
		}
	}
	if s.Ended == Sent {
		s.Text = fmt.Sprintf("%d files were read", len(s.Proofs))
	}
	return s
}

func readState(_ context.Context, p *Plan, _ Try) Said {
	return readAll(p.State, "there is no state yet")
}

func readHidden(_ context.Context, p *Plan, _ Try) Said {
	return readAll(p.Hidden, "this home keeps none")
}

// readAround reads the same files through other processes.
func readAround(_ context.Context, p *Plan, _ Try) Said {
	s := Said{Ended: Closed, Text: "no such process", Proofs: map[string]string{}}
	for _, pid := range []string{"1", fmt.Sprint(p.Pid), "self", "thread-self"} {
		for _, way := range []string{"root", "cwd/../../../../../../../.."} {
			for _, f := range append(append([]string{}, p.State[:min(3, len(p.State))]...), p.Hidden[:min(3, len(p.Hidden))]...) {
				b, err := os.ReadFile("/proc/" + pid + "/" + way + f)
				if err != nil {
					s.Text = plain(errors.Unwrap(err))
				} else if len(b) > 0 {
					s.Ended, s.Proofs[f] = Sent, digest(b)
				}
			}
		}
	}
	return s
}

// attacked is what stands in a file that a try has changed.
const attacked = "# attacked\n"

func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(attacked)
	return errors.Join(err, f.Close())
}

// result says how changes ended: whether they count is seen from outside.
func result(errs ...error) Said {
	for _, err := range errs {
		if err == nil {
			return sent("written to a copy")
		}
	}
	err := errs[0]
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return closed(err)
}

func writeHome(_ context.Context, p *Plan, _ Try) Said {
	if p.File == "" {
		return none("no file could be laid")
	}
	a := overwrite(p.File)
	b := os.Rename(p.File, p.File+".old")
	c := os.WriteFile(p.File, []byte(attacked), 0o666)
	d := os.WriteFile(filepath.Join(filepath.Dir(p.File), "new"), []byte(attacked), 0o666)
	return result(a, b, c, d)
}

func writeByLink(_ context.Context, p *Plan, _ Try) Said {
	if p.File == "" {
		return none("no file could be laid")
	}
	link := filepath.Join(p.Repository, "link")
	a := os.Symlink(p.File, link)
	if a == nil {
		a = overwrite(link)
	}
	hard := filepath.Join(p.Repository, "hard")
	b := os.Link(p.File, hard)
	if b == nil {
		b = overwrite(hard)
	}
	return result(a, b)
}

func project(p *Plan, f string) string { return filepath.Join(p.Repository, "project", f) }

func writeAutorun(_ context.Context, p *Plan, _ Try) Said {
	var errs []error
	for _, f := range autorun {
		errs = append(errs, overwrite(project(p, f)))
		hard := filepath.Join(p.Repository, "hard-"+strings.ReplaceAll(f, "/", "-"))
		if os.Link(project(p, f), hard) == nil {
			errs = append(errs, overwrite(hard))
		}
	}
	return result(errs...)
}

func replaceAutorun(_ context.Context, p *Plan, _ Try) Said {
	var errs []error
	for _, f := range autorun {
		err := os.Remove(project(p, f))
		if err == nil {
			err = os.WriteFile(project(p, f), []byte(attacked), 0o777)
		}
		errs = append(errs, err)
		other := filepath.Join(p.Repository, "other")
		if os.WriteFile(other, []byte(attacked), 0o777) == nil {
			errs = append(errs, os.Rename(other, project(p, f)))
		}
	}
	return result(errs...)
}

func renameAutorun(_ context.Context, p *Plan, _ Try) Said {
	var errs []error
	for _, dir := range []string{".git/hooks", ".git", ".vscode", ".claude", ".github"} {
		err := os.Rename(project(p, dir), project(p, "old-"+strings.ReplaceAll(dir, "/", "-")))
		if err == nil {
			err = os.MkdirAll(project(p, dir), 0o777)
		}
		errs = append(errs, err)
	}
	return result(errs...)
}

func newAutorun(_ context.Context, p *Plan, _ Try) Said {
	var errs []error
	for _, f := range autorun {
		path := filepath.Join(p.Repository, "fresh", f)
		err := os.MkdirAll(filepath.Dir(path), 0o777)
		if err == nil {
			err = os.WriteFile(path, []byte(attacked), 0o777)
		}
		errs = append(errs, err)
	}
	return result(errs...)
}

// openable reports the first path that opens with flags.
func openable(flags int, paths ...string) Said {
	last := error(fs.ErrNotExist)
	for _, p := range paths {
		f, err := os.OpenFile(p, flags, 0)
		if err == nil {
			f.Close()
			return opened("%s opens", p)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			last = errors.Unwrap(err)
		}
	}
	return closed(last)
}

func writeSystem(context.Context, *Plan, Try) Said {
	return openable(os.O_WRONLY, "/usr/bin/env", "/bin/sh", "/etc/passwd", "/etc/crontab", "/etc/profile", "/etc/ld.so.preload", "/lib/systemd/systemd", "/usr/lib/os-release")
}

func writeKernel(context.Context, *Plan, Try) Said {
	return openable(os.O_WRONLY, "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper",
		"/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/release_agent", "/proc/sys/fs/binfmt_misc/register", "/proc/1/mem")
}

func devices(context.Context, *Plan, Try) Said {
	return openable(os.O_RDONLY, "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/net/tun", "/dev/vsock", "/dev/vhost-vsock", "/dev/vhost-net", "/dev/fuse",
		"/dev/loop-control", "/dev/uinput", "/dev/input/event0", "/dev/snd/controlC0", "/dev/dri/card0", "/dev/tty1", "/dev/console", "/proc/kcore", "/etc/shadow")
}

func environmentTries() []Try {
	env := func(name, what, seen string, do func(context.Context, *Plan, Try) Said) Try {
		return Try{Name: name, Group: groupFiles, What: what, Seen: seen, do: do}
	}
	return []Try{
		env("environment", "find a secret of the environment outside", "its digest is that of the secret", func(_ context.Context, p *Plan, _ Try) Said {
			return lookFor(p, os.Environ(), "it is not among the variables")
		}),
		env("environment of others", "find it in what other processes were started with", "its digest is that of the secret", othersEnvironment),
		env("variables that lead outside", "find variables that name sockets of this machine, or load code", "one is set", leading),
	}
}

// lookFor looks for the canary among variables.
func lookFor(p *Plan, vars []string, not string) Said {
	for _, v := range vars {
		if name, value, _ := strings.Cut(v, "="); digest([]byte(value)) == p.Canary {
			return Said{Ended: Sent, Text: "it is " + name, Proofs: map[string]string{CanaryName: digest([]byte(value))}}
		}
	}
	return Said{Ended: Closed, Text: not}
}

func othersEnvironment(_ context.Context, p *Plan, _ Try) Said {
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	s := Said{Ended: Closed, Text: "no other process"}
	for _, f := range found {
		b, err := os.ReadFile(f)
		if err != nil {
			s.Text = plain(errors.Unwrap(err))
			continue
		}
		if l := lookFor(p, strings.Split(string(b), "\x00"), ""); l.Ended == Sent {
			return l
		}
	}
	return s
}

func leading(context.Context, *Plan, Try) Said {
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		for _, bad := range []string{"SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "TMUX", "DOCKER_HOST", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "NODE_OPTIONS", "GODEBUG"} {
			if name == bad && value != "" {
				return opened("%s is set", name)
			}
		}
	}
	return Said{Ended: Closed, Text: "none is set"}
}
