package record

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"outvet/call"
)

// A foreign reads a log with x/mod alone: what it knows of our layout is the
// path of a tile.
type foreign struct {
	t    *testing.T
	home string
}

func (f foreign) Height() int                     { return 8 }
func (f foreign) SaveTiles([]tlog.Tile, [][]byte) {}
func (f foreign) ReadTiles(l []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, x := range l {
		// x/mod has the height in its paths, C2SP has not.
		b, err := os.ReadFile(filepath.Join(f.home, strings.Replace(x.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (f foreign) checkpoint() (*note.Note, tlog.Tree) {
	f.t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.home, "checkpoint"))
	if err != nil {
		f.t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(f.home, "../keys/log.pub"))
	if err != nil {
		f.t.Fatal(err)
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		f.t.Fatal(err)
	}
	var tree tlog.Tree
	var origin, root string
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\n", &origin, &tree.N, &root); err != nil || origin != v.Name() {
		f.t.Fatal(err, n.Text)
	}
	if tree.Hash, err = tlog.ParseHash(root); err != nil {
		f.t.Fatal(err)
	}
	return n, tree
}

func TestXModReadsTheTilesAsAnIndependentVerifier(t *testing.T) {
	dir := t.TempDir()
	f := foreign{t, filepath.Join(dir, "log")}
	var older []tlog.Tree
	for _, n := range []int{1, 100, 27, 200, 1, 900} {
		fill(t, dir, n)
		_, tree := f.checkpoint()
		hashes := tlog.TileHashReader(tree, f)
		root, err := tlog.TreeHash(tree.N, hashes)
		if err != nil || root != tree.Hash {
			t.Fatal(tree.N, err)
		}
		for _, old := range older {
			p, err := tlog.ProveTree(tree.N, old.N, hashes)
			if err != nil || tlog.CheckTree(p, tree.N, tree.Hash, old.N, old.Hash) != nil {
				t.Fatalf("%d is not a beginning of %d: %v", old.N, tree.N, err)
			}
		}
		older = append(older, tree)
		step := max(1, tree.N/50)
		for i := int64(0); i < tree.N; i += step {
			p, err := tlog.ProveRecord(tree.N, i, hashes)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(p, tree.N, tree.Hash, i, tlog.RecordHash(rawEntry(t, f.home, i, tree.N))); err != nil {
				t.Fatalf("entry %d of %d: %v", i, tree.N, err)
			}
		}
	}
}

// rawEntry reads an entry knowing nothing but the documents.
func rawEntry(t *testing.T, home string, i, size int64) []byte {
	t.Helper()
	name := fmt.Sprintf("tile/entries/%03d", i/256)
	if i/256 == size/256 {
		name += fmt.Sprintf(".p/%d", size%256)
	}
	b, err := os.ReadFile(filepath.Join(home, name))
	if err != nil {
		t.Fatal(err)
	}
	for range i % 256 {
		b = b[2+int(b[0])<<8+int(b[1]):]
	}
	return b[2 : 2+int(b[0])<<8+int(b[1])]
}

func TestTilePathsAreThoseOfC2SP(t *testing.T) {
	for want, got := range map[string]string{
		"tile/0/000":                     tilePath(0, 0, 256),
		"tile/0/x001/067":                tilePath(0, 1067, 256),
		"tile/3/x001/x234/067":           tilePath(3, 1234067, 256),
		"tile/entries/x273/112.p/1":      tilePath(entries, 273112, 1),
		"tile/0/273.p/112":               tilePath(0, 70000/256, 70000%256),
		"tile/63/x999/x999/999.p/255":    tilePath(63, 999999999, 255),
		"tile/entries/x001/x000/000.p/9": tilePath(entries, 1000000, 9),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestPartialTilesOfCheckpointsAreThereUntilTheFullOneIs(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 10) // a tree of 22
	fill(t, dir, 10) // and of 44
	for _, name := range []string{"tile/0/000.p/22", "tile/0/000.p/44", "tile/entries/000.p/22", "tile/entries/000.p/44"} {
		if _, err := os.Stat(filepath.Join(dir, "log", name)); err != nil {
			t.Error(err)
		}
	}
	fill(t, dir, 200)
	for _, name := range []string{"tile/0/000.p", "tile/entries/000.p"} {
		if _, err := os.Stat(filepath.Join(dir, "log", name)); err == nil {
			t.Error(name, "is still there")
		}
	}
}

// vectors reads a file of JSON lines.
func vectors[T any](t *testing.T, name string) (out []T) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func TestInclusionVectorsAreJudgedByProof(t *testing.T) {
	// The vectors hold leaf hashes, not entries, so they meet the check that
	// Proof.Verify rests on.
	n := 0
	for _, v := range vectors[struct {
		Desc, Root, LeafHash string
		LeafIdx, TreeSize    uint64
		Proof                []string
		WantErr              bool
	}](t, "merkle-inclusion.jsonl") {
		root, err1 := tlog.ParseHash(v.Root)
		leaf, err2 := tlog.ParseHash(v.LeafHash)
		var p tlog.RecordProof
		bad := err1 != nil || err2 != nil || v.LeafIdx > 1<<62 || v.TreeSize > 1<<62
		for _, s := range v.Proof {
			h, err := tlog.ParseHash(s)
			bad = bad || err != nil
			p = append(p, h)
		}
		if !bad {
			bad = v.LeafIdx >= v.TreeSize || tlog.CheckRecord(p, int64(v.TreeSize), root, int64(v.LeafIdx), leaf) != nil
		}
		if bad != v.WantErr {
			t.Errorf("%s (%d of %d): refused %v, want %v", v.Desc, v.LeafIdx, v.TreeSize, bad, v.WantErr)
		}
		n++
	}
	if n < 50 {
		t.Error(n, "vectors")
	}
}

func TestTreeIsThatOfTheVectors(t *testing.T) {
	// The leaves of RFC 6962's reference tree, on which the vectors rest.
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := map[int]string{}
	for _, v := range vectors[struct {
		Desc, Root1, Root2 string
		Size1, Size2       int
	}](t, "merkle-consistency.jsonl") {
		if v.Desc == "happy path" && v.Size1 > 0 && v.Size2 <= len(leaves) {
			roots[v.Size1], roots[v.Size2] = v.Root1, v.Root2
		}
	}
	var tr tree
	for i, l := range leaves {
		b, err := hex.DecodeString(l)
		if err != nil {
			t.Fatal(err)
		}
		tr.append(tlog.RecordHash(b), nil)
		if want := roots[i+1]; want != "" && want != tr.root().String() {
			t.Errorf("size %d: %s, want %s", i+1, tr.root(), want)
		}
	}
	if len(roots) < 3 {
		t.Error(roots)
	}
}

func python(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	exe, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	cmd := exec.Command(exe, append([]string{"testdata/verify.py"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestPythonVerifiesLogAndProofWithHashlibAlone(t *testing.T) {
	dir := t.TempDir()
	ids := fill(t, dir, 700)
	home, key := filepath.Join(dir, "log"), filepath.Join(dir, publicName)
	if out, err := python(t, "", "log", home, key); err != nil || out != "ok 1402" {
		t.Fatal(out, err)
	}
	proof := filepath.Join(t.TempDir(), "p.tlog-proof")
	for i, id := range []call.ID{ids[0], ids[127], ids[350], ids[699]} {
		b, err := Prove(dir, id, []call.Kind{call.Decided, call.Closed}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(proof, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := python(t, "", "proof", proof, key); err != nil || out != "ok "+string(id) {
			t.Fatal(out, err)
		}
	}
	b, _ := os.ReadFile(proof)
	os.WriteFile(proof, bytes.Replace(b, []byte("extra eyJ"), []byte("extra eyK"), 1), 0o600)
	if out, err := python(t, "", "proof", proof, key); err == nil {
		t.Error("took a forged proof:", out)
	}
	rebundle("tile/entries/003", changeEntry(3))(t, home)
	if out, err := python(t, "", "log", home, key); err == nil {
		t.Error("took a forged log:", out)
	}
}

func TestPythonJudgesSignaturesAsGoDoes(t *testing.T) {
	all := vectors[map[string]any](t, "ed25519.jsonl")
	// The cheap ones first: 100 take the script about a second.
	var in strings.Builder
	var want []string
	for _, v := range all {
		line, _ := json.Marshal(v)
		in.Write(append(line, '\n'))
		key, _ := hex.DecodeString(v["key"].(string))
		sig, _ := hex.DecodeString(v["sig"].(string))
		// RFC 8032 lets a verifier choose: Go takes A as it is and compares
		// the bytes of R; both agree on everything a key of ours can sign.
		got := "0"
		if ed25519.Verify(key, []byte(v["msg"].(string)), sig) {
			got = "1"
		}
		want = append(want, got)
	}
	out, err := python(t, in.String(), "signatures")
	if err != nil {
		t.Fatal(out, err)
	}
	differ := 0
	for i, got := range strings.Fields(out) {
		if got == want[i] {
			continue
		}
		// A signature that one takes and the other does not must have been made
		// for that, with points of low order.
		if flags := fmt.Sprint(all[i]["flags"]); !strings.Contains(flags, "low_order") && !strings.Contains(flags, "non_canonical") {
			t.Errorf("vector %v (%v): %s, Go says %s", all[i]["number"], flags, got, want[i])
		}
		differ++
	}
	t.Logf("%d vectors, %d judged otherwise", len(want), differ)
}

func TestProofNeedsNothingButThePublicKey(t *testing.T) {
	dir := t.TempDir()
	ids := fill(t, dir, 300)
	key, err := PublicKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := PublicKey(func() string { d := t.TempDir(); fill(t, d, 1); return d }())
	b, err := Prove(dir, ids[200][12:], "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseProof(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyProof(b, nil, key); err != nil {
		t.Error(err)
	}
	if err := VerifyProof(b, p.Entry, key); err != nil {
		t.Error(err)
	}
	var r call.Record
	if err := json.Unmarshal(p.Entry, &r); err != nil || r.ID != ids[200] || r.Kind != call.Decided {
		t.Error(r.ID, r.Kind, err)
	}
	replace := func(old, with string) []byte { return bytes.Replace(b, []byte(old), []byte(with), 1) }
	for name, x := range map[string]struct {
		proof, leaf []byte
		key         string
	}{
		"other key":       {b, nil, other},
		"other leaf":      {b, []byte("{}"), key},
		"other index":     {replace(fmt.Sprintf("index %d", p.Index), fmt.Sprintf("index %d", p.Index-1)), nil, key},
		"index beyond":    {replace(fmt.Sprintf("index %d", p.Index), "index 100000"), nil, key},
		"padded index":    {replace("index ", "index 0"), nil, key},
		"no key":          {b, nil, "x"},
		"no entry":        {append([]byte(proofHeader+"\n"), b[bytes.Index(b, []byte("index")):]...), nil, key},
		"hash missing":    {replace(p.Hashes[0].String()+"\n", ""), nil, key},
		"hash doubled":    {replace(p.Hashes[0].String()+"\n", strings.Repeat(p.Hashes[0].String()+"\n", 2)), nil, key},
		"other header":    {replace("@v1", "@v2"), nil, key},
		"size changed":    {replace("\n602\n", "\n601\n"), nil, key},
		"empty":           {nil, nil, key},
		"sloppy base64":   {replace("extra ", "extra  "), nil, key},
		"hash not base64": {replace(p.Hashes[0].String(), "?"), nil, key},
		"huge":            {make([]byte, maxProof+1), nil, key},
	} {
		if err := VerifyProof(x.proof, x.leaf, x.key); err == nil {
			t.Errorf("%s: taken", name)
		} else if !strings.HasPrefix(err.Error(), "record: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProofOfACallUnderWayWaitsForItsCheckpoint(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	d := decided("s", 1)
	write(t, l, d)
	b, err := Prove(dir, d.ID, call.Decided)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := PublicKey(dir)
	if err := VerifyProof(b, nil, key); err != nil {
		t.Error(err)
	}
	if _, err := Prove(dir, d.ID, call.Closed); err == nil || !strings.Contains(err.Error(), "not closed") {
		t.Error(err)
	}
	e := decided("s", 2)
	write(t, l, e)
	abandon(l)
	if _, err := Prove(dir, e.ID, call.Decided); err == nil || !strings.Contains(err.Error(), "no process has the log open") {
		t.Error(err)
	}
}

func TestHistoryGetsCoarserButStillProves(t *testing.T) {
	dir := t.TempDir()
	for range 12 {
		fill(t, dir, 1)
	}
	l := open(t, dir)
	if err := l.feed.history.thin(l.feed.store, 0, 3); err != nil {
		t.Fatal(err)
	}
	l.Close()
	fill(t, dir, 1)
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil || rep.Checkpoints > 12 || rep.Checkpoints < 8 || rep.Calls != 13 {
		t.Fatalf("%+v %v", rep, err)
	}
}
