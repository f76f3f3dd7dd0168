package payload

import (
	"bytes"
	"encoding/xml"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"outvet/call"
)

// checkContent checks what must hold of every Content.
func checkContent(t *testing.T, c *Content) {
	t.Helper()
	if !utf8.Valid(c.Text) {
		t.Fatalf("text is not valid UTF-8: %q", c.Text)
	}
	end := 0
	for i := range c.parts {
		p := &c.parts[i]
		if int(p.start) != end || p.end < p.start || c.Text[p.end] != '\n' {
			t.Fatalf("part %d is [%d, %d), the one before ends at %d", i, p.start, p.end, end)
		}
		end = int(p.end) + 1
		r := c.runsOf(i)
		for k := range r {
			if r[k].out < p.start || r[k].out > p.end || k > 0 && (r[k].out < r[k-1].out || r[k].in < r[k-1].in && p.form != joinForm) {
				t.Fatalf("part %d [%d, %d): runs %v", i, p.start, p.end, r)
			}
		}
		if len(r) == 0 {
			t.Fatalf("part %d has no run", i)
		}
		if s, e := c.Part(int(p.start)); s != int(p.start) || e != int(p.end) {
			t.Fatalf("Part(%d) is %d, %d, not %d, %d", p.start, s, e, p.start, p.end)
		}
	}
	if end != len(c.Text) {
		t.Fatalf("parts end at %d of %d", end, len(c.Text))
	}
}

func isJSON(b []byte) bool {
	d := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	n := 0
	for d.PeekKind() != 0 {
		if d.SkipValue() != nil {
			return false
		}
		n++
	}
	_, err := d.ReadToken()
	return n > 0 && err != nil && err.Error() == "EOF"
}

// redactAll redacts s wherever it stands in c.
func redactAll(c *Content, m *Message, body []byte, s, with string) ([]byte, error) {
	var edits []call.Edit
	for _, p := range places(c, s) {
		if p.To-p.From >= len(s) { // else it runs over the end of a part
			edits = append(edits, call.Edit{Kind: call.Redact, Place: p, With: with})
		}
	}
	return c.Apply(m, body, edits)
}

func FuzzDecodeApply(f *testing.F) {
	for _, tt := range cases {
		f.Add(tt.target, tt.header, []byte(tt.body), uint16(10), uint16(9))
	}
	f.Fuzz(func(t *testing.T, target, header string, body []byte, at, n uint16) {
		if len(body) > 4<<10 || len(target) > 1<<10 || len(header) > 1<<10 {
			return
		}
		m := message(target, header)
		was := message(target, header)
		c := Decode(m, body, Limits{})
		checkContent(t, c)
		same, err := c.Apply(m, body, nil)
		if err != nil || !bytes.Equal(same, body) || m.Target != was.Target {
			t.Fatalf("no edits: %v, %q is %q", err, body, same)
		}
		from := int(at) % (len(c.Text) + 1)
		to := min(from+1+int(n)%64, len(c.Text))
		if _, end := c.Part(from); to > end {
			to = end
		}
		if from, to = c.onRunes(from, to); from >= to {
			return
		}
		s := string(c.Text[from:to])
		place := c.Place(from, to)
		if got := string(c.Text[place.From:place.To]); got != s {
			t.Fatalf("place %v of %q holds %q", place, s, got)
		}
		json := isJSON(body) && looksLikeJSON(body)
		out, err := redactAll(c, m, body, s, "*")
		if err != nil {
			if strings.Contains(err.Error(), "host") || strings.Contains(err.Error(), "not read to its end") {
				return
			}
			t.Fatalf("redact %q: %v", s, err)
		}
		if json && !c.coded && !isJSON(out) {
			t.Fatalf("redact %q in %q: %q is no JSON", s, body, out)
		}
		for name, vs := range m.Header {
			for i, v := range vs {
				if strings.ContainsAny(v, "\r\n") && !strings.ContainsAny(strings.Join(was.Header[name], ""), "\r\n") {
					t.Fatalf("header %s: %q, was %q", name, v, was.Header[name][i])
				}
			}
		}
		if len(s) < 8 || strings.ContainsAny(s, "*\n") || strings.Contains(s, "\uFFFD") {
			return
		}
		again := Decode(m, out, Limits{})
		checkContent(t, again)
		if left := places(again, s); len(left) > 0 && !rest(left) {
			t.Fatalf("redact %q of %q %q %q: left in %q of %q %v %q", s, target, header, body, paths(left), m.Target, m.Header, out)
		}
	})
}

// rest reports whether all places are in joined parts: what stands around a
// redacted field may come together there.
func rest(ps []call.Place) bool {
	for _, p := range ps {
		if !strings.Contains(p.Part, "+") {
			return false
		}
	}
	return true
}

// FuzzMarkup holds that what is joined of markup can be edited without breaking
// it, and that a text split over two elements is found in whatever stands around.
func FuzzMarkup(f *testing.F) {
	f.Add("<a><b k='v1'>t2</b><!-- c3 --><![CDATA[d4]]></a>")
	f.Add("<?xml version='1.0'?><!DOCTYPE a><a k=\"v1\" l='v2'/>")
	f.Add("<a x=\"<b y='\"><!--<![CDATA[</a/>&#60;")
	f.Fuzz(func(t *testing.T, around string) {
		if len(around) > 4<<10 {
			return
		}
		m := &Message{Header: http.Header{"Content-Type": {"application/xml"}}}
		body := []byte("<e>zq7R9xWm2L</e><e>pT4vKs8NbY</e>" + around)
		c := Decode(m, body, Limits{})
		checkContent(t, c)
		if bytes.HasPrefix(body, []byte("<e>")) && len(places(c, token)) == 0 && !looksLikeForm(body) {
			t.Fatalf("%q: not joined", body)
		}
		var edits []call.Edit
		for i := range c.parts {
			if p := &c.parts[i]; p.form == joinForm && !bytes.Contains(c.Text[p.start:p.end], []byte("&")) {
				edits = append(edits, call.Edit{Kind: call.Redact, Place: call.Place{From: int(p.start), To: int(p.end)}, With: "<&>\"'"})
			}
		}
		out, err := c.Apply(m, body, edits)
		if err != nil {
			t.Fatal(err)
		}
		if had, has := elements(body), elements(out); had != "" && has != had {
			t.Fatalf("%q is %q: elements %s are %s", body, out, had, has)
		}
	})
}

// elements returns the names of the elements of b, or "" if it is not well
// formed or has elements that may be edited themselves.
func elements(b []byte) string {
	d := xml.NewDecoder(bytes.NewReader(b))
	var s strings.Builder
	for {
		x, err := d.Token()
		if err == io.EOF {
			return s.String()
		}
		if err != nil {
			return ""
		}
		switch x := x.(type) {
		case xml.StartElement:
			if strange := classify([]byte(x.Name.Local)) != wordToken && len(x.Name.Local) > 2; strange || x.Name.Space != "" {
				return ""
			}
			for _, a := range x.Attr {
				if a.Name.Space != "" || classify([]byte(a.Name.Local)) != wordToken && len(a.Name.Local) > 2 {
					return ""
				}
			}
			s.WriteString("<" + x.Name.Local + ">")
		case xml.EndElement:
			s.WriteString("</>")
		case xml.Directive, xml.ProcInst:
			return ""
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add("a=b&c=%41+d&e", uint16(0))
	f.Add("a=%ff%e2%82&+=%2b", uint16(3))
	f.Fuzz(func(t *testing.T, body string, at uint16) {
		m := &Message{Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
		c := Decode(m, []byte(body), Limits{})
		checkContent(t, c)
		want, err := url.ParseQuery(body)
		if err != nil || looksLikeJSON([]byte(body)) || strings.HasPrefix(body, "--") {
			return
		}
		for name, vs := range want {
			for _, v := range append(vs, name) {
				if utf8.ValidString(v) && !bytes.Contains(c.Text, []byte(v)) {
					t.Fatalf("%q: %q is not in %q", body, v, c.Text)
				}
			}
		}
	})
}

func FuzzMultipart(f *testing.F) {
	f.Add("f", "name.txt", []byte("content"), []byte(`{"a":"b"}`))
	f.Add("a\"b", "", []byte("--b0\r\n"), []byte("\r\n--b0--"))
	f.Fuzz(func(t *testing.T, name, file string, one, two []byte) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		p, err := w.CreateFormFile(name, file)
		if err != nil {
			return
		}
		p.Write(one)
		p, _ = w.CreateFormField("second")
		p.Write(two)
		w.Close()
		m := &Message{Header: http.Header{"Content-Type": {w.FormDataContentType()}}}
		c := Decode(m, b.Bytes(), Limits{})
		checkContent(t, c)
		for _, x := range [][]byte{one, two} {
			if utf8.Valid(x) && !looksLikeJSON(x) && !looksLikeForm(x) && !bytes.HasPrefix(x, []byte("--")) && !bytes.Contains(c.Text, x) {
				t.Fatalf("%q is not in %q", x, c.Text)
			}
		}
		if out, err := c.Apply(m, b.Bytes(), nil); err != nil || !bytes.Equal(out, b.Bytes()) {
			t.Fatal("changed without an edit")
		}
		// What mime/multipart reads as a value is read under its name.
		if utf8.Valid(two) && len(bytes.TrimSpace(two)) > 0 && !looksLikeJSON(two) && !looksLikeForm(two) && !bytes.HasPrefix(two, []byte("--")) {
			named := false
			for _, p := range places(c, string(two)) {
				named = named || p.Part == "body/second"
			}
			if !named {
				t.Fatalf("%q is not read as body/second", two)
			}
		}
	})
}
