package record

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"outvet/call"
)

// VerifyOptions of Verify. The zero value is ready.
type VerifyOptions struct {
	Key      string                  // verifier key; default is the one beside the log
	Progress func(done, total int64) // entries; called a few times a second at most
}

// A Report is what Verify found.
type Report struct {
	Origin      string    `json:"origin"`
	Size        int64     `json:"size"` // entries that are signed
	Root        string    `json:"root"` // of the tree, as in the newest checkpoint
	Checkpoints int       `json:"checkpoints"`
	Tail        int64     `json:"tail"` // entries that are not yet signed
	Torn        int64     `json:"torn,omitempty"`
	Calls       int64     `json:"calls"`
	Sessions    int       `json:"sessions"`
	Open        []call.ID `json:"open,omitempty"` // decided, not closed: under way, or lost in a crash; the first 1000
	OpenCalls   int64     `json:"open_calls"`
	First       time.Time `json:"first,omitzero"` // time of the first and the last entry
	Last        time.Time `json:"last,omitzero"`
	// Back counts the entries that are older than one before them by more than
	// MaxLag: someone changed the clock. It is no damage.
	Back int64 `json:"back,omitempty"`
}

// MaxLag is how much older than its predecessors an entry may be: writers that
// run side by side do not write in the order of their clocks.
const MaxLag = time.Minute

// Verify proves the log below dir from its entries alone: it computes the tree
// anew, compares every tile, checks signature and consistency of every
// checkpoint that was kept, the unsigned tail, and the story that the entries
// tell: numbers of a session without gaps, each call decided once and then
// closed once. It works while the log is being written.
//
// The error is a *Damage with the first bad entry if the log is not what was
// written, or says why the log could not be read. The report is filled as far
// as Verify came.
func Verify(dir string, o VerifyOptions) (Report, error) {
	v := &verification{home: filepath.Join(dir, "log"), o: o, tree: &tree{}, story: newStory()}
	v.story.report = &v.report
	err := v.run(dir)
	v.story.finish()
	return v.report, err
}

type verification struct {
	home   string
	o      VerifyOptions
	store  *Dir
	key    note.Verifier
	report Report

	heads []checkpoint // all, of which the first done are proved
	done  int
	tree  *tree // of the entries
	story *story
	doubt *doubt
	upper []upperTile // of each level the tile that was read last
}

// An upperTile is a stored tile of a level above the leaves.
type upperTile struct {
	n    int64
	data []tlog.Hash
}

func (v *verification) run(dir string) (err error) {
	public := v.o.Key
	if public == "" {
		if public, err = PublicKey(dir); err != nil {
			return err
		}
	}
	if v.key, err = note.NewVerifier(public); err != nil {
		return fmt.Errorf("record: %q is not a verifier key", public)
	}
	if _, err := os.Stat(v.home); err != nil {
		return fmt.Errorf("record: no log in %s: %w", dir, err)
	}
	if v.store, err = OpenDir(v.home); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	defer v.store.Close()
	v.report.Origin = v.key.Name()
	for {
		if err := v.signed(); err != nil {
			return err
		}
		again, err := v.unsigned()
		if err != nil || !again {
			return err
		}
	}
}

// signed proves what the checkpoints cover and have not covered before.
func (v *verification) signed() error {
	list, _, err := heads(v.store)
	if err != nil {
		return err
	}
	before := v.heads
	v.heads = list
	v.done, _ = slices.BinarySearchFunc(list, v.tree.size+1, func(c checkpoint, size int64) int { return cmp.Compare(c.size, size) })
	if n := len(before); n > 0 && (v.done == 0 || !bytes.Equal(list[v.done-1].raw, before[n-1].raw)) {
		return &Damage{Index: -1, File: historyName, What: "another history was put in its place while it was read"}
	}
	if len(list) == 0 {
		return unsignedTiles(v.store, v.home)
	}
	if err := v.signatures(list[v.done:]); err != nil {
		return err
	}
	size := list[len(list)-1].size
	v.upper = nil // they may have grown
	v.tree.node = func(level int, n int64, h tlog.Hash) { v.compare(level, n, h, size) }
	if err := v.scan(v.tree.size, size); err != nil {
		return err
	}
	v.report.Size, v.report.Root, v.report.Checkpoints = size, list[len(list)-1].root.String(), len(list)
	return v.partials(size)
}

// signatures checks that every checkpoint is signed.
func (v *verification) signatures(list []checkpoint) error {
	errs := make([]error, len(list))
	var g errgroup.Group
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(list); i += workers {
				if err := list[i].check(v.key); err != nil {
					errs[i] = &Damage{Index: -1, File: historyName, What: fmt.Sprintf("checkpoint %d, for %d entries: %v", v.done+i+1, list[i].size, err)}
				}
			}
			return nil
		})
	}
	g.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A part is a bundle, or some of its entries, read and hashed.
type part struct {
	first   int64
	entries [][]byte
	hashes  []tlog.Hash // of the entries
	stored  []tlog.Hash // as the tile of leaves has them
	facts   []facts
	unclear []error // why there are no facts
	err     error   // why there are fewer entries than there should be
	tileErr error
}

// scan proves the entries from to size. Parts are read and hashed side by
// side, and joined in order.
func (v *verification) scan(from, size int64) error {
	workers := runtime.GOMAXPROCS(0)
	queue := make(chan chan *part, 2*workers)
	quit := make(chan struct{})
	defer close(quit)
	go func() {
		defer close(queue)
		limit := make(chan struct{}, workers)
		for at := from; at < size; at = (at/tileWidth + 1) * tileWidth {
			out := make(chan *part, 1)
			select {
			case <-quit:
				return
			case limit <- struct{}{}:
			}
			go func() {
				out <- v.read(at, min(size, (at/tileWidth+1)*tileWidth))
				<-limit
			}()
			select {
			case <-quit:
				return
			case queue <- out:
			}
		}
	}()
	last := time.Now()
	for out := range queue {
		if err := v.join(<-out); err != nil {
			return err
		}
		if v.o.Progress != nil && (time.Since(last) > 200*time.Millisecond || v.tree.size == size) {
			v.o.Progress(v.tree.size, size)
			last = time.Now()
		}
	}
	return nil
}

// read reads the entries from at to end, which stand in one bundle.
func (v *verification) read(at, end int64) *part {
	n, skip := at/tileWidth, at%tileWidth
	width := int(end - n*tileWidth)
	p := &part{first: at}
	p.entries, p.err = readBundle(v.store, n, width)
	p.entries = p.entries[min(skip, int64(len(p.entries))):]
	p.stored, p.tileErr = readTile(v.store, 0, n, width)
	p.stored = p.stored[min(skip, int64(len(p.stored))):]
	var r factReader
	var buf []byte
	p.hashes, p.facts = make([]tlog.Hash, len(p.entries)), make([]facts, len(p.entries))
	p.unclear = make([]error, len(p.entries))
	for i, e := range p.entries {
		buf = append(append(buf[:0], 0), e...)
		p.hashes[i] = leafHash(buf)
		p.facts[i], p.unclear[i] = r.read(e)
	}
	return p
}

// join appends a part to the tree and finds out whether it is what was signed.
func (v *verification) join(p *part) error {
	if p.tileErr != nil {
		return p.tileErr
	}
	for i, h := range p.hashes {
		if h != p.stored[i] && v.doubt.leafless() {
			v.suspect(&doubt{index: p.first + int64(i), file: tilePath(entries, p.first/tileWidth, tileWidth), at: i, part: p, believed: v.tree.clone()})
		}
		if v.doubt != nil && v.doubt.believed != nil {
			v.doubt.believed.append(p.stored[i], nil)
		}
		v.tree.append(h, nil)
		v.story.tell(v.tree.size-1, p.facts[i], p.unclear[i])
		if err := v.reached(); err != nil {
			return err
		}
	}
	if p.err != nil {
		if v.doubt != nil && v.doubt.part == p {
			return v.doubt.ofEntry()
		}
		return p.err
	}
	return nil
}

// reached compares the tree with the next checkpoint once it has its size.
func (v *verification) reached() error {
	c := v.heads[v.done]
	if v.tree.size < c.size {
		return nil
	}
	if v.tree.root() != c.root {
		return v.unlike(c)
	}
	if v.doubt != nil {
		return v.doubt.ofTile()
	}
	v.done++
	return v.story.err
}

// unlike names what is not as c signs it.
func (v *verification) unlike(c checkpoint) error {
	d := v.doubt
	if d != nil && d.believed != nil && d.believed.root() == c.root {
		return d.ofEntry()
	}
	from := int64(0)
	if v.done > 0 {
		from = v.heads[v.done-1].size
	}
	from = v.locate(from)
	return &Damage{Index: from, File: tilePath(entries, from/tileWidth, tileWidth), What: fmt.Sprintf("rewritten: entries from here on and their hashes are not those that the checkpoint for %d entries signs", c.size)}
}

// locate returns the first entry from index from on that is not what the
// newest checkpoint signs, as near as the tiles can tell that still lead to
// its root.
func (v *verification) locate(from int64) int64 {
	last := v.heads[len(v.heads)-1]
	signed := tlog.TileHashReader(tlog.Tree{N: last.size, Hash: last.root}, tiles{v.store})
	for n := from / tileWidth; n*tileWidth < last.size; n++ {
		first := n * tileWidth
		p := v.read(first, min(last.size, first+tileWidth))
		if len(p.hashes) == tileWidth {
			h, err := signed.ReadHashes([]int64{tlog.StoredHashIndex(8, n)})
			if err != nil {
				return from // the tiles above lead nowhere
			}
			if h[0] == perfect(p.hashes) {
				continue
			}
		}
		for i, h := range p.hashes {
			want, err := signed.ReadHashes([]int64{tlog.StoredHashIndex(0, first+int64(i))})
			if err != nil {
				return max(first, from)
			}
			if want[0] != h {
				return first + int64(i)
			}
		}
		if p.err != nil {
			return first + int64(len(p.hashes))
		}
	}
	return from
}

// compare compares a hash above the leaves with the stored tile.
func (v *verification) compare(level int, n int64, h tlog.Hash, size int64) {
	if level == 0 || v.doubt != nil {
		return
	}
	for len(v.upper) <= level {
		v.upper = append(v.upper, upperTile{n: -1})
	}
	tile := n / tileWidth
	if v.upper[level].n != tile {
		width := int(min(tileWidth, size>>(8*level)-tile*tileWidth))
		data, err := readTile(v.store, level, tile, width)
		if err != nil {
			v.suspect(&doubt{index: n << (8 * level), file: tilePath(level, tile, tileWidth), err: err})
			return
		}
		v.upper[level] = upperTile{tile, data}
	}
	if v.upper[level].data[n%tileWidth] != h {
		first := n << (8 * level)
		v.suspect(&doubt{index: first, file: tilePath(entries, first/tileWidth, tileWidth), tile: tilePath(level, tile, tileWidth)})
	}
}

func (v *verification) suspect(d *doubt) {
	if v.doubt == nil || d.index < v.doubt.index {
		v.doubt = d
	}
}

// partials proves that the partial tiles that are left are beginnings of what
// the tree has there.
func (v *verification) partials(size int64) error {
	for level := entries; level < levels(size); level++ {
		w, n := edgeWidth(size, max(level, 0))
		folder := path.Dir(tilePath(level, n, 1))
		names, err := v.store.list(folder)
		if err != nil {
			return err
		}
		if w == 0 || len(names) == 0 {
			continue
		}
		whole, err := getTile(v.store, level, n, w)
		if err != nil {
			return err
		}
		for _, name := range names {
			width, err := strconv.Atoi(name)
			if err != nil || width > w {
				continue // of a checkpoint that is to come
			}
			b, err := v.store.Get(folder + "/" + name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // the full one is there by now
			}
			if err != nil {
				return fmt.Errorf("record: %w", err)
			}
			want, err := beginning(whole, level, width)
			if err != nil || !bytes.Equal(b, want) {
				return &Damage{Index: firstOf(level, n), File: folder + "/" + name, What: "changed: it is not the beginning of the tile that follows it"}
			}
		}
	}
	return nil
}

// beginning returns the first width hashes or entries of a tile.
func beginning(b []byte, level, width int) ([]byte, error) {
	if level != entries {
		if len(b) < width*tlog.HashSize {
			return nil, errShort
		}
		return b[:width*tlog.HashSize], nil
	}
	list, err := splitBundle(b)
	if err != nil || len(list) < width {
		return nil, errShort
	}
	n := 0
	for _, e := range list[:width] {
		n += 2 + len(e)
	}
	return b[:n], nil
}

// unsigned proves the tail. It reports whether checkpoints were added
// meanwhile, so that the tail is elsewhere.
func (v *verification) unsigned() (again bool, err error) {
	type entry struct {
		index int64
		f     facts
		err   error
	}
	var list []entry
	var r factReader
	t, err := replay(v.home, v.tree.size, func(i int64, _ string, e []byte) error {
		f, err := r.read(e)
		list = append(list, entry{i, f, err})
		return nil
	})
	if err != nil {
		if c, cerr := newest(v.store); cerr == nil && c.size > v.tree.size {
			return true, nil
		}
		return false, err
	}
	for _, e := range list {
		v.story.tell(e.index, e.f, e.err)
	}
	v.report.Tail, v.report.Torn = int64(len(list)), t.torn
	return false, v.story.err
}
