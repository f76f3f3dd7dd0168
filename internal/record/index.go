package record

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
	"modernc.org/sqlite" // registers "sqlite"

	"outvet/call"
	"outvet/internal/filter"
)

// The index is an SQLite database with a row for each call. It is made of the
// log, by those who read it, and holds nothing that the log does not: whoever
// searches brings it up to date first, and begins anew when it is missing,
// damaged, of another version or of another log.
const (
	indexDir  = "index"
	indexName = "index.db"
	// indexBatch is how many entries one transaction adds: between two,
	// another reader gets its turn.
	indexBatch = 4096
)

// schema returns the tables. Their digest is the version of the index.
func schema() []string {
	return []string{
		// next is the index of the first entry that is not in, hash that of
		// the leaf before it.
		`CREATE TABLE state (next INTEGER NOT NULL, hash BLOB NOT NULL)`,
		`INSERT INTO state VALUES (0, x'')`,
		// tail is the ID from back to front, so that an index finds its end.
		`CREATE TABLE calls (n INTEGER PRIMARY KEY, ` + strings.Join(filter.Columns(), ", ") + `, tail TEXT NOT NULL, closed_n INTEGER, decided TEXT, closed TEXT)`,
		`CREATE INDEX calls_tail ON calls (tail)`,
		`CREATE INDEX calls_host ON calls (host COLLATE NOCASE, n)`,
		`CREATE INDEX calls_session ON calls (session COLLATE NOCASE, n)`,
		`CREATE INDEX calls_verdict ON calls (verdict COLLATE NOCASE, n)`,
		`CREATE INDEX calls_time ON calls (time)`,
	}
}

func schemaVersion() int32 {
	h := tlog.RecordHash([]byte(strings.Join(schema(), ";")))
	return int32(h[0])<<23 | int32(h[1])<<15 | int32(h[2])<<7 | int32(h[3])>>1 | 1
}

// An index is open on the database.
type index struct {
	db   *sql.DB
	path string
}

// openIndex opens the index below dir, and makes it if it cannot be used.
func openIndex(ctx context.Context, dir string) (*index, error) {
	folder := filepath.Join(dir, indexDir)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	// Whoever makes the database has it alone.
	guard, err := waitLock(filepath.Join(folder, "lock"))
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	x := &index{path: filepath.Join(folder, indexName)}
	err = x.open(ctx)
	if err == nil {
		return x, nil
	}
	if !unusable(err) {
		return nil, fmt.Errorf("record: %s: %w", x.path, err)
	}
	if err := removeIndex(x.path); err != nil {
		return nil, err
	}
	if err := x.open(ctx); err != nil {
		return nil, fmt.Errorf("record: %s: %w", x.path, err)
	}
	return x, nil
}

// errVersion says that the index was made by another version.
var errVersion = errors.New("another version of the index")

// unusable reports whether the database is not one of ours.
func unusable(err error) bool {
	if errors.Is(err, errVersion) {
		return true
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case 1, 11, 20, 24, 26: // SQLITE_ERROR (no such table), CORRUPT, MISMATCH, FORMAT, NOTADB
		return true
	}
	return false
}

func (x *index) open(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:"+escapePath(x.path)+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=cell_size_check(1)&_txlock=immediate")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(2)
	var version int32
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	switch {
	case err != nil:
	case version == 0:
		err = create(ctx, db)
	case version != schemaVersion():
		err = errVersion
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	x.db = db
	return nil
}

func escapePath(p string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(p)
}

func create(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, s := range append(schema(), fmt.Sprintf("PRAGMA user_version = %d", schemaVersion())) {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// discard removes the index below dir. Whoever has it open goes on with it.
func discard(dir string) error {
	guard, err := waitLock(filepath.Join(dir, indexDir, "lock"))
	if err != nil {
		return err
	}
	defer guard.Close()
	return removeIndex(filepath.Join(dir, indexDir, indexName))
}

func removeIndex(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("record: %w", err)
		}
	}
	return nil
}

func (x *index) close() error { return x.db.Close() }

// errOther says that the index was made of another log.
var errOther = errors.New("the index is of another log")

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == 5 // SQLITE_BUSY
}

// update adds the entries that are in the log but not in the index.
func (x *index) update(ctx context.Context, r *Reader) error {
	for {
		n, err := x.batch(ctx, r)
		if isBusy(err) && ctx.Err() == nil {
			continue // another reader is at it; what it adds we need not
		}
		if err != nil {
			return err
		}
		if n < indexBatch {
			return nil
		}
	}
}

// batch adds some entries in one transaction and returns how many.
func (x *index) batch(ctx context.Context, r *Reader) (n int, err error) {
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	var next int64
	var hash []byte
	if err := tx.QueryRowContext(ctx, "SELECT next, hash FROM state").Scan(&next, &hash); err != nil {
		return 0, err
	}
	if next > 0 {
		last, err := r.leaf(next - 1)
		if err != nil {
			return 0, err
		}
		if h := tlog.RecordHash(last.Entry); !slices.Equal(h[:], hash) {
			return 0, errOther
		}
	}
	b := &batch{ctx: ctx, tx: tx}
	for leaf, err := range r.Leaves(next) {
		if err == nil {
			err = b.add(leaf)
		}
		if err != nil {
			return 0, err
		}
		h := tlog.RecordHash(leaf.Entry)
		next, hash = leaf.Index+1, h[:]
		if n++; n == indexBatch {
			break
		}
	}
	if n == 0 {
		return 0, nil
	}
	if err := b.flush(); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE state SET next = ?, hash = ?", next, hash); err != nil {
		return 0, err
	}
	return n, tx.Commit()
}

// leaf returns entry i, or errOther if the log ends before it.
func (r *Reader) leaf(i int64) (Leaf, error) {
	for l, err := range r.Leaves(i) {
		return l, err
	}
	return Leaf{}, errOther
}

// A batch adds entries within one transaction. It keeps rows until the end,
// since most calls are closed in the batch in which they are decided.
type batch struct {
	ctx  context.Context
	tx   *sql.Tx
	find *sql.Stmt
	rows []*indexRow
	byID map[call.ID]*indexRow
}

// An indexRow is a call in the index.
type indexRow struct {
	call    Call
	decided string // entries
	closed  string
}

// add adds one entry.
func (b *batch) add(leaf Leaf) error {
	r, err := leaf.Record()
	if err != nil {
		return err
	}
	switch r.Kind {
	case call.Decided:
		b.keep(&indexRow{call: Call{Decided: r, DecidedAt: leaf.Index}, decided: string(leaf.Entry)})
	case call.Closed:
		row, err := b.row(r.ID)
		if err != nil || row == nil { // never decided: Verify will say so
			return err
		}
		row.call.Closed, row.call.ClosedAt, row.closed = r, leaf.Index, string(leaf.Entry)
	}
	return nil
}

func (b *batch) keep(row *indexRow) {
	if b.byID == nil {
		b.byID = map[call.ID]*indexRow{}
	}
	b.rows = append(b.rows, row)
	b.byID[row.call.Decided.ID] = row
}

// row returns the row of a call, or nil if it was not decided.
func (b *batch) row(id call.ID) (*indexRow, error) {
	if row := b.byID[id]; row != nil {
		return row, nil
	}
	if b.find == nil {
		var err error
		if b.find, err = b.tx.PrepareContext(b.ctx, "SELECT n, decided FROM calls WHERE tail = ? ORDER BY n DESC LIMIT 1"); err != nil {
			return nil, err
		}
	}
	row := &indexRow{}
	err := b.find.QueryRowContext(b.ctx, reversed(string(id))).Scan(&row.call.DecidedAt, &row.decided)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = row.call.decode(row.decided, "")
	}
	if err != nil {
		return nil, err
	}
	b.keep(row)
	return row, nil
}

// flush writes the rows.
func (b *batch) flush() error {
	places := strings.Repeat(", ?", len(filter.Columns())+4)
	insert, err := b.tx.PrepareContext(b.ctx, "INSERT OR REPLACE INTO calls VALUES (?"+places+")")
	if err != nil {
		return err
	}
	for _, row := range b.rows {
		c := &row.call
		args := append([]any{c.DecidedAt}, filter.Values(c.Decided, c.Closed)...)
		args = append(args, reversed(string(c.Decided.ID)))
		if c.Closed == nil {
			args = append(args, nil, row.decided, nil)
		} else {
			args = append(args, c.ClosedAt, row.decided, row.closed)
		}
		if _, err := insert.ExecContext(b.ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// reversed returns s from back to front, in upper case as IDs are.
func reversed(s string) string {
	b := []byte(strings.ToUpper(s))
	slices.Reverse(b)
	return string(b)
}
