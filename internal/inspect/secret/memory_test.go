package secret

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/payload"
)

// Pieces of secrets, whole and cut where a memory might lose them.
var planted = []string{
	"ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"[:36],
	"AKIA" + "Q3EGRIX7YHPTKMUV",
	"postgres://svc:pLm93kQz71@db.internal.example/x",
	"password = 'kx9!Tq27vLw#r'",
	"my api_key",
	"api_key",
	"password:",
	"x8Jk20sLq93mVb71TzPw45",
	"machine db.corp login svc password",
	"kx9Tq27vLwr3",
	"-----BEGIN RSA PRIVATE KEY-----",
	"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAu3Zk5vT0d8b2Qm1XhR7nYc4LpWsE9fGjKaVtBxDzHqNoUiMy\nMIIEpAIBAAKCAQEAu3Zk5vT0d8b2Qm1XhR7nYc4LpWsE9fGjKaVtBxDzHqNoUiMy\n-----END RSA PRIVATE KEY-----",
	"MIIEpAIBAAKCAQEAu3Zk5vT0d8b2Qm1XhR7nYc4LpWsE9fGjKaVtBxDzHqNoUiMyQ3EGRIX7YHPTKMUVaB",
	"see asana",
	"1/1234567890123456:0a1b2c3d4e5f60718293a4b5c6d7e8f9",
	"kty",
	"curl",
	" -u deploy:kx9Tq27vLwr3 ",
	"dapi" + "0123456789abcdef0123456789abcdef",
	"\nd\nq83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
}

// halves are ends of long texts that say nothing until a field stands behind them.
var halves = [][3]string{
	{"here is my api_key", "value", "x8Jk20sLq93mVb71TzPw45"},
	{"take it from asana", "note", "1/1234567890123456:0a1b2c3d4e5f60718293a4b5c6d7e8f9"},
	{"then run curl", "note", " -u deploy:kx9Tq27vLwr3 "},
	{"it has a kty and an x", "d", "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA"},
	{"-----BEGIN RSA PRIVATE KEY-----", "note", "MIIEpAIBAAKCAQEAu3Zk5vT0d8b2Qm1XhR7nYc4LpWsE9fGjKaVtBxDzHqNoUiMyQ3EGRIX7YHPTKMUVaB"},
	{"machine db.corp login svc password", "kx9Tq27vLwr3", "kx9Tq27vLwr3"},
}

// A story makes conversations whose messages come again.
type story struct {
	*talk
	plain []string
	rare  int // one long text of so many has something planted in it
}

func (s *story) pick(from []string) string { return from[s.rnd.IntN(len(from))] }

// long is a long text, now and then with something planted at its start, in it,
// at its end, plain or encoded.
func (s *story) long() string {
	text := s.pick(s.plain)
	if s.rnd.IntN(s.rare) > 0 {
		return text
	}
	x := s.pick(planted)
	switch s.rnd.IntN(8) {
	case 0:
		x = base64.StdEncoding.EncodeToString([]byte(x + " and what follows it here"))
	case 1:
		q, _ := json.Marshal(map[string]string{"path": "a/b", "text": x})
		return string(q[:len(q)-1]) + `,"more":` + quoted(text) + `}`
	case 2:
		x = strings.ReplaceAll(quoted(x), "-", `\u002d`)
	}
	switch s.rnd.IntN(4) {
	case 0:
		return x + "\n" + text
	case 1:
		return text + "\n" + x
	case 2:
		return text + " " + x
	}
	i := s.rnd.IntN(len(text))
	return strings.ToValidUTF8(text[:i]+" "+x+" "+text[i:], "?")
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// short is a short field.
func (s *story) short() string {
	switch s.rnd.IntN(5 + s.rare) {
	case 0:
		return s.pick(planted)
	case 1:
		x := s.pick(planted)
		return x[s.rnd.IntN(len(x)):]
	case 2:
		x := s.pick(planted)
		return x[:1+s.rnd.IntN(len(x)-1)]
	case 3:
		return fmt.Sprintf("call_%x", s.rnd.Uint32())
	}
	return s.pick([]string{"user", "text", "read_file", "assistant", "api_key", "value", "asana"})
}

func (s *story) message() string {
	name := s.pick([]string{"content", "text", "value", "password", "api_key", "d", "my notes"})
	switch s.rnd.IntN(7 + s.rare) {
	case 0:
		return fmt.Sprintf(`{"role":"user","name":%s,%q:%s}`, quoted(s.short()), name, quoted(s.long()))
	case 1:
		return fmt.Sprintf(`{"role":%s,"content":[{"type":"text","text":%s},{"type":"text","text":%s}]}`, quoted(s.short()), quoted(s.long()), quoted(s.long()))
	case 2:
		return fmt.Sprintf(`{%q:%s,"value":%s}`, name, quoted(s.long()), quoted(s.short()))
	case 3:
		return fmt.Sprintf(`{%q:%s,%q:%s}`, name, quoted(s.long()), s.short(), quoted(s.short()))
	case 6:
		h := halves[s.rnd.IntN(len(halves))]
		if s.rnd.IntN(3) == 0 {
			h[s.rnd.IntN(3)] = "text"
		}
		return fmt.Sprintf(`{"content":%s,%q:%s}`, quoted(s.pick(s.plain)+"\n"+h[0]), h[1], quoted(h[2]))
	case 4:
		b := base64.StdEncoding.EncodeToString([]byte(s.long() + s.pick(planted) + s.pick(s.plain)))
		width, lines := 76+1200*s.rnd.IntN(2), []string(nil)
		for len(b) > width {
			lines, b = append(lines, quoted(b[:width])), b[width:]
		}
		return fmt.Sprintf(`{"content":%s,"lines":[%s]}`, quoted(s.long()), strings.Join(append(lines, quoted(b)), ","))
	case 5:
		return fmt.Sprintf(`{"id":%s,"function":{"name":"write","arguments":%s}}`, quoted(s.short()), quoted(fmt.Sprintf(`{"a":%s,"b":%s}`, quoted(s.short()), quoted(s.long()))))
	}
	return fmt.Sprintf(`{"role":"user","content":%s}`, quoted(s.long()))
}

// change is what happens between two calls.
func (s *story) change() {
	m := s.messages
	i := s.rnd.IntN(len(m))
	switch s.rnd.IntN(9) {
	case 0:
		j := s.rnd.IntN(len(m))
		m[i], m[j] = m[j], m[i]
	case 1:
		s.messages = slices.Delete(m, i, i+1)
	case 2:
		s.messages = slices.Insert(m, i, s.message())
	case 3:
		s.messages = slices.Insert(m, i, m[s.rnd.IntN(len(m))])
	case 4:
		m[i] = s.message()
	default:
		s.messages = append(m, s.message())
	}
	if len(s.messages) < 4 {
		s.messages = append(s.messages, s.message(), s.message(), s.message())
	}
}

func (s *story) request() (*payload.Message, []byte) {
	m := post("application/json")
	m.Header.Set("X-Turn", s.pick([]string{"a", "my api_key", "curl", "ghp_"}))
	tail := s.pick([]string{"", `,"tools":[{"name":"x","description":"y"}]`, `,"api_key":` + quoted(s.short())})
	return m, []byte(`{"model":` + quoted(s.short()) + `,"messages":[` + strings.Join(s.messages, ",") + `]` + tail + `}`)
}

// outcome is what is found in a body, by place and not by offset, and what is
// left of it when all that was found is redacted.
func (r *rig) outcome(t testing.TB, m *payload.Message, body []byte, lim payload.Limits) (found []call.Finding, left []byte, text int) {
	t.Helper()
	c := payload.Decode(m, body, lim)
	defer c.Release()
	found, err := r.set.Run(context.Background(), r.c, c, all)
	if err != nil || len(c.Uninspected) > 0 {
		t.Fatal(err, c.Uninspected)
	}
	var edits []call.Edit
	for _, f := range found {
		if !strings.HasPrefix(f.Part, "host") {
			edits = append(edits, call.Edit{Kind: call.Redact, Place: f.Place, With: "[" + f.Kind + "]"})
		}
	}
	left, err = c.Apply(&payload.Message{Target: m.Target, Header: m.Header.Clone()}, body, edits)
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		found[i].From, found[i].To = 0, 0
	}
	return found, left, len(c.Text)
}

// A tally counts what stories showed.
type tally struct{ text, left, found int }

// tell sends a conversation again and again, each time changed a little, with
// parts of secrets at all edges, to a rig with memory and to one without.
func tell(t *testing.T, base *talk, seed uint64, rare, messages, turns int, sum *tally) {
	s := &story{talk: &talk{rnd: rand.New(rand.NewPCG(seed, 9)), code: base.code, prose: base.prose}, rare: rare}
	for range 12 {
		src := s.pick([]string{s.code, s.prose})
		n := 300 + s.rnd.IntN(4000)
		i := s.rnd.IntN(len(src) - n)
		s.plain = append(s.plain, strings.ToValidUTF8(src[i:i+n], "?"))
	}
	for range messages {
		s.messages = append(s.messages, s.message())
	}
	r := newRig(t)
	for turn := range turns {
		m, body := s.request()
		want, wantLeft, size := r.outcome(t, m, body, payload.Limits{})
		got, left, gotSize := r.outcome(t, m, body, r.set.Recall(payload.Limits{}, r.c, all))
		if !slices.EqualFunc(got, want, func(a, b call.Finding) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Fatalf("seed %d, turn %d: found with memory\n%v\nwithout\n%v", seed, turn, diff(got, want), diff(want, got))
		}
		if !bytes.Equal(left, wantLeft) {
			t.Fatalf("seed %d, turn %d: what is left differs", seed, turn)
		}
		*sum = tally{sum.text + size, sum.left + size - gotSize, sum.found + len(want)}
		s.change()
	}
}

func TestMemoryFindsWhatIsFoundWithoutIt(t *testing.T) {
	rounds := 24
	if testing.Short() {
		rounds = 3
	}
	base := newTalk(t)
	var sum tally
	for seed := range rounds {
		tell(t, base, uint64(seed), []int{3, 30, 200}[seed%3], 8+seed*3, 12, &sum)
	}
	t.Logf("%d findings; %d of 100 bytes of text were not read again", sum.found, sum.left*100/sum.text)
	if !testing.Short() && (sum.left*12 < sum.text || sum.found < 100) {
		t.Errorf("the test shows little: %+v", sum)
	}
}

func FuzzMemory(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(20))
	f.Add(uint64(2), uint8(200), uint8(60))
	base := newTalk(f)
	f.Fuzz(func(t *testing.T, seed uint64, rare, messages uint8) {
		tell(t, base, seed, int(rare)+1, int(messages)%80+4, 6, new(tally))
	})
}

// diff returns what is in a and not in b.
func diff(a, b []call.Finding) (out []string) {
	for _, f := range a {
		if !slices.ContainsFunc(b, func(g call.Finding) bool { return fmt.Sprint(f) == fmt.Sprint(g) }) {
			out = append(out, fmt.Sprint(f))
		}
	}
	return out
}

// TestOneNameTwiceHidesNothing holds what memory relies on: what is found is
// reported at each of its places, though two of them have one name.
func TestOneNameTwiceHidesNothing(t *testing.T) {
	base := newTalk(t)
	clean := func(n int) string { return quoted(strings.ToValidUTF8(base.prose[n:n+3000], "?")) }
	secret := "token ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"[:36]
	with := quoted(secret + " " + base.code[:2000])
	asJSON := quoted(`{"a":"` + secret + `","b":` + clean(9000) + `}`)
	var between []string
	for i := range 12 {
		between = append(between, fmt.Sprintf(`"x%d":%s`, i, clean(10_000+i*3000)))
	}
	fill := strings.Join(between, ",")
	r := newRig(t)
	for _, first := range []string{with, asJSON} {
		lim := r.set.Recall(payload.Limits{}, r.c, all)
		for range 2 {
			body := []byte(`{"content":` + first + `,` + fill + `,"content":` + with + `,` + strings.ReplaceAll(fill, "x", "y") + `}`)
			if found, _, _ := r.outcome(t, post("application/json"), body, lim); len(found) != 2 {
				t.Errorf("%d findings, want 2: %v", len(found), found)
			}
			body = []byte(`{"content":` + clean(80_000) + `,` + fill + `,"content":` + with + `,` + strings.ReplaceAll(fill, "x", "y") + `}`)
			if found, _, _ := r.outcome(t, post("application/json"), body, lim); len(found) != 1 {
				t.Errorf("%d findings, want 1: %v", len(found), found)
			}
		}
	}
}
