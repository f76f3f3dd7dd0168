package payload

import (
	"math/rand/v2"
	"testing"
)

// classifySlowly is what classify says, step by step.
func classifySlowly(s []byte) tokenKind {
	word := true
	run, last := 0, uint8(glue)
	for _, b := range s {
		k := class[b]
		switch k {
		case lower:
			run++
		case space:
			return noToken
		case upper:
			if last == upper || last == lower && run < 3 {
				word = false
			}
			run = 1
		case glue:
			if last != glue && run < 3 {
				word = false
			}
			run = 0
		default:
			word = false
		}
		last = k
	}
	if word && run >= 3 {
		return wordToken
	}
	return dataToken
}

func TestWordsAreToldFromData(t *testing.T) {
	for s, want := range map[string]tokenKind{
		"user": wordToken, "tool_calls": wordToken, "toolCalls": wordToken, "Read-File": wordToken, "Bash": wordToken,
		"": dataToken, "id": dataToken, "a1": dataToken, "call_01": dataToken, "HTTP": dataToken, "toCalls": dataToken,
		"two words": noToken, "line\n": noToken,
	} {
		if got := classify([]byte(s)); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
	r := rand.New(rand.NewPCG(3, 3))
	const bytes = "abcXYZ_-./09+\x80 "
	for range 200_000 {
		s := make([]byte, r.IntN(9))
		for i := range s {
			s[i] = bytes[r.IntN(len(bytes)-1)]
			if r.IntN(40) == 0 {
				s[i] = ' '
			}
		}
		if got, want := classify(s), classifySlowly(s); got != want {
			t.Fatalf("%q: %v, want %v", s, got, want)
		}
	}
}
