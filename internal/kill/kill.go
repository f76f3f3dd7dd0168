package kill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/fsnotify/fsnotify"
)

// Name is what the file is called.
const Name = "kill"

// Max bounds each word of a Notice, in bytes.
const Max = 200

// Poll is how often Watch looks when nothing is reported.
const Poll = 200 * time.Millisecond

// A Notice says who pulled the switch, how and why.
type Notice struct {
	By  string    `json:"by"`
	How string    `json:"how"` // the file, outvet kill, console, signal
	Why string    `json:"why,omitempty"`
	At  time.Time `json:"at"`
}

// ByFile is how a switch was pulled by hand.
const ByFile = "the file"

// A Switch is the file in the folder Dir.
type Switch struct {
	Dir string
}

func (s Switch) path() string { return filepath.Join(s.Dir, Name) }

// Read returns who pulled the switch, nil if nobody did. An error says that this
// cannot be known.
func (s Switch) Read() (*Notice, error) {
	info, err := os.Lstat(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		// A folder that is gone takes the file with it; that is no permission.
		if info, err = os.Stat(s.Dir); err == nil && info.IsDir() {
			return nil, nil
		}
		if err == nil {
			err = fmt.Errorf("%q is no folder", s.Dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("kill: the switch %q cannot be looked at: %w", s.path(), err)
	}
	n := parse(s.content(info))
	if n.By == "" {
		n.By = owner(info)
	}
	if n.How == "" {
		n.How = ByFile
	}
	if n.At.IsZero() {
		n.At = info.ModTime().UTC()
	}
	return n, nil
}

// content returns the beginning of the file, "" if it cannot be read. Anything
// but a plain file is left alone: reading a pipe would wait.
func (s Switch) content(info fs.FileInfo) string {
	if !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.OpenFile(s.path(), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 4*Max))
	return string(b)
}

// parse reads the content of the file.
func parse(text string) *Notice {
	var n Notice
	first, rest, _ := strings.Cut(text, "\n")
	n.Why = clean(first)
	for line := range strings.Lines(rest) {
		key, value, _ := strings.Cut(line, ":")
		value = clean(value)
		switch key {
		case "by":
			n.By = value
		case "how":
			n.How = value
		case "at":
			if t, err := time.Parse(time.RFC3339, value); err == nil {
				n.At = t.UTC()
			}
		}
	}
	return &n
}

// format is the reverse of parse.
func (n *Notice) format() string {
	return fmt.Sprintf("%s\nby: %s\nhow: %s\nat: %s\n", clean(n.Why), clean(n.By), clean(n.How), n.At.UTC().Format(time.RFC3339))
}

// clean returns s as one printable line of at most Max bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '?'
	}, strings.TrimSpace(strings.ToValidUTF8(s, "?")))
	for len(s) > Max {
		r := []rune(s)
		s = string(r[:min(len(r)-1, Max)])
	}
	return strings.TrimSpace(s)
}

// owner names who owns the file.
func owner(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "unknown"
	}
	id := strconv.FormatUint(uint64(st.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// Pull puts the file there. One that is there already stays as it is: the first
// reason stands. The file appears with its content, or, if that cannot be
// written, without.
func (s Switch) Pull(n Notice) error {
	err := s.put(n.format())
	if err == nil || errors.Is(err, fs.ErrExist) {
		return s.sync()
	}
	f, bare := os.OpenFile(s.path(), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	switch {
	case bare == nil:
		_, _ = f.WriteString(n.format()) // the name is what counts
		return errors.Join(f.Close(), s.sync())
	case errors.Is(bare, fs.ErrExist):
		return nil
	}
	return fmt.Errorf("kill: %w", err)
}

func (s Switch) put(text string) error {
	f, err := os.CreateTemp(s.Dir, ".kill-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	// Whoever may look into the folder may read it: outvet and the person who
	// pulls it need not be one user.
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), s.path())
}

// Lift removes the file. A switch that nobody pulled is lifted already.
func (s Switch) Lift() error {
	if err := os.Remove(s.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kill: %w", err)
	}
	return s.sync()
}

// seen is the file that says that the log has a record of the switch being
// pulled: who finds it without the switch knows that it was lifted meanwhile.
const seen = "kill.seen"

// Seen reports whether the log has a record of the switch being pulled, and none
// of its being lifted.
func (s Switch) Seen() bool {
	_, err := os.Lstat(filepath.Join(s.Dir, seen))
	return err == nil
}

// See notes what the log has. If it cannot be noted, a lift while nothing runs
// goes unrecorded, and nothing else.
func (s Switch) See(pulled bool) {
	name := filepath.Join(s.Dir, seen)
	if !pulled {
		_ = os.Remove(name)
	} else if f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		_ = f.Close()
	}
}

// sync puts the name on disk.
func (s Switch) sync() error {
	d, err := os.Open(s.Dir)
	if err != nil {
		return fmt.Errorf("kill: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Watch calls look at once, whenever the folder changes, and every Poll, until
// ctx ends.
func (s Switch) Watch(ctx context.Context, look func()) {
	var events chan fsnotify.Event
	var errs chan error
	if w, err := fsnotify.NewWatcher(); err == nil {
		defer w.Close()
		if w.Add(s.Dir) == nil {
			events, errs = w.Events, w.Errors
		}
	}
	tick := time.NewTicker(Poll)
	defer tick.Stop()
	for {
		look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case e := <-events:
			if filepath.Base(e.Name) != Name {
				<-tick.C // others write here often: they need not be followed
			}
		case <-errs: // something was missed: look
		}
	}
}
