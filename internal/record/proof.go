package record

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"outvet/call"
)

const proofHeader = "c2sp.org/tlog-proof@v1"

// proveWait is how long Prove waits for the checkpoint of a log that is open.
const proveWait = 3 * time.Second

// Prove returns a proof (c2sp.org/tlog-proof@v1) that a call stands in the log
// below dir: of its decided record, or of its closed one if kind is
// call.Closed. id may be a tail of an ID. The extra data of the proof is the
// entry, so that proof and public key are all that a verifier needs.
//
// The newest entries have no checkpoint yet; Prove waits for it if another
// process has the log open.
func Prove(dir string, id call.ID, kind call.Kind) ([]byte, error) {
	r, err := OpenReader(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	found, err := r.Lookup(string(id))
	if err != nil {
		return nil, err
	}
	index := found.DecidedAt
	if kind == call.Closed {
		index = found.ClosedAt
		if found.Closed == nil {
			return nil, fmt.Errorf("record: call %q is not closed", found.Decided.ID)
		}
	} else if found.Decided == nil {
		return nil, fmt.Errorf("record: call %q has no decided record", id)
	}
	return r.prove(index)
}

// prove returns the proof of one entry.
func (r *Reader) prove(index int64) ([]byte, error) {
	deadline := time.Now().Add(proveWait)
	c, err := newest(r.store)
	for ; err == nil && c.size <= index; c, err = newest(r.store) {
		if !isLocked(filepath.Join(r.home, "lock")) {
			return nil, fmt.Errorf("record: entry %d is not under a checkpoint and no process has the log open: what opens it next will sign it", index)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("record: entry %d is not under a checkpoint yet: try again in a second", index)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	n := index / tileWidth
	list, err := readBundle(r.store, n, int(index%tileWidth)+1)
	if err != nil {
		// The bundle of this checkpoint may be wider than the entry asks for.
		list, err = readBundle(r.store, n, int(min(tileWidth, c.size-n*tileWidth)))
	}
	if err != nil {
		return nil, err
	}
	entry := list[index%tileWidth]
	hashes := tlog.TileHashReader(tlog.Tree{N: c.size, Hash: c.root}, tiles{r.store})
	p, err := tlog.ProveRecord(c.size, index, hashes)
	if err == nil {
		err = tlog.CheckRecord(p, c.size, c.root, index, tlog.RecordHash(entry))
	}
	if err != nil {
		return nil, fmt.Errorf("record: entry %d: the log is damaged, verify it: %w", index, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", proofHeader, base64.StdEncoding.EncodeToString(entry), index)
	for _, h := range p {
		fmt.Fprintln(&b, h)
	}
	b.WriteByte('\n')
	b.Write(c.raw)
	return b.Bytes(), nil
}

// tiles lets x/mod read the tiles: it checks them against the checkpoint.
type tiles struct{ store Storage }

func (tiles) Height() int                         { return 8 }
func (tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (t tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, x := range list {
		h, err := readTile(t.store, x.L, x.N, x.W)
		if err != nil {
			return nil, err
		}
		out = append(out, hashBytes(h))
	}
	return out, nil
}

// A Proof is what a .tlog-proof file holds. Nothing of it is proved before
// Verify.
type Proof struct {
	Index      int64
	Entry      []byte // the extra data
	Hashes     []tlog.Hash
	Checkpoint []byte // signed note
}

// maxProof bounds a proof file: an entry in base64, at most 63 hashes and a
// checkpoint with many cosignatures.
const maxProof = 1 << 20

// ParseProof reads a .tlog-proof file.
func ParseProof(b []byte) (*Proof, error) {
	bad := func(line int, what string) (*Proof, error) {
		return nil, fmt.Errorf("record: proof, line %d: %s", line, what)
	}
	if len(b) > maxProof {
		return nil, fmt.Errorf("record: a proof of %d bytes is too long", len(b))
	}
	head, checkpoint, ok := bytes.Cut(b, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofHeader {
		return bad(1, "not "+proofHeader)
	}
	p, n := &Proof{Checkpoint: checkpoint}, 1
	if n < len(lines) && strings.HasPrefix(lines[n], "extra ") {
		e, err := decode(lines[n][len("extra "):])
		if err != nil {
			return bad(n+1, "the extra data is not base64")
		}
		p.Entry = e
		n++
	}
	if n == len(lines) || !strings.HasPrefix(lines[n], "index ") {
		return bad(n+1, "the index is missing")
	}
	digits := lines[n][len("index "):]
	i, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || i < 0 || strconv.FormatInt(i, 10) != digits {
		return bad(n+1, fmt.Sprintf("the index %.30q is not a number", digits))
	}
	p.Index = i
	for n++; n < len(lines); n++ {
		h, err := decode(lines[n])
		if err != nil || len(h) != tlog.HashSize {
			return bad(n+1, "not a hash")
		}
		p.Hashes = append(p.Hashes, tlog.Hash(h))
	}
	if !ok || len(p.Hashes) > 63 {
		return bad(n+1, "an empty line and the checkpoint are missing")
	}
	return p, nil
}

// decode reads base64 that is in its one right form.
func decode(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err == nil && base64.StdEncoding.EncodeToString(b) != s {
		err = errors.New("line breaks in base64")
	}
	return b, err
}

// Verify proves that leaf is the entry p.Index of the log whose verifier key
// is vkey. A nil leaf stands for p.Entry.
func (p *Proof) Verify(leaf []byte, vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("record: %q is not a verifier key", vkey)
	}
	c, err := parseCheckpoint(p.Checkpoint)
	if err == nil {
		err = c.check(v)
	}
	if err != nil {
		return fmt.Errorf("record: checkpoint of the proof: %w", err)
	}
	if leaf == nil {
		leaf = p.Entry
	}
	if leaf == nil {
		return errors.New("record: the proof carries no entry and none was given")
	}
	if p.Index >= c.size {
		return fmt.Errorf("record: entry %d is not among the %d that the checkpoint covers", p.Index, c.size)
	}
	if err := tlog.CheckRecord(p.Hashes, c.size, c.root, p.Index, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("record: entry %d: the proof does not lead from this entry to the signed root", p.Index)
	}
	return nil
}

// VerifyProof proves offline that leaf stands in the log whose verifier key is
// vkey, by a .tlog-proof file. A nil leaf stands for the entry that the file
// carries.
func VerifyProof(proof, leaf []byte, vkey string) error {
	p, err := ParseProof(proof)
	if err != nil {
		return err
	}
	return p.Verify(leaf, vkey)
}

// isLocked reports whether a process has the log open for writing.
func isLocked(path string) bool {
	f, err := lock(path)
	if err != nil {
		return errors.Is(err, ErrLocked)
	}
	f.Close()
	return false
}
