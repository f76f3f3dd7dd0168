package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"outvet/internal/sandbox/loopback"
)

// protectedMax bounds what is mounted read-only in a workspace. What exceeds it is
// told by Changes alone.
const protectedMax = 256

// orders makes the orders for stage 1, and the mounts that only we can make.
func (s *Sandbox) orders() (*orders, []tree, error) {
	c := s.config
	o := &orders{
		Command: c.Command, Env: c.Env, Dir: c.Dir, User: s.user.uid, Group: s.user.gid,
		Files: c.Files, Workspace: c.Workspace, Live: c.Live, Home: c.Home, Terminal: c.Terminal,
	}
	if c.Terminal {
		o.Own = [3]bool{c.Stdin == nil, c.Stdout == nil, c.Stderr == nil}
	}
	s.before = map[string]*walked{}
	for _, root := range append([]string{c.Workspace}, c.Live...) {
		w, err := lookThrough(c, root)
		if err != nil {
			return nil, nil, fmt.Errorf("sandbox: look through the workspace: %w", err)
		}
		s.before[root] = w
		o.Watched = append(o.Watched, w.watched(root))
	}
	if err := o.hide(c); err != nil {
		return nil, nil, err
	}
	if err := o.names(); err != nil {
		return nil, nil, err
	}
	for _, b := range c.Binds {
		if b.Content == nil && b.From != "" {
			o.Pieces = append(o.Pieces, piece{To: b.To, From: b.From})
		} else {
			o.hold(b.To, b.Content)
			o.Pieces[len(o.Pieces)-1].Write = b.Write
		}
	}
	trees, err := s.trees()
	for _, t := range trees {
		o.Rooted = o.Rooted || t.name != homeTree
	}
	return o, trees, err
}

// lookThrough walks one of the directories that are the real ones.
func lookThrough(c Config, root string) (*walked, error) {
	under := ""
	if root != c.Workspace {
		under = filepath.Base(root) // the names of what others run begin above it
	}
	return walk(root, under, c.AutoRun)
}

// watched returns what is to be done with what was found.
func (w *walked) watched(root string) watched {
	o := watched{root, w.sockets, w.named, w.pinned}
	if len(o.Protected) > protectedMax {
		// the ones nearest to the top are those that are used
		o.Protected = slices.Clone(o.Protected)
		slices.SortStableFunc(o.Protected, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
		o.Protected = o.Protected[:protectedMax]
		o.Pinned = slices.DeleteFunc(slices.Clone(o.Pinned), func(d string) bool {
			return !slices.ContainsFunc(o.Protected, func(p string) bool { return within(p, d) })
		})
	}
	return o
}

// hide sets what the command never sees, under all names that it has.
func (o *orders) hide(c Config) error {
	mounts, err := mountTable()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	o.State = mounts.names(c.State)
	o.Hide = slices.Clone(o.State)
	for _, p := range c.Hide {
		real, err := filepath.EvalSymlinks(p)
		if errors.Is(err, os.ErrNotExist) {
			continue // there is nothing to hide
		}
		if err != nil {
			// we may not look, so the command, which is the same user or a lesser one, may not either
			real = p
		}
		o.Hide = append(o.Hide, mounts.names(real)...)
	}
	slices.Sort(o.Hide)
	o.Hide = slices.Compact(o.Hide)
	return nil
}

// names sets what tells the names of hosts and users: our resolver, and no module
// that would ask a service of the machine.
func (o *orders) names() error {
	const (
		resolv   = "/etc/resolv.conf"
		nsswitch = "/etc/nsswitch.conf"
		hosts    = "/etc/hosts"
	)
	to := resolv
	if target, err := filepath.EvalSymlinks(resolv); err == nil {
		to = target
	} else if target, err := os.Readlink(resolv); err == nil {
		to = filepath.Join("/etc", target)
		if filepath.IsAbs(target) {
			to = target
		}
	}
	o.hold(to, []byte("nameserver "+loopback.Resolver.String()+"\noptions timeout:2 attempts:2\n"))
	o.hold(nsswitch, []byte("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\nethers: files\nrpc: files\n"))
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	text := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if name != "localhost" && !strings.ContainsAny(name, " \t\n#") {
		text += "127.0.0.1\t" + name + "\n"
	}
	o.hold(hosts, []byte(text))
	return nil
}
