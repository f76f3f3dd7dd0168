// Package match finds all patterns of all inspectors in one pass over a text.
//
// # What is found
//
// A Pattern is an expression of package regexp. Its hits are the matches that
// package regexp finds over the whole text: leftmost, by its order of
// preference, not overlapping. Hits of different patterns may overlap and are
// all reported. Three things differ:
//
//   - Extend prolongs a match while the bytes behind it are of a class, and the
//     group too if it ends where the match does. A match that lies within a
//     prolonged hit of its pattern is not reported; one that runs out of it is,
//     so that the two overlap. Only ASCII bytes are ever in the class.
//   - A pattern with a Group that begins with an optional class, as short as
//     possible, such as `[\w.-]{0,50}?`, is looked for without it: the hit may
//     begin later, its group is the same.
//   - U+017F and U+212A, which fold to s and k, may be missed where
//     (?i) would find them.
//
// The text must be valid UTF-8. In a text that is a window of a longer one,
// \b ^ $ hold at its edges as at those of any text.
//
//	m, err := match.New([]match.Pattern{
//		{ID: "token", Expr: `\btok_([0-9a-z]{20})\b`, Group: 1},
//		{ID: "jwt", Expr: `\beyJ[0-9A-Za-z_-]{10,99}\.eyJ`, Extend: `0-9A-Za-z_.\-`},
//		{ID: "known value", Expr: regexp.QuoteMeta(value)},
//	})
//	hits, err := m.Scan(text, &scratch)
//
// Begin and Go read several stretches of one text, each as a text of its own,
// within one budget.
//
// # The laws of patterns
//
// New refuses a pattern that would be slow or blind, and names all of them:
//
//   - Each match contains one of a few literals of at least 2 bytes; 4 are
//     better. `[0-9a-f]{40}` has none: hang it on a word beside it.
//   - At most 1,024 bytes of a match stand before its literal and at most 1,024
//     after it; a character that may lie outside ASCII counts 4. A value of any
//     length is a bounded expression that decides and an Extend that finds the
//     end. There is no other way to match without bound.
//   - A match has at least 3 bytes; so no pattern matches the empty string.
//   - Group is one of the expression's, Extend is a class, IDs are unique.
//
// Check, for the tests of those who write patterns, also demands:
//
//   - What begins with the literal has at most 4,000 states. Two gaps of many
//     arbitrary bytes behind one another have more: look for the second word.
//
// A pattern that is one plain literal, as a known secret value is, has no other
// law than its 3 bytes. Thousands of them are cheap: they share the filter and
// are compared byte by byte.
//
// A greedy optional start, or one of a pattern without a Group, is tried at
// each of its lengths for each candidate. It is best left out.
//
// # How it is found
//
// A text is read three times, each time much less of it.
//
//  1. filter.go: at every second position the three bytes, folded to one case,
//     are looked up in a bitmap of 32 KiB. Of each literal two stand for it, at an
//     even and at an odd place: those that are rarest in ordinary text (trigrams.bin).
//  2. dfa.go: where a literal stands, the DFA of "literal and rest" of each of
//     its patterns runs until it dies, which on harmless text it does after a
//     few bytes. States are built when a text first needs them, by whichever
//     goroutine comes first, and stay; all of a matcher take at most 8 MiB.
//     Where there is no room for a state the answer is "maybe".
//  3. confirm.go, backtrack.go: what is left is matched by backtracking, which
//     takes no choice twice at one place, from each place where the match may
//     begin. This finds the ends and the group, in the order of preference of
//     package regexp and without allocating. Of an alternation of many words
//     only those are tried that begin with the byte that stands there (fork.go).
//
// anchor.go derives the literals, laws.go holds the laws.
//
// # What it may cost
//
// An adversary chooses the text, so its cost is counted: one step for each byte
// read by a DFA or compared, two for each instruction of backtracking. A text
// of n bytes has 65,536 + 48n steps and 8,192 + n/8 candidates; when they are
// used up Scan returns ErrBudget with the hits found so far. Ordinary text takes
// below 1 % of its budget, a file of nothing but assignments to names like
// API_KEY about 15 % for each pattern that looks for such
// (TestBudgetIsFarFromOrdinaryText). Building a state is not counted, so that a
// text is not refused for being the first: each is built once, and their number
// is bounded. Scan allocates nothing once its Scratch has grown and the states
// it needs are built (TestScanDoesNotAllocate).
package match
