package attack

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// autorun are files of a workspace that others run or obey, as the tries find them.
var autorun = []string{".git/hooks/pre-commit", ".git/config", ".envrc", ".vscode/tasks.json", ".mcp.json", ".claude/settings.json", ".github/workflows/ci.yml"}

// planted is what stands in files that nobody inside may change.
const planted = "# laid by outvet attack\n"

// files lays a fifo and a file in the home.
func (w *Wires) files(id string, p Places) {
	dir := filepath.Join(p.Home, id)
	if _, err := os.Stat(dir); err != nil {
		w.missing("files of the home", err)
		return
	}
	w.Plan.File = filepath.Join(dir, "profile")
	if err := w.plant(w.Plan.File, 0o666); err != nil {
		w.Plan.File = ""
		w.missing("file of the home", err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		w.missing("fifo", err)
		return
	}
	_ = os.Chmod(fifo, 0o666)
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		w.missing("fifo", err)
		return
	}
	w.Plan.Fifo = fifo
	w.stop = append(w.stop, func() { f.Close() })
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := f.Read(b)
			if err != nil {
				return
			}
			w.hit("fifo", b[:n])
		}
	}()
}

func (w *Wires) plant(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(planted), mode); err != nil {
		return err
	}
	w.planted[path] = planted
	return os.Chmod(path, mode)
}

// repository lays a folder in the workspace that looks like a project. It belongs to
// whom the workspace belongs to, who is whom the command is; nobody else may write
// there, since a program of ours comes to stand in it.
func (w *Wires) repository(id, workspace string) error {
	w.Plan.Repository = filepath.Join(workspace, id)
	if err := os.MkdirAll(w.Plan.Repository, 0o755); err != nil {
		return err
	}
	w.stop = append(w.stop, func() { os.RemoveAll(w.Plan.Repository) })
	w.Plan.Late = filepath.Join(w.Plan.Repository, "late.sock")
	for _, f := range autorun {
		if err := w.plant(filepath.Join(w.Plan.Repository, "project", f), 0o644); err != nil {
			return err
		}
	}
	for _, dir := range []string{"fresh", "moving"} {
		if err := os.MkdirAll(filepath.Join(w.Plan.Repository, dir), 0o755); err != nil {
			return err
		}
	}
	return give(w.Plan.Repository, workspace)
}

// give makes all below path belong to whom the folder of belongs to, where we are
// root and that is somebody else.
func give(path, of string) error {
	st, err := os.Stat(of)
	if err != nil {
		return err
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !ok || os.Getuid() != 0 || owner.Uid == 0 {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(owner.Uid), int(owner.Gid))
	})
}

// Bounds of what is looked for in the places of secrets.
const (
	secretsMax = 60
	secretSize = 1 << 20
)

// Aim names the files that nobody inside may read, now that all of them are there.
func (w *Wires) Aim(p Places) {
	w.Plan.State = readable(p.State, secretsMax)
	for _, s := range p.Secrets {
		w.Plan.Hidden = append(w.Plan.Hidden, readable(s, 5)...)
	}
	if len(w.Plan.Hidden) > secretsMax {
		w.Plan.Hidden = w.Plan.Hidden[:secretsMax]
	}
}

// readable returns files at or below path that have something in them and that we can
// read, those with keys first.
func readable(path string, most int) []string {
	var all []string
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || len(all) >= 20*most {
			return fs.SkipDir
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 && info.Size() <= secretSize {
			all = append(all, p)
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b string) int { return keyness(b) - keyness(a) })
	return all[:min(len(all), most)]
}

func keyness(p string) int {
	if base := filepath.Base(p); strings.Contains(base, "key") || strings.Contains(base, "token") || strings.HasPrefix(base, "id_") {
		return 1
	}
	return 0
}

// digest is how a secret is compared without being told.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// token makes up a token of GitHub, with the checksum at its end that real ones have.
func token() string {
	b := make([]byte, 30, 36)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = base62[int(b[i])%len(base62)]
	}
	sum := crc32.ChecksumIEEE(b)
	var end [6]byte
	for i := range end {
		end[5-i] = base62[sum%62]
		sum /= 62
	}
	return "ghp_" + string(append(b, end[:]...))
}
