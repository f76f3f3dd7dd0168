package policy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settleTime is how long files must be left alone before they are read again:
// editors and deployments write in several steps.
const settleTime = 100 * time.Millisecond

// Watch loads the policy of o again whenever one of its files changes, until
// ctx ends. apply gets the new policy; fail gets the error of one that does not
// load, while the old stays in force. Both are called from one goroutine, Watch's
// own. now is the policy in force, or nil to load at once.
//
// Watched are the directories of the files and of the links on the way to them,
// so that a file replaced by renaming and a directory swapped behind a symbolic
// link are seen as well. A change that leaves all contents as they were is none.
func Watch(ctx context.Context, o Options, now *Policy, apply func(*Policy), fail func(error)) error {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("policy: watch files: %w", err)
	}
	defer fs.Close()
	w := &watcher{fs: fs, options: o, apply: apply, fail: fail}
	if now != nil {
		w.follow(now.files)
		w.seen = fingerprint(w.files)
		if fingerprint(now.files) != now.seen { // it changed before it was watched
			w.load(ctx)
		}
	} else {
		w.follow(o.paths())
		w.load(ctx)
	}
	return w.run(ctx)
}

// paths returns the files that o names itself.
func (o *Options) paths() []string {
	var out []string
	for _, s := range o.sources() {
		if s.Path != "" {
			out = append(out, s.Path)
		}
	}
	return out
}

type watcher struct {
	fs      *fsnotify.Watcher
	options Options
	apply   func(*Policy)
	fail    func(error)
	files   []string
	seen    string // fingerprint of files as last loaded
}

func (w *watcher) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	if !timer.Stop() {
		<-timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.fs.Events:
			if !ok {
				return nil
			}
			timer.Reset(settleTime)
		case err, ok := <-w.fs.Errors:
			if !ok {
				return nil
			}
			if err != nil {
				timer.Reset(settleTime) // events may be lost: look for ourselves
			}
		case <-timer.C:
			w.check(ctx)
		}
	}
}

// check loads the policy again if a file is not as it was.
func (w *watcher) check(ctx context.Context) {
	w.follow(w.files) // a link may point elsewhere now
	if fingerprint(w.files) != w.seen {
		w.load(ctx)
	}
}

// load loads the policy. It does so until the set of files is stable, so that
// what is fingerprinted is what was read.
func (w *watcher) load(ctx context.Context) {
	var p *Policy
	var err error
	for range 4 {
		before := append([]string(nil), w.files...)
		w.seen = fingerprint(w.files)
		var tried []string
		p, tried, err = load(ctx, w.options)
		if err == nil {
			w.files = nil // else keep the old ones too: mending may be done in any
		}
		w.follow(tried)
		if slices.Equal(before, w.files) {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.fail(err)
	default:
		w.apply(p)
	}
}

// follow watches the directories of files.
func (w *watcher) follow(files []string) {
	for _, f := range files {
		if !slices.Contains(w.files, f) {
			w.files = append(w.files, f)
		}
		for _, dir := range directories(f) {
			// A directory that is replaced loses its watch: add it each time. One
			// that is not there cannot be watched, its parent is.
			_ = w.fs.Add(dir)
		}
	}
}

// directories returns the directories in which a change can change what is read
// under name: its own and that of each symbolic link on the way.
func directories(name string) []string {
	full, err := filepath.Abs(name)
	if err != nil {
		return nil
	}
	var out []string
	for range 40 { // as many links as the kernel follows
		if dir := filepath.Dir(full); !slices.Contains(out, dir) {
			out = append(out, dir)
		}
		next, dir := followLink(full)
		if next == "" {
			return out
		}
		if !slices.Contains(out, dir) {
			out = append(out, dir)
		}
		full = next
	}
	return out
}

// followLink follows the first symbolic link in full and returns what the path is
// then, and where the link stands. It returns "" if there is none.
func followLink(full string) (next, dir string) {
	at := string(filepath.Separator)
	parts := strings.Split(strings.TrimPrefix(full, at), at)
	for i, part := range parts {
		here := filepath.Join(at, part)
		if target, err := os.Readlink(here); err == nil {
			if !filepath.IsAbs(target) {
				target = filepath.Join(at, target)
			}
			return filepath.Join(append([]string{target}, parts[i+1:]...)...), at
		}
		at = here
	}
	return "", ""
}

// fingerprint identifies the contents of files; a file that cannot be read has
// one too.
func fingerprint(files []string) string {
	h := sha256.New()
	for _, f := range files {
		text, err := os.ReadFile(f)
		note(h, f, text, err)
	}
	return string(h.Sum(nil))
}

// note adds one file to a fingerprint.
func note(h hash.Hash, file string, text []byte, err error) {
	fmt.Fprintf(h, "%q %d %v\n", file, len(text), err != nil)
	h.Write(text)
}
