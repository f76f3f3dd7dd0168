package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"outvet/call"
)

// Open opens or creates the log below dir, repairs what a crash left undone
// and writes a start record. It refuses a log that another process has open,
// and one that is not as it was left.
func Open(dir string, o Options) (*Log, error) {
	if o.Checkpoint <= 0 {
		o.Checkpoint = time.Second
	}
	if o.Sync <= 0 {
		o.Sync = 50 * time.Millisecond
	}
	l := &Log{
		dir: dir, home: filepath.Join(dir, "log"), o: o,
		open: map[call.ID]phase{}, patience: patience,
		written: make(chan struct{}, 1), bundle: make(chan struct{}, 1), sync1: make(chan struct{}, 1),
		quit: make(chan struct{}),
	}
	for _, d := range []string{filepath.Join(dir, "keys"), filepath.Join(l.home, "wal")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
	}
	var err error
	if l.lock, err = lock(filepath.Join(l.home, "lock")); err != nil {
		return nil, err
	}
	err = errors.Join(syncDir(dir), syncDir(l.home))
	if err == nil {
		err = l.start()
	}
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

// start recovers the log, begins a segment and writes the start record.
func (l *Log) start() error {
	store, err := OpenDir(l.home)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	l.feed = &feeder{store: store}
	if l.feed.key, err = l.openKey(store); err != nil {
		return err
	}
	note, err := l.recover()
	if err != nil {
		return err
	}
	size := l.feed.tree.size
	l.began = size
	if l.seg, err = createSegment(l.home, size, 0); err != nil {
		return err
	}
	l.firsts = []int64{size}
	l.wal = &walReader{home: l.home, at: size}
	l.savedSeqs = size / seqsEvery
	if err := l.Write(&call.Record{Kind: call.Started, Time: time.Now().UTC(), Note: note}); err != nil {
		return err
	}
	l.done.Add(1)
	go l.run()
	return nil
}

// openKey loads the key, or makes it if the log is new. A log without its key
// and a key without its log are errors: either was lost.
func (l *Log) openKey(store *Dir) (*key, error) {
	some, err := hasLog(store, l.home)
	if err != nil {
		return nil, err
	}
	k, err := loadKey(l.dir, l.o.Origin)
	path := filepath.Join(l.dir, privateName)
	switch {
	case errors.Is(err, fs.ErrNotExist) && some:
		return nil, fmt.Errorf("record: %s has a log but its key %s is missing: restore the key, or move the log away to begin a new one", l.home, path)
	case errors.Is(err, fs.ErrNotExist):
		// The segment comes first: from here on there is a log for the key.
		s, err := createSegment(l.home, 0, 0)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(s.f.Sync(), s.close(), syncDir(filepath.Join(l.home, "wal"))); err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
		return createKey(l.dir, l.o.Origin)
	case err == nil && !some:
		if firsts, err := segmentsOf(l.home); err != nil || len(firsts) == 0 {
			return nil, errors.Join(err, fmt.Errorf("record: %s exists but its log in %s is gone: restore the log, or move the key away to begin a new one", path, l.home))
		}
	}
	return k, err
}

// hasLog reports whether there is anything that was logged.
func hasLog(store *Dir, home string) (bool, error) {
	for _, name := range []string{checkpointName, historyName, "tile"} {
		if _, err := store.root.Stat(name); err == nil {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("record: %w", err)
		}
	}
	firsts, err := segmentsOf(home)
	if err != nil {
		return false, err
	}
	for _, first := range firsts {
		info, err := os.Stat(filepath.Join(home, filepath.FromSlash(segmentName(first))))
		if err != nil {
			return false, fmt.Errorf("record: %w", err)
		}
		if first > 0 || info.Size() > int64(segmentHead) {
			return true, nil
		}
	}
	return false, nil
}

// recover brings the tree to where the write-ahead log ends and signs it. It
// says what there was to repair.
func (l *Log) recover() (said string, err error) {
	f := l.feed
	rest, err := f.load(l.home)
	if err != nil {
		return "", err
	}
	before := f.tree.size
	t, err := replay(l.home, before, func(_ int64, _ string, entry []byte) error {
		f.add(entry)
		if len(f.ready) < 64 {
			return nil
		}
		return f.flush()
	})
	if err != nil {
		return "", err
	}
	if err := f.sign(); err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	var read int64
	if l.seqs, read, err = loadSeqs(f.store, f.tree.size); err != nil {
		return "", err
	}
	firsts, err := segmentsOf(l.home)
	if err != nil {
		return "", err
	}
	for _, first := range firsts {
		if f.tree.size == 0 {
			break // without its one segment, the log would seem to be gone
		}
		if err := f.store.Drop(segmentName(first)); err != nil {
			return "", fmt.Errorf("record: %w", err)
		}
	}
	l.seg = &segment{next: f.tree.size}
	if read > seqsEvery {
		l.synced = f.tree.size
		if err := l.saveSeqs(); err != nil {
			return "", err
		}
	}
	l.seg, l.synced = nil, 0
	return f.repaired(t.next-before, t.torn, rest)
}

// repaired says what recover found undone.
func (f *feeder) repaired(found, torn, rest int64) (string, error) {
	if f.tree.size == 0 {
		return "", nil
	}
	last := f.tree.size - 1
	list, err := readBundle(f.store, last/tileWidth, int(last%tileWidth)+1)
	if err != nil {
		return "", err
	}
	var r factReader
	x, err := r.read(list[last%tileWidth])
	if err != nil {
		return "", &Damage{Index: last, File: tilePath(entries, last/tileWidth, tileWidth), What: err.Error()}
	}
	if x.kind == call.Stopped {
		return "", nil
	}
	said := fmt.Sprintf("the log was not closed in order: %d entries recovered", found)
	if torn > 0 {
		said += fmt.Sprintf(", %d bytes of an entry that was never finished are cut", torn)
	}
	if rest > 0 {
		said += ", a checkpoint that was never finished is cut"
	}
	return said, nil
}

// load reads the signed state of the log: the newest checkpoint and the right
// edge of the tree. rest is how many bytes of a checkpoint it cut.
func (f *feeder) load(home string) (rest int64, err error) {
	list, cut, err := heads(f.store)
	if err != nil {
		return 0, err
	}
	f.tree = &tree{}
	if len(list) == 0 {
		if err := unsignedTiles(f.store, home); err != nil {
			return 0, err
		}
	}
	if n := len(list); n > 0 {
		c := list[n-1]
		v, err := note.NewVerifier(f.key.public)
		if err != nil {
			return 0, fmt.Errorf("record: %w", err)
		}
		if err := c.check(v); err != nil {
			return 0, &Damage{Index: -1, File: historyName, What: fmt.Sprintf("checkpoint for %d entries: %v", c.size, err)}
		}
		if err := f.loadEdge(c); err != nil {
			return 0, err
		}
		f.signed = c.size
		if newest, err := f.store.Get(checkpointName); err != nil || string(newest) != string(c.raw) {
			// A crash came between the two.
			if err := f.store.Put(File{checkpointName, c.raw}); err != nil {
				return 0, fmt.Errorf("record: %w", err)
			}
		}
	}
	if f.history, err = openHistory(home, list); err != nil {
		return 0, fmt.Errorf("record: %w", err)
	}
	return int64(len(cut)), nil
}

// loadEdge reads the right edge of the tree and proves that it is what c
// signs, the entries of the right-most bundle included.
func (f *feeder) loadEdge(c checkpoint) error {
	var edge [][]tlog.Hash
	for level := range levels(c.size) {
		w, n := edgeWidth(c.size, level)
		if w == 0 {
			edge = append(edge, nil)
			continue
		}
		h, err := readTile(f.store, level, n, w)
		if err != nil {
			return err
		}
		edge = append(edge, h)
	}
	f.tree = treeOf(c.size, edge)
	if f.tree.root() != c.root {
		w, n := edgeWidth(c.size, 0)
		return &Damage{Index: c.size - int64(w), File: tilePath(0, n, w), What: "the tiles at the end of the tree are not those that the checkpoint signs: verify the log"}
	}
	w, n := edgeWidth(c.size, 0)
	if w == 0 {
		return nil
	}
	list, err := readBundle(f.store, n, w)
	if err != nil {
		return err
	}
	for i, e := range list {
		if tlog.RecordHash(e) != edge[0][i] {
			return &Damage{Index: n*tileWidth + int64(i), File: tilePath(entries, n, w), What: "changed: its hash is not the one in the tree"}
		}
		f.bundle = appendBundle(f.bundle, e)
	}
	return nil
}
