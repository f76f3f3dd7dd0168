package ca

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Watch follows a rotation until ctx ends: when files of the authority change, or
// the time of a successor has come, it signs with what they say then. Connections
// go on as they are. changed is told of each new signer. What is wrong with the
// files is told to fail, once, and what is in memory goes on signing.
func (a *Authority) Watch(ctx context.Context, changed func(*Authority), fail func(error)) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			was := a.Certificate()
			if err := a.look(now.Round(0)); err != nil {
				fail(err)
			} else if !a.Certificate().Equal(was) {
				changed(a)
			}
		}
	}
}

// look reads the files again if they changed or the successor's time has come.
func (a *Authority) look(now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.now.Load()
	due := !was.finish.IsZero() && (!now.Before(was.finish) || now.After(was.cert.NotAfter))
	s := stamp(a.dir)
	if s == a.seen && !due {
		return nil
	}
	a.seen = s
	for _, name := range [...]string{certFile, keyFile} { // reading would make an authority that nobody trusts
		if _, err := os.Stat(filepath.Join(a.dir, name)); err != nil {
			return fmt.Errorf("ca: %w; the authority in memory goes on", err)
		}
	}
	i, err := read(a.dir, now)
	if err != nil {
		return fmt.Errorf("%w; the authority in memory goes on", err)
	}
	a.seen = stamp(a.dir) // reading may complete a rotation
	if i.cert.Equal(was.cert) {
		i.leaves.adopt(&was.leaves)
	}
	a.now.Store(i)
	return nil
}

// stamp says how the files of dir are now, without reading them.
func stamp(dir string) string {
	var b strings.Builder
	for _, name := range [...]string{certFile, keyFile, nextFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
			continue
		}
		fmt.Fprintf(&b, "%d %d %v\n", info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	return b.String()
}
