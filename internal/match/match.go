package match

// A Pattern is one expression to look for.
type Pattern struct {
	ID     string // unique in its matcher
	Expr   string // syntax of package regexp
	Extend string // a byte class, as between [ and ]: the match is prolonged while bytes are in it
	Group  int    // submatch that is the value looked for; 0 for all of the match
}

// A Hit is one match: Text[Start:End] matched pattern Pattern, and its Group
// is Text[From:To].
type Hit struct {
	Pattern    int // index into the patterns given to New
	Start, End int
	From, To   int
}

// A Matcher looks for a fixed set of patterns. It is immutable and safe for
// concurrent use, with one Scratch a goroutine.
type Matcher struct{}

// New compiles the patterns. It refuses a pattern that breaks the laws of
// patterns (see the package documentation), naming it and the law.
func New(patterns []Pattern) (*Matcher, error) { panic("not written") }

// A Scratch is the working memory of a scan. The zero value is ready.
type Scratch struct{}

// Scan returns the hits in text, in the order of their starts; they are valid until the next
// Scan with s. It allocates nothing beyond the growth of s. When a text needs
// more than its budget of steps the error is ErrBudget, which the caller must
// treat as "not inspected".
func (m *Matcher) Scan(text []byte, s *Scratch) ([]Hit, error) { panic("not written") }

// ErrBudget says that a text was made to cost more than it may.
var ErrBudget = errorString("match: text exceeds its budget of steps")

type errorString string

func (e errorString) Error() string { return string(e) }
