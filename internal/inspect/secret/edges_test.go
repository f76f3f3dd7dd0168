package secret

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"outvet/call"
	"outvet/internal/payload"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestMemoryForgetsNothingAtItsEdges changes a little beside a long text that is
// known, so that a secret comes into being which neither of them was.
func TestMemoryForgetsNothingAtItsEdges(t *testing.T) {
	base := newTalk(t)
	at := 0
	long := func(tail string) string {
		at = (at + 4001) % (len(base.prose) - 4000)
		return quoted(strings.ToValidUTF8(base.prose[at:at+3000], "?") + " " + tail)
	}
	fill := func(name string) string {
		var all []string
		for i := range 16 {
			all = append(all, fmt.Sprintf(`"%s%d":%s`, name, i, long("")))
		}
		return strings.Join(all, ",")
	}
	before, behind := fill("a"), fill("z")
	const pat, key = "1/1234567890123456:0a1b2c3d4e5f60718293a4b5c6d7e8f9", "x8Jk20sLq93mVb71TzPw45"
	github := "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"[:36]
	name, asana, curl, last, text := long("here is my api_key"), long("take it from asana"), long("then run curl"), long(""), long("")
	withPAT := long(pat)
	pem := "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEAu3Zk5vT0d8b2Qm1XhR7nYc4LpWsE9fGjKaVtBxDzHqNoUiMy\n", 4) + "-----END RSA PRIVATE KEY-----"
	head := long("-----BEGIN RSA PRIVATE KEY----- " + strings.Repeat("words and words ", 8))
	words := quoted(strings.Repeat("nothing but words here and no marks ", 90))
	far := func(head, note string) string {
		all := `"content":` + head
		for i := range 8 {
			all += fmt.Sprintf(`,"w%d":%s`, i, words)
		}
		return all + `,"note":` + note
	}
	for _, x := range []struct {
		name        string
		first, then string // members of an object
		found       int    // in then
	}{
		{"a name at the end, the value behind it", `"content":` + name + `,"value":"user"`, `"content":` + name + `,"value":"` + key + `"`, 1},
		{"the value was there, the name comes", `"content":` + text + `,"value":"` + key + `"`, `"content":` + name + `,"value":"` + key + `"`, 1},
		{"a word at the end, the token behind it", `"content":` + asana + `,"note":"user"`, `"content":` + asana + `,"note":"` + pat + `"`, 1},
		{"the token was there, the word comes", `"content":` + text + `,"note":"` + pat + `"`, `"content":` + asana + `,"note":"` + pat + `"`, 1},
		{"a command at the end, its option behind it", `"content":` + curl + `,"note":" -u me"`, `"content":` + curl + `,"note":" -u deploy:kx9Tq27vLwr3 "`, 1},
		{"a name above says what a token is", `"plain":{"x":{` + before + `,"text":` + withPAT + `,` + behind + `}}`, `"asana":{"x":{` + before + `,"text":` + withPAT + `,` + behind + `}}`, 1},
		{"a known text goes under another name", `"content":` + long("") + `,"text":` + quoted(strings.Repeat("kx9Tq27vLwr3", 40)), `"content":` + last + `,"secret_token":` + quoted(strings.Repeat("kx9Tq27vLwr3", 40)), 1},
		{"halves with a long text between", `"a":"` + github[:20] + `","b":` + text + `,"c":"` + github[20:] + `"`, `"a":"` + github[:20] + `","b":` + text + `,"c":"` + github[20:] + `"`, 0},
		{"halves with nothing between", `"a":"` + github[:20] + `","b":` + text + `,"c":"` + github[20:] + `"`, `"b":` + text + `,"a":"` + github[:20] + `","c":"` + github[20:] + `"`, 1},
		{"halves far apart in one column", `"m":[{"k":"` + github[:20] + `"},{` + before + `},{"k":"user"}]`, `"m":[{"k":"` + github[:20] + `"},{` + before + `},{"k":"` + github[20:] + `"}]`, 1},
		{"a key behind the head of another", `"content":` + head + `,"note":"words"`, `"content":` + head + `,"note":` + quoted(pem), -1},
		{"a token in a short field before a known text", `"note":"user","content":` + text, `"note":"` + github + `","content":` + text, 1},
		{"a key far behind the head of another", far(head, `"words"`), far(head, quoted(pem)), -1},
		{"two layers side by side", `"content":` + text + `,"blob":"` + b64("machine db.corp login svc password") + `"`,
			`"content":` + text + `,"blob":"` + b64("machine db.corp login svc password") + `","more":"` + b64("kx9Tq27vLwr3 and what follows") + `"`, -1},
		{"a layer at the end goes on in another text", `"x":[` + quoted(b64("some text " + github)[:24]) + `,"` + strings.Repeat("A", 24) + `"],"content":` + text,
			`"x":[` + quoted(b64("some text " + github)[:24]) + `,` + quoted(b64("some text " + github)[24:48]) + `,` + quoted(b64("some text " + github)[48:]) + `],"content":` + text, -1},
	} {
		t.Run(x.name, func(t *testing.T) {
			body := func(members string) []byte {
				return []byte(`{"messages":[{` + before + `},{` + members + `},{` + behind + `},{"end":` + long("") + `}]}`)
			}
			r := newRig(t)
			m := post("application/json")
			for range 2 {
				r.outcome(t, m, body(x.first), r.set.Recall(payload.Limits{}, r.c, all))
			}
			then := body(x.then)
			for turn := range 3 {
				want, _, size := r.outcome(t, m, then, payload.Limits{})
				got, _, gotSize := r.outcome(t, m, then, r.set.Recall(payload.Limits{}, r.c, all))
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("turn %d: found with memory\n%v\nwithout\n%v", turn, got, want)
				}
				if x.found >= 0 && len(want) != x.found {
					t.Errorf("%d findings, want %d: %v", len(want), x.found, want)
				}
				if gotSize >= size {
					t.Error("nothing was known")
				}
			}
		})
	}
}

// TestMemoryIsOfOneSession holds that no session learns what another one sent, and
// that other inspectors read for themselves.
func TestMemoryIsOfOneSession(t *testing.T) {
	k := newTalk(t)
	k.grow(64 << 10)
	body, m, r := k.body(), post("application/json"), newRig(t)
	text := func(session string) int {
		c := payload.Decode(m, body, r.set.Recall(payload.Limits{}, &call.Call{Caller: call.Caller{Session: call.SessionID(session)}}, all))
		defer c.Release()
		if _, err := r.set.Run(t.Context(), r.c, c, all); err != nil {
			t.Fatal(err)
		}
		return len(c.Text)
	}
	first, again, other := text("a"), text("a"), text("b")
	if again >= first || other != first {
		t.Errorf("a reads %d and then %d bytes, b %d", first, again, other)
	}
	c := payload.Decode(m, body, newRig(t).set.Recall(payload.Limits{}, r.c, all))
	defer c.Release()
	if _, err := r.set.Run(t.Context(), r.c, c, all); err == nil {
		t.Error("a content that was decoded with the memory of others is inspected")
	}
}

// TestHeadOfNoKeyHidesNoKey: what a hit is prolonged over is looked at again where
// another part begins.
func TestHeadOfNoKeyHidesNoKey(t *testing.T) {
	r := newRig(t)
	pem := "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEAu3Zk5vT0d8b2Qm1XhR7nYc4LpWsE9fGjKaVtBxDzHqNoUiMy\n", 4) + "-----END RSA PRIVATE KEY-----"
	head := "-----BEGIN RSA PRIVATE KEY----- " + strings.Repeat("words and words ", 8)
	for body, parts := range map[string][]string{
		`{"a":` + quoted(head) + `,"b":` + quoted(pem) + `}`:                           {"body/b"},
		`["` + head + `","words",` + quoted(pem) + `,` + quoted(pem) + `]`:             {"body/2", "body/3"},
		`{"a":` + quoted(head) + `,"b":` + quoted(head) + `,"c":` + quoted(pem) + `}`:  {"body/c"},
		`{"a":` + quoted(pem+" and words") + `,"b":` + quoted("see below: "+pem) + `}`: {"body/a", "body/b"},
	} {
		var got []string
		for _, f := range r.read(t, post("application/json"), []byte(body)) {
			got = append(got, f.Part)
		}
		if fmt.Sprint(got) != fmt.Sprint(parts) {
			t.Errorf("%.200s: found in %v, want %v", body, got, parts)
		}
	}
}

// TestMemoryIsSafeForConcurrentUse sends one conversation from several sides at
// once, as sub-agents do.
func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	k := newTalk(t)
	r, m := newRig(t), post("application/json")
	var bodies [][]byte
	for range 6 {
		k.grow(16 << 10)
		bodies = append(bodies, k.body())
	}
	leak := []byte(strings.Replace(string(bodies[5]), `"stream":true`, `"stream":"ghp_`+"16C7e42F292c6912E7710c838347Ae178B4a"[:36]+`"`, 1))
	var all4 sync.WaitGroup
	for range 4 {
		all4.Go(func() {
			for _, body := range bodies {
				if found := r.again(t, m, body); len(found) > 0 {
					t.Error(found)
				}
				if found := r.again(t, m, leak); len(found) != 1 {
					t.Error(found)
				}
			}
		})
	}
	all4.Wait()
}
