package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"outvet/internal/gate"
	"outvet/internal/listener/api"
	"outvet/internal/listener/listenertest"
	"outvet/internal/policy"
)

const token = "let me in"

// ask sends one request to the API of g.
func ask(t *testing.T, g *gate.Gate, method, path, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	s := httptest.NewServer(api.New(g, token, api.Options{Metrics: someMetrics}))
	defer s.Close()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if change != nil {
		change(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// TestSuite runs the suite of listeners. Nothing is sent by a check, so a call
// has "arrived" when its asker was told to make it.
func TestSuite(t *testing.T) {
	listenertest.Run(t, listenertest.Options{Session: "suite", Check: true}, func(t *testing.T, c listenertest.Case) (r listenertest.Result) {
		q := map[string]any{"session": "suite", "http": map[string]any{"method": "POST", "url": "https://" + listenertest.Host + "/a", "body": string(c.Body)}}
		b, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		_, r.Told = ask(t, c.Gate, "POST", "/v1/check", string(b), nil)
		var a struct{ Verdict string }
		if err := json.Unmarshal([]byte(r.Told), &a); err != nil {
			t.Fatal(err)
		}
		if r.Arrived = a.Verdict == "allow"; r.Arrived {
			r.Body = c.Body
		}
		if c.Arrived != nil {
			c.Arrived()
		}
		return r
	})
}

func TestAskerIsToldOfAnAddressThatNobodyMayReach(t *testing.T) {
	g := gate.Dry(allowing(t), nil)
	for url, want := range map[string]string{"http://127.1/": "address", "http://169.254.1.1:80/": "address", "https://localhost/": "address", "https://a.example/": "default"} {
		_, got := ask(t, g, "POST", "/v1/check", `{"http":{"method":"GET","url":"`+url+`"}}`, nil)
		if !strings.Contains(got, `"rule":"`+want+`"`) || strings.Contains(got, `"verdict":"block"`) != (want == "address") {
			t.Errorf("%s: %s", url, got)
		}
	}
}

func allowing(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.Load(t.Context(), policy.Options{Name: "p.yaml", Text: []byte("version: 1\ndefault: allow\n")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhoHasNoTokenOrAnotherHostLearnsNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"no token":      {func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized},
		"another token": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer let me i") }, http.StatusUnauthorized},
		"basic":         {func(r *http.Request) { r.SetBasicAuth("x", token) }, http.StatusUnauthorized},
		"rebound name":  {func(r *http.Request) { r.Host = "evil.example:7070" }, http.StatusMisdirectedRequest},
	} {
		for _, path := range []string{"/v1/check", "/v1/sessions/x/release"} {
			if status, body := ask(t, nil, "POST", path, `{}`, tc.change); status != tc.status {
				t.Errorf("%s, %s: %d %s", name, path, status, body)
			}
		}
	}
}

func TestEmptyTokenAdmitsNobody(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://127.0.0.1/v1/sessions", nil)
	r.Header.Set("Authorization", "Bearer ")
	if api.New(nil, "", api.Options{}).ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
		t.Errorf("%d", w.Code)
	}
}

func TestBadQuestionsGetAClearAnswer(t *testing.T) {
	for body, want := range map[string]string{
		``:                                     "not the JSON asked for",
		`{"htp":{}}`:                           "htp",
		`{}`:                                   `give \"http\" or \"tool\"`,
		`{"http":{"url":"https://x/"}}`:        "http.method",
		`{"http":{"method":"GET","url":"/x"}}`: "not an absolute URL",
		`{"http":{"method":"GET","url":"gopher://x/"}}`:           "gopher",
		`{"http":{"method":"GET","url":"https://a:b@x.example"}}`: "user information",
		`{"http":{"method":"GET","url":"https://x.example"}} {}`:  "more than one",
		`{"session":` + strings.Repeat("[", 100):                  "not the JSON asked for",
	} {
		if status, got := ask(t, nil, "POST", "/v1/check", body, nil); status != http.StatusBadRequest || !strings.Contains(got, want) {
			t.Errorf("%s: %d %s, want %s", body, status, got, want)
		}
	}
	large := bytes.Repeat([]byte(" "), 17<<20)
	if status, got := ask(t, nil, "POST", "/v1/check", string(large), nil); status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", status, got)
	}
}
