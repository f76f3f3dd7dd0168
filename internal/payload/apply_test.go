package payload

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"outvet/call"
)

func TestHeaderEdits(t *testing.T) {
	for _, tt := range []struct {
		edit call.Edit
		want string // value of X-A after it, or the error
	}{
		{call.Edit{Kind: call.SetHeader, Name: "x-a", With: "2"}, "2"},
		{call.Edit{Kind: call.StripHeader, Name: "X-A"}, ""},
		{call.Edit{Kind: call.StripHeader, Name: "X-Absent"}, "1"},
		{call.Edit{Kind: call.SetHeader, Name: "X-A", With: "2\r\nX-B: 3"}, `payload: header "X-A" cannot have a value with control characters`},
		{call.Edit{Kind: call.SetHeader, Name: "X A", With: "2"}, `payload: header "X A" is not a valid name`},
		{call.Edit{Kind: call.SetHeader, Name: "", With: "2"}, `payload: header "" is not a valid name`},
		{call.Edit{Kind: call.SetHeader, Name: "host", With: "2"}, `payload: header "host" belongs to the connection and cannot be edited`},
		{call.Edit{Kind: call.StripHeader, Name: "Content-Length"}, `payload: header "Content-Length" belongs to the connection and cannot be edited`},
		{call.Edit{Kind: call.SetHeader, Name: "transfer-encoding", With: "2"}, `payload: header "transfer-encoding" belongs to the connection and cannot be edited`},
		{call.Edit{Kind: "burn"}, `payload: unknown kind of edit "burn"`},
		{call.Edit{Kind: call.Redact}, "payload: no text from 0 to 0 to edit"},
	} {
		m := message("/", "X-A: 1")
		_, err := Decode(m, nil, Limits{}).Apply(m, nil, []call.Edit{tt.edit})
		got := m.Header.Get("X-A")
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%v: %q, want %q", tt.edit, got, tt.want)
		}
	}
}

func TestRedactedHeaderStaysOneLine(t *testing.T) {
	m := message("/", "X-A: a "+token+"\nCookie: a="+token+"; b=c")
	c := Decode(m, nil, Limits{})
	if _, err := redactAll(c, m, nil, token, "1;\r\nX-B: 2"); err != nil {
		t.Fatal(err)
	}
	if a, b := m.Header.Get("X-A"), m.Header.Get("Cookie"); a != "a 1;__X-B: 2" || b != "a=1___X-B:_2; b=c" {
		t.Errorf("%q, %q", a, b)
	}
}

func TestHostCannotBeEdited(t *testing.T) {
	m := &Message{Host: "a" + token + ".example.com"}
	c := Decode(m, nil, Limits{})
	if _, err := redactAll(c, m, nil, token, "x"); err == nil || !strings.Contains(err.Error(), "host") {
		t.Errorf("error is %v", err)
	}
}

func TestCompressedBodyLeavesAsIdentityOnlyWhenEdited(t *testing.T) {
	plain := []byte(`{"a":"` + token + `","b":"` + strings.Repeat("words ", 100) + `"}`)
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		body := coded(t, coding, plain)
		m := &Message{Header: http.Header{"Content-Encoding": {coding}, "Content-Length": {"9"}, "Digest": {"x"}}, Length: int64(len(body))}
		c := Decode(m, body, Limits{})
		if len(c.Uninspected) > 0 {
			t.Fatal(c.Uninspected)
		}
		if out, err := c.Apply(m, body, nil); err != nil || !bytes.Equal(out, body) || m.Header.Get("Content-Encoding") != coding {
			t.Errorf("%s: changed without an edit: %v", coding, err)
		}
		out, err := redactAll(c, m, body, token, "x")
		want := strings.Replace(string(plain), token, "x", 1)
		if err != nil || string(out) != want {
			t.Errorf("%s: %v, %s", coding, err, out)
		}
		if h := m.Header; h.Get("Content-Encoding") != "" || h.Get("Digest") != "" || h.Get("Content-Length") != strconv.Itoa(len(want)) || m.Length != int64(len(want)) {
			t.Errorf("%s: %v, length %d", coding, m.Header, m.Length)
		}
	}
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	bomb := coded(t, "gzip", make([]byte, 4<<20))
	deep := "the token is " + token
	for range 8 {
		deep = std64(deep)
	}
	for _, tt := range []struct {
		name, coding string
		body         []byte
		lim          Limits
		want         string
	}{
		{"unknown coding", "lz9", []byte("x"), Limits{}, `body: content coding "lz9" is not known`},
		{"bomb", "gzip", bomb, Limits{}, "body: decompressed body is over 200 times its size on the wire"},
		{"size", "gzip", bomb, Limits{Body: 1 << 10, Ratio: 1 << 20, Text: 1 << 12}, "body: decompressed body is over 1024 bytes"},
		{"damage", "gzip", bomb[:len(bomb)-9], Limits{Ratio: 1 << 20}, `body: content coding "gzip" is damaged`},
		{"not coded at all", "gzip", []byte("plain " + token), Limits{}, `body: content coding "gzip" is damaged`},
		{"depth", "", []byte(deep), Limits{}, "body#base64#base64#base64#base64#base64#base64: more than 6 nested layers of encoding"},
		{"text", "", bytes.Repeat([]byte("words "), 1000), Limits{Text: 4000}, "body: decoded text is over 4000 bytes"},
	} {
		m := &Message{Header: http.Header{"Content-Encoding": {tt.coding}}}
		c := Decode(m, tt.body, tt.lim)
		checkContent(t, c)
		if len(c.Uninspected) == 0 || c.Uninspected[0].Part+": "+c.Uninspected[0].Reason != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, c.Uninspected, tt.want)
		}
		if tt.name == "not coded at all" && len(places(c, token)) == 0 {
			t.Error("the raw bytes of a damaged body are not read")
		}
		if tt.name == "damage" {
			k := bytes.IndexByte(c.Text, 0)
			if _, err := c.Apply(m, tt.body, []call.Edit{{Kind: call.Redact, Place: c.Place(k, k+3), With: "x"}}); err == nil {
				t.Error("a body that was read in part was edited")
			}
		}
	}
}

func TestOverlappingEditsAreOne(t *testing.T) {
	m := message("/", "")
	body := []byte(`{"a":"0123456789"}`)
	c := Decode(m, body, Limits{})
	k := bytes.Index(c.Text, []byte("0123456789"))
	edit := func(from, to int, with string) call.Edit {
		return call.Edit{Kind: call.Redact, Place: c.Place(k+from, k+to), With: with}
	}
	out, err := c.Apply(m, body, []call.Edit{edit(4, 7, "B"), edit(2, 5, ""), edit(2, 3, ""), edit(7, 8, "C"), edit(9, 10, "")})
	if err != nil || string(out) != `{"a":"01BC8"}` {
		t.Errorf("%s, %v", out, err)
	}
}

func TestFrameIsDecodedBelowItsPath(t *testing.T) {
	body := []byte(`{"a":["` + token + `"]}`)
	c := DecodeText("frame/17", body, Limits{})
	if got := paths(places(c, token)); len(got) != 1 || got[0] != "frame/17/a/0" {
		t.Errorf("found at %q", got)
	}
	out, err := redactAll(c, nil, body, token, "x")
	if err != nil || string(out) != `{"a":["x"]}` {
		t.Errorf("%s, %v", out, err)
	}
	_, err = c.Apply(nil, body, []call.Edit{{Kind: call.SetHeader, Name: "X-A", With: "1"}})
	if err == nil {
		t.Error("a header of a frame was set")
	}
}

func TestRecordHoldsNoSecretOfTheTarget(t *testing.T) {
	for _, tt := range []struct{ host, target, given, want string }{
		{"a.example.com", "/x/" + token + "/y?q=1", "/x/" + token + "/y", "/x/[secret/t]/y a.example.com"},
		{"a.example.com", "/x?q=" + token, "/x?q=" + token, "/x a.example.com"},
		{"a.example.com", "/x/" + std64("the token is "+token), "", "/x/[secret/t] a.example.com"},
		{"a.example.com", "/zq7R9xWm2L/pT4vKs8NbY", "", "/[secret/t]/ a.example.com"},
		{"a.example.com", "/a%20zq7R9xWm2LpT4vKs8Nb%59", "", "/a%20[secret/t] a.example.com"},
		{"a.example.com", "/x/" + token, "/X/" + token, "[redacted] a.example.com"},
		{"x" + token + ".example.com", "/", "/", "/ x[secret/t].example.com"},
	} {
		m := &Message{Host: tt.host, Target: tt.target}
		c := Decode(m, nil, Limits{})
		var found []call.Finding
		for _, p := range places(c, token) {
			found = append(found, call.Finding{Kind: "secret/t", Place: p})
		}
		if tt.given == "" {
			tt.given = tt.target
		}
		path, host := c.Redacted(tt.given, strings.ToLower(tt.host), found)
		if got := path + " " + host; got != tt.want {
			t.Errorf("%s%s: %s, want %s", tt.host, tt.target, got, tt.want)
		}
	}
}

func TestNamesThatLookLikeDataAreNotWrittenInPaths(t *testing.T) {
	body := []byte(`{"` + token + `":{"x":"value"},"additionalPropertiesAllowed":"value","input_schema/a":"value"}`)
	c := Decode(&Message{}, body, Limits{})
	got := strings.Join(slices.Compact(slices.Sorted(slices.Values(paths(places(c, "value"))))), " ")
	if got != "body/(name)/x body/additionalPropertiesAllowed body/input_schema%2Fa" {
		t.Error(got)
	}
}

func TestEdgesOfPartsAndFields(t *testing.T) {
	c := Decode(&Message{}, []byte(`["zq7R9","xWm2L"]`), Limits{})
	k := bytes.Index(c.Text, []byte("zq7R9xWm2L"))
	for i, want := range []bool{true, false, false, false, false, true, false, false, false, false, true} {
		if c.Edge(k+i) != want {
			t.Errorf("Edge(%d) is %v", i, !want)
		}
	}
	if p := c.Place(k+5, k+10); p.Part != "body/1" || p.Start != 0 || p.End != 5 || string(c.Text[p.From:p.To]) != "xWm2L" {
		t.Errorf("a span within one field of a joined part is at %v", p)
	}
	if p := c.Place(k+4, k+20); p.Part != "body/0+body/1" || p.Start != 4 || p.End != 10 {
		t.Errorf("a span over two fields is at %v", p)
	}
}

func TestEdgesOfFieldsAreSeenInTheLayersOverThem(t *testing.T) {
	for _, pad := range []int{0, mapMax} {
		c := Decode(&Message{Target: "/notes"}, []byte(`["zq7R9\u200b","xWm2L\u200b1"`+strings.Repeat(`,"aA1"`, pad/3+1)+`]`), Limits{})
		var got []bool
		for _, p := range places(c, "zq7R9xWm2L1") {
			if !strings.Contains(p.Part, "+") || !strings.HasSuffix(p.Part, "#fold") {
				continue
			}
			for i := range 11 {
				got = append(got, c.Edge(p.From+i))
			}
		}
		want := []bool{true, false, false, false, false, true, false, false, false, false, false}
		if pad > 0 {
			want = []bool{true, true, true, true, true, true, true, true, true, true, true} // not mapped
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d: edges are %v, want %v", pad, got, want)
		}
	}
}

func TestCodingsMayStandInSeveralFields(t *testing.T) {
	body := coded(t, "br", coded(t, "gzip", []byte("say "+token)))
	m := &Message{Header: http.Header{"Content-Encoding": {"gzip", "br"}}}
	c := Decode(m, body, Limits{})
	if got := paths(places(c, token)); len(got) != 1 || len(c.Uninspected) > 0 {
		t.Errorf("found at %q, uninspected %v", got, c.Uninspected)
	}
	c.Release()
	c.Release() // a second time does nothing: else two calls would share memory
}

func TestRedactionOfALayerLeavesItsNeighboursAlone(t *testing.T) {
	body := []byte(`{"data":"` + std64("the token is "+token) + `","type":"abcd","x":"abcdefgh"}`)
	m := message("/", "")
	c := Decode(m, body, Limits{})
	out, err := redactAll(c, m, body, token, "[x]")
	if err != nil || string(out) != `{"data":"[x]","type":"abcd","x":"abcdefgh"}` {
		t.Errorf("%s, %v", out, err)
	}
}

// In a layer with very many findings each is redacted for itself, in time that
// stays linear: where each comes from is looked up once.
func TestLayerWithVeryManyFindingsIsRedactedPieceByPiece(t *testing.T) {
	const word = "s3cr3t-w0rd"
	unit := "a=%73" + word[1:] + " "
	body := []byte(strings.Repeat(unit, 20_000))
	m := &Message{Header: http.Header{"Content-Type": {"text/plain"}}, Body: strings.NewReader(string(body)), Length: int64(len(body))}
	c := Decode(m, body, Limits{})
	defer c.Release()
	var edits []call.Edit
	for at := 0; ; {
		i := bytes.Index(c.Text[at:], []byte(word))
		if i < 0 {
			break
		}
		at += i + len(word)
		edits = append(edits, call.Edit{Kind: call.Redact, Place: c.Place(at-len(word), at), With: "[x]"})
	}
	if len(edits) < 20_000 {
		t.Fatalf("%d findings", len(edits))
	}
	begin := time.Now()
	out, err := c.Apply(m, body, edits)
	if want := strings.Repeat("a=[x] ", 20_000); err != nil || string(out) != want {
		t.Errorf("%.80q, %v", out, err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("%d redactions in one layer took %v", len(edits), took)
	}
}
