package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// A Storage keeps the tiles of a log and its checkpoint. Names are slash
// separated paths as in C2SP tlog-tiles; package recordtest holds the suite
// that every Storage passes.
type Storage interface {
	// Get returns what was put last under name, or an error that is
	// fs.ErrNotExist.
	Get(name string) ([]byte, error)

	// Put stores the files so that a reader sees each of them whole or not at
	// all. They are durable once Put returns nil; after an error any of them
	// may be stored, and the same Put may be tried again.
	Put(files ...File) error

	// Drop removes name and, if it is a folder, all below it. What is not
	// there is dropped.
	Drop(name string) error
}

// A File is a name and its content.
type File struct {
	Name string
	Data []byte
}

// Dir is the Storage in a folder.
type Dir struct{ root *os.Root }

// OpenDir returns the Storage in the folder dir, which exists.
func OpenDir(dir string) (*Dir, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Dir{root}, nil
}

// Close releases the folder.
func (d *Dir) Close() error { return d.root.Close() }

// Get implements Storage.
func (d *Dir) Get(name string) ([]byte, error) { return d.root.ReadFile(name) }

// Drop implements Storage.
func (d *Dir) Drop(name string) error { return d.root.RemoveAll(name) }

// tmpSuffix marks files that are being written. A reader never asks for one.
const tmpSuffix = ".tmp"

// Put implements Storage. It writes all files, then syncs them one after the
// other: the first sync carries the journal of the file system for the rest.
func (d *Dir) Put(files ...File) (err error) {
	open := make([]*os.File, 0, len(files))
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	folders := map[string]bool{}
	for _, f := range files {
		if err := d.mkdir(path.Dir(f.Name), folders); err != nil {
			return err
		}
		w, err := d.root.OpenFile(f.Name+tmpSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		open = append(open, w)
		if _, err := w.Write(f.Data); err != nil {
			return errors.Join(err, d.root.Remove(f.Name+tmpSuffix))
		}
	}
	for _, w := range open {
		if err := w.Sync(); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := d.root.Rename(f.Name+tmpSuffix, f.Name); err != nil {
			return err
		}
	}
	for name := range folders {
		if err := d.syncFolder(name); err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes the folder name and notes which folders must be synced.
func (d *Dir) mkdir(name string, folders map[string]bool) error {
	if folders[name] {
		return nil
	}
	folders[name] = true
	if name == "." {
		return nil
	}
	if _, err := d.root.Stat(name); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A new folder is durable when the one that holds it is synced.
	if err := d.mkdir(path.Dir(name), folders); err != nil {
		return err
	}
	if err := d.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d *Dir) syncFolder(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// list returns the names in a folder, sorted, without those being written. A
// folder that is not there has none.
func (d *Dir) list(name string) ([]string, error) {
	all, err := fs.ReadDir(d.root.FS(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	var out []string
	for _, e := range all {
		if !strings.HasSuffix(e.Name(), tmpSuffix) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}
