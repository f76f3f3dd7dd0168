package siege

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// A recorded exchange with the API of a model provider.
type recorded struct {
	ID, Method, URL, Type, Body, Answer string
	AnswerType                          string `json:"answer_type"`
}

func readTraffic(t *testing.T) []recorded {
	t.Helper()
	f, err := os.Open("testdata/model-traffic.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	for line := range bytes.Lines(b) {
		var r recorded
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// Recorded traffic of model SDKs passes unbroken, byte for byte both ways, with
// every inspector on, under the preset that people begin with.
func TestRecordedModelTrafficPassesByteForByte(t *testing.T) {
	t.Parallel()
	all := readTraffic(t)
	var mu sync.Mutex // guards arrived
	arrived := map[string]string{}
	a := newAuthority(t)
	port := a.https(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		id := r.Header.Get("X-Test")
		var n int
		fmt.Sscanf(id, "%d", &n)
		if err == nil && n < len(all) {
			mu.Lock()
			arrived[id] = r.Method + " https://" + r.Host + r.RequestURI + " " + r.Header.Get("Content-Type") + "\n" + string(b)
			mu.Unlock()
			w.Header().Set("Content-Type", all[n].AnswerType)
			if strings.HasPrefix(all[n].AnswerType, "text/event-stream") {
				for line := range strings.Lines(all[n].Answer) { // as they come from a model
					io.WriteString(w, line)
					w.(http.Flusher).Flush()
				}
				return
			}
			io.WriteString(w, all[n].Answer)
		}
	}))
	dir := newState(t, "version: 1\ninclude: [preset:balanced]\n")
	s := serve(t, dir, append(to("", "443", port), "--upstream-ca", a.file)...)
	for _, h2 := range []bool{false, true} {
		tr := s.client()
		tr.ForceAttemptHTTP2 = h2
		each(len(all), func(i int) {
			r := all[i]
			id := fmt.Sprintf("%d %v", i, h2)
			req, err := http.NewRequest(r.Method, r.URL, strings.NewReader(r.Body))
			if err != nil {
				t.Error(r.ID, err)
				return
			}
			req.Header.Set("X-Test", id)
			if r.Type != "" {
				req.Header.Set("Content-Type", r.Type)
			}
			res, err := tr.RoundTrip(req)
			if err != nil {
				t.Error(r.ID, err)
				return
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != 200 || string(b) != r.Answer {
				t.Errorf("%s %s: %s, %v, answer of %d bytes became %.300q", r.ID, r.URL, res.Status, err, len(r.Answer), b)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if want := r.Method + " " + r.URL + " " + r.Type + "\n" + r.Body; arrived[id] != want {
				t.Errorf("%s arrived as\n%.400q, want\n%.400q", r.ID, arrived[id], want)
			}
		})
		tr.CloseIdleConnections()
	}
	s.stop()
	if n := paired(t, dir); n != 2*len(all) {
		t.Errorf("%d calls were recorded, want %d", n, 2*len(all))
	}
	verified(t, dir)
}
