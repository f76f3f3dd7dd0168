package match_test

import (
	"fmt"

	"outvet/internal/match"
)

func Example() {
	m, err := match.New([]match.Pattern{
		{ID: "token", Expr: `\btok_([0-9a-z]{8})\b`, Group: 1},
		{ID: "known value", Expr: `correct horse`},
	})
	if err != nil {
		panic(err)
	}
	text := []byte("the correct horse eats tok_0123abcd")
	var s match.Scratch
	hits, err := m.Scan(text, &s)
	for _, h := range hits {
		fmt.Println(h.Pattern, string(text[h.Start:h.End]), string(text[h.From:h.To]))
	}
	fmt.Println(err)

	_, err = match.New([]match.Pattern{{ID: "hash", Expr: `[0-9a-f]{40}`}})
	fmt.Println(err)
	// Output:
	// 1 correct horse correct horse
	// 0 tok_0123abcd 0123abcd
	// <nil>
	// match: pattern "hash": no literal of 2 bytes or more that every match contains: hang it on a word that stands beside it
}
