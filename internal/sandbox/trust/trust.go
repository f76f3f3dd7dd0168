package trust

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Inside is where the files lie in a sandbox, unless Options say otherwise.
const Inside = "/run/outvet/trust"

// Options say for whom a kit is made.
type Options struct {
	CA        []byte   // ca.pem of our authority
	Env       []string // the environment of the user
	Workspace string   // what lies in it is left alone
	Dir       string   // where the files will lie inside; "" is Inside
	Cache     string   // a folder that the sandbox cannot reach, made if missing; "" for none
	Root      string   // of the host's file system; "" is /
}

// A Kit is all that makes the programs of a sandbox trust us.
type Kit struct {
	Dir   string   // where the files lie inside
	Files []File   // to be installed there
	Binds []Bind   // to be shown elsewhere
	Vars  []string // NAME=VALUE
	Notes []string // what could not be done, a sentence each
}

// A File is one file of the kit.
type File struct {
	Name string // below Dir
	Data []byte
}

// A Bind shows a file, or a folder, of the kit in another place.
type Bind struct {
	File   string // below Dir; a folder is shown with all that is in it
	Target string
	Make   bool // the target, or its folder, may be missing
	Write  bool // programs write to it
	Own    bool // the target belongs to the user: overwrite it where that is not seen outside
}

// Make makes the kit. It fails only if the authority has no certificate; what
// else is missing or unreadable is left out and told in Notes.
func Make(o Options) (*Kit, error) {
	ours, err := certificates(o.CA)
	if err != nil {
		return nil, fmt.Errorf("trust: the certificate authority: %w", err)
	}
	if o.Dir == "" {
		o.Dir = Inside
	}
	m := &maker{o: o, Kit: &Kit{Dir: o.Dir}, host: host{root: o.Root, env: environment(o.Env), listed: map[string][]string{}, leave: o.Workspace}}
	m.systems()
	m.ours = m.users(ours)
	added := encode(m.ours)
	m.file("merged.pem", join(m.roots, added))
	m.file("ours.pem", added)
	m.bundles(added)
	m.anchors(added)
	m.stores()
	if err := m.nss(); err != nil {
		m.note("Chromium will not trust outvet: %v", err)
	}
	m.file("wgetrc", []byte("ca_certificate = "+m.path("merged.pem")+"\n"))
	m.vars()
	return m.Kit, nil
}

// A maker is a kit in the making.
type maker struct {
	*Kit
	o      Options
	host   host
	roots  []byte        // the system's bundle
	ours   []certificate // ours, then the user's
	system []string      // real names of the system's bundles
}

func (m *maker) note(format string, args ...any) {
	m.Notes = append(m.Notes, fmt.Sprintf(format, args...))
}

func (m *maker) file(name string, data []byte) { m.Files = append(m.Files, File{name, data}) }

// path is the name of a file of the kit inside.
func (m *maker) path(name string) string { return filepath.Join(m.Dir, name) }

// Install writes the files below dir, which is, or will be, seen as k.Dir.
func (k *Kit) Install(dir string) error {
	for _, f := range k.Files {
		p := filepath.Join(dir, f.Name)
		if !filepath.IsLocal(f.Name) {
			return fmt.Errorf("trust: %q leads out of the kit", f.Name)
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return fmt.Errorf("trust: %w", err)
		}
		if err := os.WriteFile(p, f.Data, 0o644); err != nil {
			return fmt.Errorf("trust: %w", err)
		}
	}
	return nil
}

// A Shown is a file of the kit in one of the places where it is seen.
type Shown struct {
	To      string
	Content []byte
	Make    bool // it, or its folder, may be missing
	Write   bool // programs write to it
}

// Shown returns files and binds as one list, for who shows file by file: each
// file in Dir, then over its targets. Contents are shared.
func (k *Kit) Shown() []Shown {
	var all []Shown
	for _, f := range k.Files {
		all = append(all, Shown{filepath.Join(k.Dir, f.Name), f.Data, true, false})
	}
	for _, b := range k.Binds {
		for _, f := range k.Files {
			if rest, below := strings.CutPrefix(f.Name, b.File+"/"); f.Name == b.File || below {
				to := b.Target
				if below {
					to = filepath.Join(to, rest)
				}
				all = append(all, Shown{to, f.Data, b.Make, b.Write})
			}
		}
	}
	return all
}

// limit is the greatest file that is taken for one of certificates, total what
// the bundles of programs may have together: all of it is held in memory, and
// shown from there.
const (
	limit = 4 << 20
	total = 48 << 20
)

var errSize = errors.New("it is too large for a file of certificates")

// read reads a file of the host, following links as the programs would. The
// slice has room for so many bytes more.
func (h host) read(name string, room int) ([]byte, error) {
	// A pipe in the place of a file must not hold the launch up.
	f, err := os.OpenFile(filepath.Join("/", h.root, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !i.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	if i.Size() > limit {
		return nil, errSize
	}
	data := make([]byte, i.Size(), int(i.Size())+room)
	n, err := readFull(f, data)
	return data[:n], err
}

func environment(vars []string) map[string]string {
	env := map[string]string{}
	for _, v := range vars {
		if name, value, ok := strings.Cut(v, "="); ok {
			if _, again := env[name]; !again {
				env[name] = value
			}
		}
	}
	return env
}
