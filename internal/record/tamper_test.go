package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"outvet/call"
)

// A tampering changes a log of 1,402 entries: five full bundles and one of
// 122, with a checkpoint at 602 entries and the last one.
type tampering struct {
	name  string
	do    func(t *testing.T, home string)
	index int64  // -1 where no entry is to blame
	says  string // in the error
}

func edit(name string, f func(b []byte) []byte) func(*testing.T, string) {
	return func(t *testing.T, home string) {
		t.Helper()
		path := filepath.Join(home, filepath.FromSlash(name))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, home string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(home, filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
}

// rebundle changes the entries of a bundle.
func rebundle(name string, f func(list [][]byte) [][]byte) func(*testing.T, string) {
	return edit(name, func(b []byte) []byte {
		list, err := splitBundle(bytes.Clone(b))
		if err != nil {
			panic(err)
		}
		var out []byte
		for _, e := range f(list) {
			out = appendBundle(out, e)
		}
		return out
	})
}

func flip(i int) func([]byte) []byte {
	return func(b []byte) []byte {
		if i < 0 {
			i += len(b)
		}
		b[i] ^= 4
		return b
	}
}

func all(fs ...func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, home string) {
		for _, f := range fs {
			f(t, home)
		}
	}
}

const secondBundle = "tile/entries/002" // a full one under no earlier checkpoint

func changeEntry(i int) func([][]byte) [][]byte {
	return func(list [][]byte) [][]byte {
		list[i] = bytes.Replace(list[i], []byte(`"kind"`), []byte(`"kinD"`), 1)
		return list
	}
}

// rehash makes the tile of leaves fit the bundle again.
func rehash(n string) func(*testing.T, string) {
	return func(t *testing.T, home string) {
		b, err := os.ReadFile(filepath.Join(home, "tile/entries/"+n))
		if err != nil {
			t.Fatal(err)
		}
		list, _ := splitBundle(b)
		edit("tile/0/"+n, func([]byte) []byte {
			var h []tlog.Hash
			for _, e := range list {
				h = append(h, tlog.RecordHash(e))
			}
			return hashBytes(h)
		})(t, home)
	}
}

func tamperings() []tampering {
	cutAt := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	blocks := func(f func([]string) []string) func([]byte) []byte {
		return func(b []byte) []byte {
			list, _, err := splitHistory(b)
			if err != nil {
				panic(err)
			}
			var parts []string
			for _, c := range list {
				parts = append(parts, string(c.raw)+"\n")
			}
			return []byte(strings.Join(f(parts), ""))
		}
	}
	return []tampering{
		{"flipped entry", rebundle(secondBundle, changeEntry(100)), 612, "changed"},
		{"flipped entry in the first bundle", rebundle("tile/entries/000", changeEntry(0)), 0, "changed"},
		{"flipped entry in the partial bundle", rebundle("tile/entries/005.p/122", changeEntry(121)), 1401, "changed"},
		{"flipped entry and its hash", all(rebundle(secondBundle, changeEntry(100)), rehash("002")), 602, "rewritten"},
		{"removed entry", rebundle(secondBundle, func(l [][]byte) [][]byte { return slices.Delete(l, 7, 8) }), 519, "removed: entry 520 stands here"},
		{"removed last entry of a bundle", rebundle(secondBundle, func(l [][]byte) [][]byte { return l[:255] }), 767, "truncated"},
		{"inserted entry", rebundle(secondBundle, func(l [][]byte) [][]byte {
			return slices.Insert(l, 7, []byte(`{"kind":"start","time":"2026-11-20T00:00:00Z"}`))[:256]
		}), 519, "inserted: what was signed here is entry 520 now"},
		{"doubled entry", rebundle(secondBundle, func(l [][]byte) [][]byte { return append(l, l[0]) }), 768, "follow"},
		{"reordered entries", rebundle(secondBundle, func(l [][]byte) [][]byte { l[3], l[9] = l[9], l[3]; return l }), 515, "reordered: entry 521 stands here"},
		{"reordered bundles", func(t *testing.T, home string) {
			swap(t, home, "tile/entries/002", "tile/entries/003")
		}, 512, "changed"},
		{"reordered bundles and tiles", func(t *testing.T, home string) {
			swap(t, home, "tile/entries/002", "tile/entries/003")
			swap(t, home, "tile/0/002", "tile/0/003")
		}, 512, "rewritten"},
		{"broken length", edit(secondBundle, flip(0)), 512, ""},
		{"truncated bundle", edit(secondBundle, cutAt(10)), 767, "ends within"},
		{"missing bundle", remove("tile/entries/003"), 768, "missing"},
		{"missing partial bundle", remove("tile/entries/005.p"), 1280, "missing"},
		{"emptied bundle", edit(secondBundle, func([]byte) []byte { return nil }), 512, "truncated"},
		{"flipped hash", edit("tile/0/002", flip(32*9)), 521, "not the hash of the entry"},
		{"flipped hash in the partial tile", edit("tile/0/005.p/122", flip(-1)), 1401, "not the hash of the entry"},
		{"flipped hash above", edit("tile/1/000.p/5", flip(33)), 256, "not the hash of the tiles below"},
		{"missing tile", remove("tile/0/003"), 768, "missing"},
		{"missing tile above", remove("tile/1"), 0, "missing"},
		{"truncated tile", edit("tile/0/003", cutAt(1)), 768, "truncated"},
		{"older partial tile", edit("tile/1/000.p/2", flip(1)), 0, "beginning"},
		{"checkpoint with another size", edit("checkpoint", func(b []byte) []byte { return bytes.Replace(b, []byte("\n1402\n"), []byte("\n1401\n"), 1) }), -1, "lacks the checkpoint for 1401"},
		{"checkpoint with another root", edit("checkpoint", flip(30+60)), -1, ""},
		{"checkpoint garbled", edit("checkpoint", func([]byte) []byte { return []byte("what\n") }), -1, "not a checkpoint"},
		{"checkpoint missing", remove("checkpoint"), -1, "missing"},
		{"kept checkpoints missing", remove("checkpoints"), -1, "truncated"},
		{"all checkpoints missing", all(remove("checkpoint"), remove("checkpoints")), 0, "missing"},
		{"kept checkpoint dropped", edit("checkpoints", blocks(func(p []string) []string { return p[:len(p)-1] })), -1, "truncated: it lacks the newest"},
		{"kept checkpoints cut", edit("checkpoints", cutAt(20)), -1, "truncated: it lacks the newest"},
		{"kept checkpoints reordered", edit("checkpoints", blocks(func(p []string) []string { slices.Reverse(p); return p })), 602, "reordered"},
		{"bad signature", all(edit("checkpoints", flip(-10)), edit("checkpoint", flip(-9))), -1, "signature"},
		{"bad signature of an old checkpoint", edit("checkpoints", blocks(func(p []string) []string {
			p[0] = p[0][:len(p[0])-10] + "AAAA" + p[0][len(p[0])-6:]
			return p
		})), -1, "checkpoint 1, for 602 entries"},
		{"truncated to an older tree", func(t *testing.T, home string) {
			// The attacker keeps an old checkpoint, but cannot unsign the new.
			edit("checkpoints", blocks(func(p []string) []string { return p[:1] }))(t, home)
		}, -1, "truncated"},
	}
}

func swap(t *testing.T, home, a, b string) {
	t.Helper()
	a, b = filepath.Join(home, a), filepath.Join(home, b)
	for _, m := range [][2]string{{a, a + "x"}, {b, a}, {a + "x", b}} {
		if err := os.Rename(m[0], m[1]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTamperingIsFoundAndNamed(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 300)
	fill(t, dir, 399)
	for _, x := range tamperings() {
		t.Run(x.name, func(t *testing.T) {
			mine := t.TempDir()
			if err := os.CopyFS(mine, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(mine, privateName), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(mine, VerifyOptions{}); err != nil {
				t.Fatal("before: ", err)
			}
			x.do(t, filepath.Join(mine, "log"))
			_, err := Verify(mine, VerifyOptions{})
			var d *Damage
			if !errors.As(err, &d) {
				t.Fatalf("found nothing: %v", err)
			}
			t.Log(err)
			if d.Index != x.index || !strings.Contains(d.What, x.says) || d.File == "" {
				t.Errorf("want entry %d, %q", x.index, x.says)
			}
		})
	}
}

func TestEveryFlippedByteOfTheWriteAheadLogIsFound(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		write(t, l, decided("s", i))
	}
	abandon(l)
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.Tail != 6 {
		t.Fatal(rep, err)
	}
	path := filepath.Join(dir, "log", segmentName(0))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if i%7 > 0 && i > 60 {
			continue
		}
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var d *Damage
		if _, err := Verify(dir, VerifyOptions{}); !errors.As(err, &d) || !strings.HasPrefix(d.File, "wal/") {
			t.Fatalf("byte %d: %v", i, err)
		}
		if l, err := Open(dir, Options{}); !errors.As(err, &d) {
			if err == nil {
				l.Close()
			}
			t.Fatalf("byte %d: opened: %v", i, err)
		}
	}
	// Frames: removed, doubled, swapped.
	var frames [][]byte
	for b := whole[segmentHead:]; len(b) > 0; {
		n := frameHead + int(binary.BigEndian.Uint16(b))
		frames = append(frames, b[:n])
		b = b[n:]
	}
	for name, list := range map[string][][]byte{
		"removed": slices.Concat(frames[:2], frames[3:]),
		"doubled": slices.Concat(frames[:3], frames[2:]),
		"swapped": slices.Concat(frames[:2], frames[3:4], frames[2:3], frames[4:]),
	} {
		b := slices.Concat(whole[:segmentHead], bytes.Join(list, nil))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var d *Damage
		want := int64(2)
		if name == "doubled" {
			want = 3
		}
		if _, err := Verify(dir, VerifyOptions{}); !errors.As(err, &d) || d.Index != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTornEndIsCutAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, l, decided("s", 1))
	write(t, l, decided("s", 2))
	abandon(l)
	path := filepath.Join(dir, "log", segmentName(0))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(whole) - 1; n > len(whole)-40; n-- {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.Tail != 2 || rep.Torn == 0 {
			t.Fatal(n, rep, err)
		}
	}
	if err := os.WriteFile(path, append(whole, make([]byte, 5000)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.Tail != 3 || rep.Torn != 5000 {
		t.Fatal(rep, err)
	}
	open(t, dir).Close()
	if rep, err := Verify(dir, VerifyOptions{}); err != nil || rep.Calls != 2 {
		t.Fatal(rep, err)
	}
}

func TestKeysThatAreLostOrWrongAreNamed(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	fill(t, dir, 3)
	fill(t, other, 3)
	key, pub := filepath.Join(dir, privateName), filepath.Join(dir, publicName)
	mine, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	minePub, err := os.ReadFile(pub)
	if err != nil {
		t.Fatal(err)
	}
	public, err := PublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	var d *Damage
	if _, err := Verify(dir, VerifyOptions{Key: public}); !errors.As(err, &d) {
		t.Error(err)
	} else {
		t.Log(err)
	}
	otherKey, _ := os.ReadFile(filepath.Join(other, privateName))
	for want, do := range map[string]func() error{
		"is missing":            func() error { return os.Remove(key) },
		"are not a pair":        func() error { return os.WriteFile(key, otherKey, 0o600) },
		"is not a signer key":   func() error { return os.WriteFile(key, []byte("garbage\n"), 0o600) },
		"can be read by others": func() error { return errors.Join(os.WriteFile(key, mine, 0o600), os.Chmod(key, 0o644)) },
		"not a verifier key":    func() error { return errors.Join(os.Chmod(key, 0o600), os.WriteFile(pub, []byte("x"), 0o600)) },
	} {
		if err := errors.Join(os.WriteFile(key, mine, 0o600), os.Chmod(key, 0o600), os.WriteFile(pub, minePub, 0o644)); err != nil {
			t.Fatal(err)
		}
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			if err == nil {
				l.Close()
			}
			t.Errorf("want %q: %v", want, err)
		}
	}
	// The public key follows from the private one.
	if err := errors.Join(os.WriteFile(key, mine, 0o600), os.Chmod(key, 0o600), os.Remove(pub)); err != nil {
		t.Fatal(err)
	}
	open(t, dir).Close()
	if _, err := Verify(dir, VerifyOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := Open(dir, Options{Origin: "example.com/log"}); err == nil || !strings.Contains(err.Error(), "has the origin") {
		t.Error(err)
	}
	if _, err := Open(t.TempDir(), Options{Origin: "a b+c"}); err == nil || !strings.Contains(err.Error(), "origin") {
		t.Error(err)
	}
}

func TestStoryThatDoesNotHoldIsFoundThoughTheTreeIsSigned(t *testing.T) {
	d1, d2 := decided("s", 1), decided("s", 2)
	d1.Seq, d2.Seq = 1, 2
	d3 := *d2
	d3.Seq = 3
	entry := func(r *call.Record) []byte { return appendRecord(nil, r) }
	for name, x := range map[string]struct {
		list  [][]byte
		index int64
		says  string
	}{
		"gap":               {[][]byte{entry(d1), entry(&d3)}, 1, "goes on with number 3 after 1"},
		"twice":             {[][]byte{entry(d1), entry(d2), entry(&d3)}, 2, "decided twice"},
		"not decided":       {[][]byte{entry(closing(d1))}, 0, "was not decided"},
		"closed twice":      {[][]byte{entry(d1), entry(closing(d1)), entry(closing(d1))}, 2, "was not decided"},
		"not JSON":          {[][]byte{entry(d1), []byte("x")}, 1, "not a record"},
		"no kind":           {[][]byte{[]byte(`{}`)}, 0, "no kind"},
		"doubled key":       {[][]byte{[]byte(`{"kind":"a","kind":"b"}`)}, 0, "not a record"},
		"kind is no text":   {[][]byte{[]byte(`{"kind":1}`)}, 0, "not a record"},
		"something follows": {[][]byte{[]byte(`{"kind":"start"} {}`)}, 0, "something follows"},
	} {
		dir := t.TempDir()
		l := open(t, dir)
		l.Close()
		// The holder of the key signs what it likes.
		k, err := loadKey(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		home := filepath.Join(dir, "log")
		for _, name := range []string{"checkpoint", "checkpoints", "tile"} {
			remove(name)(t, home)
		}
		store, err := OpenDir(home)
		if err != nil {
			t.Fatal(err)
		}
		f := &feeder{store: store, key: k}
		if _, err := f.load(home); err != nil {
			t.Fatal(err)
		}
		for _, e := range x.list {
			f.add(e)
		}
		if err := f.sign(); err != nil {
			t.Fatal(err)
		}
		f.history.close()
		store.Close()
		var d *Damage
		if _, err := Verify(dir, VerifyOptions{}); !errors.As(err, &d) || d.Index != x.index || !strings.Contains(d.What, x.says) {
			t.Errorf("%s: %v", name, fmt.Sprint(err))
		}
	}
}
