package payload

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// lines calls f with each line of a JSON Lines file.
func lines(t *testing.T, file string, v any, f func()) {
	t.Helper()
	r, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if err := json.Unmarshal(sc.Bytes(), v); err != nil {
			t.Fatal(err)
		}
		f()
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
}

// stringsOf returns all strings and names in v.
func stringsOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, stringsOf(x)...)
		}
		return out
	case map[string]any:
		var out []string
		for k, x := range v {
			out = append(append(out, k), stringsOf(x)...)
		}
		return out
	}
	return nil
}

func TestModelTrafficIsReadWholeAndLeftAlone(t *testing.T) {
	var x struct{ URL, Type, Body, Answer string }
	wire, text := 0, 0
	lines(t, "testdata/exchanges.jsonl", &x, func() {
		for _, body := range []string{x.Body, x.Answer} {
			m := &Message{Host: "api.example.com", Target: "/v1/messages?beta=true", Header: http.Header{"Content-Type": {x.Type}}}
			c := Decode(m, []byte(body), Limits{})
			checkContent(t, c)
			if len(c.Uninspected) > 0 {
				t.Errorf("%s: %v", x.URL, c.Uninspected)
			}
			if out, err := c.Apply(m, []byte(body), nil); err != nil || string(out) != body {
				t.Errorf("%s: changed: %v", x.URL, err)
			}
			var v any
			if json.Unmarshal([]byte(body), &v) == nil {
				for _, s := range stringsOf(v) {
					if utf8.ValidString(s) && !bytes.Contains(c.Text, []byte(s)) {
						t.Errorf("%s: %q is not read", x.URL, s)
					}
				}
			}
			wire, text = wire+len(body), text+len(c.Text)
			c.Release()
		}
	})
	if text > wire*5/4 {
		t.Errorf("%d bytes are read as %d", wire, text)
	}
}

func TestEveryJSONTextIsReadOrIsPlainText(t *testing.T) {
	var x struct{ ID, Expect, Raw_b64 string }
	lines(t, "testdata/jsontestsuite-parsing.jsonl", &x, func() {
		body, err := base64.StdEncoding.DecodeString(x.Raw_b64)
		if err != nil {
			t.Fatal(err)
		}
		m := &Message{Header: http.Header{"Content-Type": {"application/json"}}}
		c := Decode(m, body, Limits{})
		checkContent(t, c)
		plain := false
		for i := range c.parts {
			plain = plain || c.parts[i].form == textForm
		}
		if body := bytes.TrimSpace(bytes.TrimPrefix(body, bom)); plain == isJSON(body) && len(body) > 0 {
			t.Errorf("%s: read as text: %v", x.ID, plain)
		}
		if out, err := c.Apply(m, body, nil); err != nil || !bytes.Equal(out, body) {
			t.Errorf("%s: changed: %v", x.ID, err)
		}
		var v any
		if x.Expect == "accept" && json.Unmarshal(body, &v) == nil {
			for _, s := range stringsOf(v) {
				if !strings.Contains(s, "\uFFFD") && !bytes.Contains(c.Text, []byte(s)) {
					t.Errorf("%s: %q is not read", x.ID, s)
				}
			}
		}
	})
}

func TestImagesStayFarFromTheBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	image := make([]byte, 300<<10)
	var b strings.Builder
	b.WriteString(`{"messages":[{"role":"user","content":[`)
	for i := range 10 {
		for k := range image {
			image[k] = byte(rnd.Uint32())
		}
		copy(image, "\x89PNG\r\n\x1a\n")
		fmt.Fprintf(&b, `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%s"}},`, base64.StdEncoding.EncodeToString(image))
		if i == 9 {
			b.WriteString(`{"type":"text","text":"what is it"}]}]}`)
		}
	}
	body := []byte(b.String())
	c := Decode(&Message{Header: http.Header{}}, body, Limits{})
	if len(c.Uninspected) > 0 || len(c.Text) > len(body)*11/10 {
		t.Errorf("%d bytes are read as %d: %v", len(body), len(c.Text), c.Uninspected)
	}
	raw := Decode(&Message{Header: http.Header{}}, image, Limits{})
	if len(raw.Uninspected) > 0 {
		t.Errorf("raw image: %v", raw.Uninspected)
	}
}
