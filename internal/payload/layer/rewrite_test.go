package layer

import (
	"fmt"
	"strings"
	"testing"
)

// names returns the names of the layers that stand in text.
func names(text string) string {
	var all []string
	Find([]byte(text), roomy, func(l Layer) { all = append(all, l.Name) })
	return strings.Join(all, " ")
}

func TestRunsOfBackslashesHoldNothing(t *testing.T) {
	for _, n := range []int{2, 3, 8, 25, 200, 1000} {
		line := strings.Repeat(`\`, n)
		for _, around := range []string{"x = %s\n", "%s", "// %s //\n", "%s(o_o)%s\n", "a %s b"} {
			if text := strings.ReplaceAll(around, "%s", line); names(text) != "" {
				t.Errorf("%d backslashes in %q: %s", n, around, names(text))
			}
		}
	}
}

func TestNestedStringsOpenToTheirDepth(t *testing.T) {
	for _, inner := range []string{"one\ntwo", `{"key":"` + token + `"}`, `tok\u005f9Xq2`, "<" + token + ">", `caf` + "\u00e9" + `\u00e9`} {
		text := inner
		for depth := 1; depth <= 6; depth++ {
			text = quotedJSON(text)
			if !opens([]byte(text), inner, depth) {
				t.Errorf("%q, %d deep: not found in %q", inner, depth, text)
			}
		}
	}
}

func TestLogsAreNotQuotedPrintable(t *testing.T) {
	for _, text := range []string{
		"GET /a status=200 dur=174ms trace=ce9d01 bytes=5120 retry=0\n",
		"a=20 b=17 c=12 d=31 e=12\n",
		"x=deadbeef y=cafe01 z=be5e77 w=face00",
		"?id=4512&a=aa77&b=5566&c=77ab&d=99ff",
	} {
		if got := names(strings.Repeat(text, 4)); strings.Contains(got, "quoted") {
			t.Errorf("%q: %s", text, got)
		}
	}
	for _, text := range []string{
		"key=3Dvalue", "a long line that is bro=\nken here", "caf=C3=A9 fa=C3=A7ade", "=67=68=6f=5f secret", "=67=68=6F=5F",
	} {
		if got := names(text); !strings.Contains(got, "quoted") {
			t.Errorf("%q: %q", text, got)
		}
	}
	var all strings.Builder
	for _, c := range []byte(token) {
		fmt.Fprintf(&all, "=%02x", c)
	}
	if !opens([]byte(all.String()), token, 1) {
		t.Error("small digits: not found")
	}
}
