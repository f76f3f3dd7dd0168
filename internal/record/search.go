package record

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"outvet/call"
	"outvet/internal/filter"
)

// A Call is what the log holds of one call. Closed is nil while the call is
// under way, and after a crash.
type Call struct {
	Decided   *call.Record `json:"decided"`
	Closed    *call.Record `json:"closed,omitempty"`
	DecidedAt int64        `json:"decided_at"` // index of the entry
	ClosedAt  int64        `json:"closed_at,omitempty"`
}

// SearchOptions of Search. The zero value is ready.
type SearchOptions struct {
	Limit int       // at most so many calls; 0 is all
	Now   time.Time // from which ages count; default is the current time
}

// Search yields the calls in the log below dir that match e, the newest first.
// It brings the index up to date before, also while another process writes
// the log. After an error it ends.
func Search(ctx context.Context, dir string, e filter.Expr, o SearchOptions) iter.Seq2[Call, error] {
	return func(yield func(Call, error) bool) {
		r, err := OpenReader(dir)
		if err != nil {
			yield(Call{}, err)
			return
		}
		defer r.Close()
		given := false
		once := func(c Call, err error) bool {
			given = true
			return yield(c, err)
		}
		err = r.search(ctx, e, o, once)
		if unusable(err) && !given { // damage that showed only now
			if err = discard(dir); err == nil {
				err = r.search(ctx, e, o, once)
			}
		}
		if err != nil {
			yield(Call{}, indexError(err))
		}
	}
}

func (r *Reader) search(ctx context.Context, e filter.Expr, o SearchOptions, yield func(Call, error) bool) error {
	x, err := r.index(ctx)
	if err != nil {
		return err
	}
	defer x.close()
	return x.search(ctx, e, o, yield)
}

// index returns the index, up to date. One that cannot be used is made anew,
// once.
func (r *Reader) index(ctx context.Context) (*index, error) {
	for again := false; ; again = true {
		x, err := openIndex(ctx, r.dir)
		if err != nil {
			return nil, err
		}
		err = x.update(ctx, r)
		if err == nil {
			return x, nil
		}
		x.close()
		if again || !errors.Is(err, errOther) && !unusable(err) {
			return nil, err
		}
		if err := discard(r.dir); err != nil {
			return nil, err
		}
	}
}

func indexError(err error) error {
	if strings.HasPrefix(err.Error(), "record: ") {
		return err
	}
	return fmt.Errorf("record: index: %w", err)
}

// search yields the matching calls of the index.
func (x *index) search(ctx context.Context, e filter.Expr, o SearchOptions, yield func(Call, error) bool) error {
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	where, args, exact := e.SQL(now)
	q := "SELECT n, decided, IFNULL(closed_n, 0), IFNULL(closed, '') FROM calls WHERE " + where + " ORDER BY n DESC"
	if exact && o.Limit > 0 {
		q += fmt.Sprintf(" LIMIT %d", o.Limit)
	}
	rows, err := x.db.QueryContext(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for n := 0; rows.Next() && (o.Limit <= 0 || n < o.Limit); {
		var c Call
		var decided, closed string
		if err := rows.Scan(&c.DecidedAt, &decided, &c.ClosedAt, &closed); err != nil {
			return err
		}
		if err := c.decode(decided, closed); err != nil {
			return err
		}
		if !exact && !e.Match(c.Decided, c.Closed, now) {
			continue
		}
		n++
		if !yield(c, nil) {
			return nil
		}
	}
	return rows.Err()
}

func (c *Call) decode(decided, closed string) (err error) {
	if c.Decided, err = (Leaf{c.DecidedAt, []byte(decided)}).Record(); err == nil && closed != "" {
		c.Closed, err = (Leaf{c.ClosedAt, []byte(closed)}).Record()
	}
	return err
}

// minTail is the shortest tail of an ID that Lookup takes; a whole ID may be
// shorter.
const minTail = 4

// An AmbiguousError says that several calls have an ID with that tail.
type AmbiguousError struct {
	Tail  string
	Calls []Call // the newest of them, at most 10
}

// Error lists the candidates.
func (e *AmbiguousError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "record: several calls end in %q:", e.Tail)
	for _, c := range e.Calls {
		fmt.Fprintf(&b, "\n  %s  %s  %s %s%s", c.Decided.ID, c.Decided.Time.Format(time.RFC3339), c.Decided.Method, c.Decided.Host, c.Decided.Target)
	}
	return b.String()
}

// ErrNotFound says that no call has the ID.
var ErrNotFound = errors.New("no such call")

// Lookup returns the call with that ID, or with an ID that ends so; letters of
// either case will do. The error is ErrNotFound or an *AmbiguousError.
func (r *Reader) Lookup(id string) (Call, error) {
	ctx := context.Background()
	x, err := r.index(ctx)
	if err != nil {
		return Call{}, indexError(err)
	}
	defer x.close()
	// All IDs with this tail stand together in the index of reversed ones.
	from := reversed(id)
	rows, err := x.db.QueryContext(ctx, "SELECT n, decided, IFNULL(closed_n, 0), IFNULL(closed, '') FROM calls WHERE tail >= ? AND tail < ? ORDER BY n DESC LIMIT 10", from, from+"\U0010FFFF")
	if err != nil {
		return Call{}, indexError(err)
	}
	defer rows.Close()
	var found []Call
	for rows.Next() {
		var c Call
		var decided, closed string
		if err := rows.Scan(&c.DecidedAt, &decided, &c.ClosedAt, &closed); err != nil {
			return Call{}, indexError(err)
		}
		if err := c.decode(decided, closed); err != nil {
			return Call{}, err
		}
		if strings.EqualFold(string(c.Decided.ID), id) {
			return c, nil
		}
		found = append(found, c)
	}
	switch {
	case rows.Err() != nil:
		return Call{}, indexError(rows.Err())
	case len(id) < minTail:
		return Call{}, fmt.Errorf("record: %q is too short for the end of an ID: give at least %d characters", id, minTail)
	case len(found) == 0:
		return Call{}, fmt.Errorf("record: %q: %w", id, ErrNotFound)
	case len(found) > 1:
		return Call{}, &AmbiguousError{id, found}
	}
	return found[0], nil
}
