package record

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A feeder makes tiles of entries and signs the tree. It is for one goroutine.
type feeder struct {
	store   *Dir
	key     *key
	tree    *tree
	bundle  []byte   // the right-most entry bundle
	ready   []File   // full tiles and bundles that are not yet stored
	partial []string // folders of partial tiles that are full now

	history *history
	signed  int64 // tree size of the newest checkpoint
}

// add appends an entry to the tree.
func (f *feeder) add(entry []byte) {
	f.bundle = appendBundle(f.bundle, entry)
	n := f.tree.size / tileWidth
	f.tree.append(tlog.RecordHash(entry), func(t tile) { f.full(t.level, t.n, t.data) })
	if f.tree.size%tileWidth == 0 {
		f.full(entries, n, f.bundle)
		// The next one is likely as long.
		f.bundle = make([]byte, 0, len(f.bundle)+len(f.bundle)/8)
	}
}

func (f *feeder) full(level int, n int64, data []byte) {
	name := tilePath(level, n, tileWidth)
	f.ready = append(f.ready, File{name, data})
	f.partial = append(f.partial, name+".p")
}

// flush stores what is full.
func (f *feeder) flush() error {
	if len(f.ready) == 0 {
		return nil
	}
	if err := f.store.Put(f.ready...); err != nil {
		return err
	}
	f.ready = nil
	return nil
}

// sign stores the right edge and a checkpoint of the whole tree. Whatever
// fails may be tried again.
func (f *feeder) sign() error {
	if f.tree.size == f.signed {
		return nil
	}
	if err := f.flush(); err != nil {
		return err
	}
	if err := f.store.Put(f.edge()...); err != nil {
		return err
	}
	c, err := f.key.sign(f.tree.size, f.tree.root())
	if err != nil {
		return err
	}
	if f.history.size != c.size { // else only the rest failed before
		if err := f.history.add(c); err != nil {
			return err
		}
	}
	if err := f.store.Put(File{checkpointName, c.raw}); err != nil {
		return err
	}
	f.signed = c.size
	for _, name := range f.partial {
		if err := f.store.Drop(name); err != nil {
			return err
		}
	}
	f.partial = nil
	return f.history.thin(f.store, historyMax, historyKeep)
}

// edge returns the partial tiles and the partial bundle.
func (f *feeder) edge() (files []File) {
	for level, h := range f.tree.edge {
		if len(h) > 0 {
			_, n := edgeWidth(f.tree.size, level)
			files = append(files, File{tilePath(level, n, len(h)), hashBytes(h)})
		}
	}
	if w, n := edgeWidth(f.tree.size, 0); w > 0 {
		files = append(files, File{tilePath(entries, n, w), f.bundle})
	}
	return files
}

// run syncs, feeds and signs while there is traffic, and sleeps otherwise.
func (l *Log) run() {
	defer l.done.Done()
	signing, syncing := stopped(), stopped()
	defer signing.Stop()
	defer syncing.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-l.written:
			signing.Reset(l.o.Checkpoint)
		case <-l.sync1:
			syncing.Reset(l.o.Sync)
		case <-l.bundle:
			if err := l.step(false); err != nil {
				l.note(err)
			}
		case <-syncing.C:
			l.mu.Lock()
			l.unsync = false
			l.mu.Unlock()
			l.syncAll()
		case <-signing.C:
			l.mu.Lock()
			l.unsign = false
			l.mu.Unlock()
			if err := l.step(true); err != nil {
				l.note(err)
				signing.Reset(l.o.Checkpoint)
				continue
			}
			l.note(nil)
		}
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// step moves entries from the write-ahead log to tiles, and signs the tree if
// it is to.
func (l *Log) step(sign bool) error {
	l.mu.Lock()
	var err error
	if sign {
		err = errors.Join(l.disperse(), l.lookAt())
	}
	target := l.seg.next
	if l.stale {
		l.wal.rewind()
		l.stale = false
	}
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := l.feedTo(target); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if !sign {
		return nil
	}
	// What a checkpoint covers must survive whatever the checkpoint survives.
	if err := l.sync(target); err != nil {
		return err
	}
	if err := l.feed.sign(); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if l.feed.tree.size/seqsEvery > l.savedSeqs {
		if err := l.saveSeqs(); err != nil {
			return err
		}
		l.savedSeqs = l.feed.tree.size / seqsEvery
	}
	return l.dropSegments(l.feed.signed)
}

// feedTo adds the entries before target to the tree.
func (l *Log) feedTo(target int64) error {
	for l.feed.tree.size < target {
		// Tiles that could not be stored are stored before more are made.
		if err := l.feed.flush(); err != nil {
			return err
		}
		for i := 0; i < tileEvery && l.feed.tree.size < target; i++ {
			entry, err := l.wal.next()
			if err != nil {
				return err
			}
			l.feed.add(entry)
		}
	}
	return l.feed.flush()
}

// dropSegments removes the segments all of whose entries stand below size, but
// never the one that is written.
func (l *Log) dropSegments(size int64) error {
	for {
		l.mu.Lock()
		if len(l.firsts) < 2 || l.firsts[1] > size {
			l.mu.Unlock()
			return nil
		}
		first := l.firsts[0]
		l.mu.Unlock()
		if err := l.feed.store.Drop(segmentName(first)); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		l.mu.Lock()
		l.firsts = l.firsts[1:]
		l.mu.Unlock()
	}
}
