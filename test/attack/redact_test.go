package attack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/policy"
)

// values are what must not be seen any more when k was redacted: of texts in
// which only a piece is secret, that piece; of a key each of its lines.
func (k kind) values() []string {
	switch k.name {
	case "postgres":
		return []string{"Zk9pQ2vX7b"}
	case "password":
		return []string{"S3cure9pass7Qx2Lm"}
	case "pem":
		l := strings.Split(strings.TrimSpace(k.text), "\n")
		return l[1 : len(l)-1]
	}
	return []string{k.text}
}

func TestRedactionRemovesWhatIsFoundAndNothingElse(t *testing.T) {
	mask := gateOf(t, newPolicy(t, policy.Options{Text: []byte(maskText)}))
	look := newGate(t, "balanced")
	i := 0
	var tried []cell
	for _, p := range allPlaces() {
		for _, e := range encodings {
			for _, k := range kinds {
				if i++; (e.name != "plain" || raceEnabled) && i%(4*sample()) != 0 || !fits(p, e, k) {
					continue
				}
				r := p.put(e.do(k.text))
				if fate(try(t, look, r)) != "" {
					continue
				}
				tried = append(tried, cell{p.name, e.name, k.name, redacted(send(t, mask, r), r, p, e, k)})
				if f := fate(try(t, look, again(send(t, mask, r)))); f == "" {
					tried[len(tried)-1].fate = "found again"
				}
			}
		}
	}
	hold(t, "testdata/open-redact.txt", tried)
}

// again is what leaves, asked about once more.
func again(s sent) request {
	r := request{Method: "POST", URL: "https://notes.example" + s.target, Body: string(s.body)}
	for name, values := range s.header {
		for _, v := range values {
			r.Header = append(r.Header, [2]string{name, v})
		}
	}
	return r
}

// redacted says what is wrong with s, which should be r without k; "" for
// nothing.
func redacted(s sent, r request, p place, e encoding, k kind) string {
	switch {
	case s.Verdict != call.Allow && s.Rule == call.RuleFault:
		return "fault"
	case s.Verdict != call.Allow:
		return "blocked"
	case slices.ContainsFunc(k.values(), s.shows):
		return "still there"
	case json.Valid([]byte(r.Body)) && !json.Valid(s.body):
		return "no JSON any more"
	case !p.plain || e.name != "plain":
		return ""
	}
	// What is around the text is what put writes around another.
	before, after, other := wire(r), wireOf(s), wire(p.put("\x01"))
	if common(before, after) < common(before, other) || common(back(before), back(after)) < common(back(before), back(other)) {
		return "more is gone"
	}
	return ""
}

func back(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}

// wire is the request in one piece, to be compared.
func wire(r request) []byte {
	u, _ := url.Parse(r.URL)
	h := http.Header{}
	for _, f := range r.Header {
		h.Add(f[0], f[1])
	}
	return wireOf(sent{target: u.RequestURI(), header: h, body: []byte(r.Body)})
}

func wireOf(s sent) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, s.target)
	var names []string
	for n := range s.header {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintln(&b, n, strings.Join(s.header[n], "\n"))
	}
	b.Write(s.body)
	return b.Bytes()
}

func common(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func TestRedactionRemovesWhatIsSplit(t *testing.T) {
	mask := gateOf(t, newPolicy(t, policy.Options{Text: []byte(maskText)}))
	look := newGate(t, "balanced")
	i := 0
	var tried []cell
	for _, sp := range splits {
		for _, c := range codes {
			for _, n := range []int{2, 5, 0} {
				for _, k := range kinds {
					if i++; k.name == "pem" || raceEnabled && i%97 != 0 {
						continue
					}
					ps := pieces(c.whole(k.text), n)
					for j := range ps {
						ps[j] = c.each(ps[j])
					}
					r := sp.write(ps)
					if fate(try(t, look, r)) != "" {
						continue
					}
					s := send(t, mask, r)
					f := redacted(s, r, place{}, encoding{}, k)
					if f == "" && fate(try(t, look, again(s))) == "" {
						f = "found again"
					}
					tried = append(tried, cell{sp.name, strings.TrimSpace(fmt.Sprintf("in %d %s", n, c.name)), k.name, f})
				}
			}
		}
	}
	hold(t, "testdata/open-redact-splits.txt", tried)
}
