package attack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// unixWires are the places of unix sockets, as Lay names them.
var unixWires = []string{"tmp", "tmp dgram", "var", "run", "user's run", "home", "workspace", "workspace dgram", "abstract", "abstract dgram"}

func socketTries() []Try {
	var all []Try
	for _, w := range unixWires {
		all = append(all, Try{Name: "unix " + w, Group: groupSockets, What: "connect to a unix socket of this machine: " + w, Seen: "the wire is touched",
			do: func(ctx context.Context, p *Plan, t Try) Said {
				path, ok := p.Unix[w]
				if !ok {
					return none("no such wire could be laid")
				}
				if err := say(ctx, network(w), path, p.mark(t.Name)); err != nil {
					return closed(err)
				}
				return sent("connected")
			}})
	}
	return append(all,
		Try{Name: "unix workspace late", Group: groupSockets, What: "connect to a socket that the machine makes in the workspace later", Seen: "the wire is touched; it is told at the end", do: late},
		Try{Name: "unix workspace moved", Group: groupSockets, What: "connect to a socket of the workspace after its folder was renamed, or by another name of it", Seen: "the wire is touched", do: moved},
		Try{Name: "unix services", Group: groupSockets, What: "connect to docker, D-Bus, systemd, agents for keys, the desktop", Seen: "one takes the connection", do: services},
		Try{Name: "fifo", Group: groupSockets, What: "write into a fifo that a program of this machine reads", Seen: "the wire is touched",
			do: func(_ context.Context, p *Plan, t Try) Said {
				if p.Fifo == "" {
					return none("no such wire could be laid")
				}
				if err := intoFifo(p.Fifo, p.mark(t.Name)); err != nil {
					return closed(err)
				}
				return sent("written")
			}},
		Try{Name: "descriptors", Group: groupSockets, What: "use files and sockets that came along from outside", Seen: "one is open that leads somewhere", do: descriptors},
		Try{Name: "grandchild", Group: groupSockets, What: "leave a program behind that goes on when the command has ended", Seen: "it still writes after the end", do: grandchild},
	)
}

// moved looks for a way around what covers a socket.
func moved(ctx context.Context, p *Plan, t Try) Said {
	path, ok := p.Unix["workspace moved"]
	if !ok {
		return none("no such wire could be laid")
	}
	link := filepath.Join(p.Repository, "other.sock")
	renamed := filepath.Join(p.Repository, "moved")
	_ = os.Link(path, link)
	_ = os.Rename(path, path+".old")
	err := os.Rename(filepath.Dir(path), renamed)
	places := []string{link, path, path + ".old", filepath.Join(renamed, "agent.sock"), filepath.Join(renamed, "agent.sock.old")}
	for _, s := range places {
		e := say(ctx, "unix", s, p.mark(t.Name))
		if e == nil {
			return sent("connected")
		}
		if !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	if err == nil {
		err = fs.ErrNotExist
	}
	return closed(err)
}

// late waits for a socket that the outside makes while the sandbox runs.
func late(ctx context.Context, p *Plan, t Try) Said {
	for range 30 {
		if _, err := os.Lstat(p.Late); err == nil {
			if err := say(ctx, "unix", p.Late, p.mark(t.Name)); err == nil || !errors.Is(err, fs.ErrNotExist) {
				if err != nil {
					return closed(err)
				}
				return sent("connected")
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return Said{Ended: Closed, Text: "no such file or directory"}
}

// services are sockets of well-known programs.
func services(ctx context.Context, p *Plan, _ Try) Said {
	places := []string{"/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/dbus/system_bus_socket",
		"/run/systemd/private", "/run/systemd/notify", "/run/systemd/journal/socket", "/dev/log", "/run/nscd/socket", "/run/snapd.socket", "/run/acpid.socket",
		"/var/run/postgresql/.s.PGSQL.5432", "/run/mysqld/mysqld.sock", "@/tmp/.X11-unix/X0", "/tmp/.X11-unix/X0"}
	for _, glob := range []string{"/run/user/*/bus", "/run/user/*/systemd/private", "/run/user/*/gnupg/S.gpg-agent*", "/run/user/*/wayland-*", "/run/user/*/pulse/native", "/tmp/ssh-*/agent.*",
		"/tmp/tmux-*/*", "/tmp/.X11-unix/*", "/tmp/vscode-*.sock", filepath.Join(p.Home, ".gnupg/S.*"), filepath.Join(p.Home, ".docker/run/*.sock"), "/tmp/com.apple.launchd*/Listeners"} {
		found, _ := filepath.Glob(glob)
		places = append(places, found...)
	}
	for _, v := range []string{"SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST"} {
		if s := strings.TrimPrefix(strings.TrimPrefix(os.Getenv(v), "unix:path="), "unix://"); s != "" {
			places = append(places, s)
		}
	}
	last := error(fs.ErrNotExist)
	for _, s := range places {
		for _, network := range []string{"unix", "unixgram"} {
			c, err := dial(ctx, network, s)
			if err == nil {
				c.Close()
				return opened("%s takes connections", s)
			}
			if !errors.Is(err, fs.ErrNotExist) {
				last = err
			}
		}
	}
	return Said{Ended: Closed, Text: fmt.Sprintf("none of %d: %s", len(places), plain(last))}
}

// descriptors looks what is open besides what this program opened itself. It is the
// first try, before there is anything else.
func descriptors(context.Context, *Plan, Try) Said {
	if runtime.GOOS != "linux" {
		return none("only where /proc is")
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return closed(err)
	}
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			continue // the folder that we just read
		}
		standard := e.Name() == "0" || e.Name() == "1" || e.Name() == "2"
		switch {
		case standard && !strings.HasPrefix(to, "socket:"), strings.HasPrefix(to, "anon_inode:"), strings.HasPrefix(to, "/proc/"), strings.HasPrefix(to, "/sys/fs/cgroup/"), to == os.DevNull:
		case strings.HasPrefix(to, "pipe:"):
		default:
			return opened("descriptor %s is %s", e.Name(), to)
		}
	}
	return Said{Ended: Closed, Text: "nothing came along"}
}
