package record

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Names in the log's folder.
const (
	checkpointName = "checkpoint"  // the newest
	historyName    = "checkpoints" // those that are kept, each followed by an empty line
)

// A checkpoint is a signed tree head (c2sp.org/tlog-checkpoint).
type checkpoint struct {
	origin string
	size   int64
	root   tlog.Hash
	raw    []byte // the signed note
}

// sign returns the checkpoint of a tree.
func (k *key) sign(size int64, root tlog.Hash) (checkpoint, error) {
	text := k.Name() + "\n" + strconv.FormatInt(size, 10) + "\n" + root.String() + "\n"
	raw, err := note.Sign(&note.Note{Text: text}, k.Signer)
	if err != nil {
		return checkpoint{}, fmt.Errorf("record: %w", err)
	}
	return checkpoint{k.Name(), size, root, raw}, nil
}

// parseCheckpoint reads a checkpoint without checking its signatures.
func parseCheckpoint(raw []byte) (checkpoint, error) {
	text, _, ok := bytes.Cut(raw, []byte("\n\n"))
	lines := strings.Split(string(text), "\n")
	if !ok || len(lines) < 3 || lines[0] == "" {
		return checkpoint{}, errors.New("not a checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || lines[1] != strconv.FormatInt(size, 10) {
		return checkpoint{}, fmt.Errorf("not a checkpoint: tree size %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return checkpoint{}, fmt.Errorf("not a checkpoint: root hash %q", lines[2])
	}
	return checkpoint{lines[0], size, root, raw}, nil
}

// check verifies the signature and the origin of c.
func (c *checkpoint) check(v note.Verifier) error {
	if c.origin != v.Name() {
		return fmt.Errorf("wrong key: it is of the log %q, the key of %q", c.origin, v.Name())
	}
	_, err := note.Open(c.raw, note.VerifierList(v))
	var unknown *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("wrong key: it is not signed by %s+%08x", v.Name(), v.KeyHash())
	case errors.As(err, &invalid):
		return errors.New("bad signature")
	case err != nil:
		return errors.New("malformed signature")
	}
	return nil
}

// splitHistory parses the kept checkpoints, oldest first. rest is what follows
// the last whole one: a crash can leave it unfinished.
func splitHistory(b []byte) (list []checkpoint, rest []byte, err error) {
	for len(b) > 0 {
		// A block is text, empty line, signatures, empty line.
		text := bytes.Index(b, []byte("\n\n"))
		if text < 0 {
			return list, b, nil
		}
		sigs := bytes.Index(b[text+2:], []byte("\n\n"))
		if sigs < 0 {
			return list, b, nil
		}
		end := text + 2 + sigs + 1
		c, err := parseCheckpoint(b[:end:end])
		if err != nil {
			return list, nil, &Damage{Index: -1, File: historyName, What: fmt.Sprintf("checkpoint %d: %v", len(list)+1, err)}
		}
		if n := len(list); n > 0 && c.size <= list[n-1].size {
			return list, nil, &Damage{Index: c.size, File: historyName, What: fmt.Sprintf("checkpoint %d for %d entries follows one for %d: reordered or doubled", n+1, c.size, list[n-1].size)}
		}
		list = append(list, c)
		b = b[end+1:]
	}
	return list, nil, nil
}

// heads reads the kept checkpoints and the newest, and finds out whether they
// belong together. It checks no signature.
func heads(s Storage) (list []checkpoint, rest []byte, err error) {
	newest, err := s.Get(checkpointName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("record: %w", err)
	}
	// The history is read second: it is written first, so that the newest
	// checkpoint is in it.
	history, err := s.Get(historyName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("record: %w", err)
	}
	list, rest, err = splitHistory(history)
	if err != nil {
		return nil, nil, err
	}
	if newest == nil {
		if len(list) > 1 {
			return nil, nil, &Damage{Index: -1, File: checkpointName, What: "missing"}
		}
		return list, rest, nil
	}
	c, err := parseCheckpoint(newest)
	if err != nil {
		return nil, nil, &Damage{Index: -1, File: checkpointName, What: err.Error()}
	}
	if len(list) == 0 || list[len(list)-1].size < c.size {
		return nil, nil, &Damage{Index: -1, File: historyName, What: fmt.Sprintf("truncated: it lacks the newest checkpoint, for %d entries", c.size)}
	}
	return list, rest, place(s, c, list)
}

// place checks that c, the newest checkpoint, is the last of list, or the one
// before it if a crash came between the two.
func place(s Storage, c checkpoint, list []checkpoint) error {
	i := slices.IndexFunc(list, func(k checkpoint) bool { return k.size == c.size })
	if i < 0 {
		return &Damage{Index: -1, File: historyName, What: fmt.Sprintf("it lacks the checkpoint for %d entries", c.size)}
	}
	if !bytes.Equal(list[i].raw, c.raw) {
		return &Damage{Index: -1, File: checkpointName, What: fmt.Sprintf("it is not the checkpoint for %d entries that was kept", c.size)}
	}
	if len(list)-i <= 2 {
		return nil
	}
	// Either it was rolled back, or the log grew while we were reading.
	again, err := s.Get(checkpointName)
	if err == nil && !bytes.Equal(again, c.raw) {
		return nil
	}
	return &Damage{Index: c.size, File: checkpointName, What: fmt.Sprintf("rolled back: it is for %d entries, %d are signed", c.size, list[len(list)-1].size)}
}

// unsignedTiles is asked where there is no checkpoint at all. Tiles may be
// there, since a crash may come before the first checkpoint, but then the
// write-ahead log still has every entry.
func unsignedTiles(d *Dir, home string) error {
	if _, err := d.root.Stat("tile/0"); err != nil {
		return nil
	}
	firsts, err := segmentsOf(home)
	if err != nil || len(firsts) > 0 && firsts[0] == 0 {
		return err
	}
	return &Damage{Index: 0, File: checkpointName, What: "missing, and so are the kept ones"}
}
