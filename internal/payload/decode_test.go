package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"outvet/call"
)

// token stands for a secret in these tests.
const token = "zq7R9xWm2LpT4vKs8NbY"

// message returns a message from a head in the form of a request.
func message(target, header string) *Message {
	m := &Message{Host: "api.example.com", Target: target, Header: http.Header{}, Length: -1}
	for line := range strings.Lines(header) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		m.Header.Add(name, v)
	}
	return m
}

// places returns where s stands in c.
func places(c *Content, s string) []call.Place {
	var out []call.Place
	for from := 0; ; {
		k := bytes.Index(c.Text[from:], []byte(s))
		if k < 0 {
			return out
		}
		out = append(out, c.Place(from+k, from+k+len(s)))
		from += k + 1
	}
}

func paths(ps []call.Place) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Part)
	}
	return out
}

func std64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func zip(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

var cases = []struct {
	name           string
	target, header string
	body           string
	want           string // path where it is found, among others
	after          string // body, target or the like after redaction with [x]; not compared if empty
}{
	{"path", "/v1/" + token + "/x", "", "", "path/1", "/v1/%5Bx%5D/x"},
	{"percent in path", "/v1/a%20zq7R9xWm2LpT4vKs8Nb%59/x", "", "", "path/1", "/v1/a%20%5Bx%5D/x"},
	{"query", "/?a=b&q=1" + token, "", "", "query/q", "/?a=b&q=1%5Bx%5D"},
	{"query name", "/?a=b&" + token + "=q", "", "", "query/(key)", "/?a=b&%5Bx%5D=q"},
	{"header", "/", "X-Thing: a " + token + " b", "", "header/x-thing", "a [x] b"},
	{"cookie", "/", "Cookie: a=b; sid=" + token + "; c=d", "", "cookie/sid", "a=b; sid=[x]; c=d"},
	{"bearer", "/", "Authorization: Bearer " + token, "", "header/authorization", "Bearer [x]"},
	{"basic", "/", "Authorization: Basic " + std64("u:"+token), "", "header/authorization#base64", "Basic [x]"},
	{"json", "/", "Content-Type: application/json", `{"messages": [ {"content":"say ` + token + ` \n\u00e9"}]}`,
		"body/messages/0/content", `{"messages": [ {"content":"say [x] \n\u00e9"}]}`},
	{"json escapes", "/", "", `[1,{"a":"\u007aq7R9xWm2LpT4vKs8NbY\t"}]`, "body/1/a", `[1,{"a":"[x]\t"}]`},
	{"json key", "/", "", `{"a":{"` + token + `":1}}`, "body/a/(key)", `{"a":{"[x]":1}}`},
	{"json in json", "/", "", `{"arguments":"{\"cmd\":\"echo ` + token + `\"}"}`,
		"body/arguments#json/cmd", `{"arguments":"{\"cmd\":\"echo [x]\"}"}`},
	{"json mislabelled", "/", "Content-Type: text/plain", `{"a":"zq7R9xWm2LpT4vKs8Nb\u0059"}`, "body/a", `{"a":"[x]"}`},
	{"ndjson", "/", "", "{\"a\":\"x\"}\n{\"a\":\"" + token + "\"}\n", "body/1/a", "{\"a\":\"x\"}\n{\"a\":\"[x]\"}\n"},
	{"broken json", "/", "Content-Type: application/json", `{"a":"` + token + `"`, "body", `{"a":"[x]"`},
	{"form", "/", "Content-Type: application/x-www-form-urlencoded", "a=b&c=%7aq7R9xWm2LpT4vKs8NbY+d", "body/c", "a=b&c=%5Bx%5D+d"},
	{"json sent as form", "/", "Content-Type: application/x-www-form-urlencoded", `{"a":"` + token + `"}`, "body/a", `{"a":"[x]"}`},
	{"text sent as form", "/", "Content-Type: application/x-www-form-urlencoded", "it is\n" + token, "body", ""},
	{"multipart", "/", "Content-Type: multipart/form-data; boundary=b0",
		"--b0\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" + token + "\r\n--b0--\r\n", "body/f",
		"--b0\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n[x]\r\n--b0--\r\n"},
	{"multipart json", "/", "Content-Type: multipart/form-data; boundary=\"b0\"",
		"--b0\r\nContent-Disposition: form-data; name=f\r\nContent-Type: application/json\r\n\r\n{\"k\":\"" + token + "\"}\r\n--b0--", "body/f/k", ""},
	{"multipart file name", "/", "Content-Type: multipart/form-data; boundary=b0",
		"--b0\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + token + "\"\r\n\r\nx\r\n--b0--\r\n", "body/f/(filename)", ""},
	{"multipart header", "/", "Content-Type: multipart/mixed; boundary=b0",
		"--b0\nX-A: " + token + "\n\nx\n--b0--\n", "body/0/(head)", ""},
	{"multipart preamble", "/", "Content-Type: multipart/mixed; boundary=b0",
		token + "\r\n--b0\r\n\r\nx\r\n--b0--\r\n", "body", ""},
	{"multipart unlabelled", "/", "", "--b0\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" + token + "\r\n--b0--\r\n", "body/f", ""},
	{"xml", "/", "Content-Type: text/xml", "<a>" + token + "</a>", "body", "<a>[x]</a>"},
	{"plain", "/", "Content-Type: text/plain", "a\xff " + token + "\xfe", "body", "a\xff [x]\xfe"},
	{"base64 in json", "/", "", `{"a":"` + std64("the token is "+token) + `"}`, "body/a#base64", `{"a":"[x]"}`},
	{"hex", "/", "", `{"a":"` + hex.EncodeToString([]byte("the token is "+token)) + `"}`, "body/a#hex", `{"a":"[x]"}`},
	{"gzip in base64", "/", "", `{"a":"` + std64(zip("the token is "+token)) + `"}`, "body/a#base64#gzip", `{"a":"[x]"}`},
	{"gzip in body", "/", "", zip("the token is " + token), "body#gzip", "[x]"},
	{"json in base64", "/", "", `{"a":"` + std64(`{"b":"\u007aq7R9xWm2LpT4vKs8NbY"}`) + `"}`, "body/a#base64#json/b", `{"a":"[x]"}`},
	{"fold", "/", "", "{\"a\":\"zq7R9xWm\u200b2LpT4vKs8NbY\"}", "body/a#fold", `{"a":"[x]"}`},
	{"entity", "/", "Content-Type: text/html", "<p>zq7R9xWm&#50;LpT4vKs8NbY</p>", "body#entity", ""},
	{"array elements", "/", "", `["zq7R9","xWm2L","pT4vK","s8NbY"]`, "body/0+body/3", `["[x]","","",""]`},
	{"characters", "/", "", `["` + strings.Join(strings.Split(token, ""), `","`) + `"]`, "body/0+body/19", ""},
	{"object values", "/", "", `{"a":"zq7R9xWm2L","b":"pT4vKs8NbY","c":"a b"}`, "body/a+body/b", `{"a":"[x]","b":"","c":"a b"}`},
	{"object keys", "/", "", `{"zq7R9xWm2L":1,"pT4vKs8NbY":2}`, "body/(key)+body/(key)", ""},
	{"columns", "/", "", `{"m":[{"role":"user","text":"zq7R9xWm2L"},{"role":"user","text":"pT4vKs8NbY"}]}`, "body/m/0/text+body/m/1/text", ""},
	{"query values", "/?a=zq7R9xWm2L&b=pT4vKs8NbY", "", "", "query/a+query/b", "/?a=%5Bx%5D&b="},
	{"query and body", "/?a=zq7R9xWm2L", "", `{"b":"pT4vKs8NbY"}`, "query/a+body/b", ""},
	{"query names and values", "/?zq7R9=xWm2L&pT4vK=s8NbY", "", "", "query/(key)+query/pT4vK", ""},
	{"path segments", "/zq7R9xWm2L/pT4vKs8NbY", "", "", "path/0+path/1", "/%5Bx%5D/"},
	{"headers", "/", "X-A: zq7R9xWm2L\nX-B: pT4vKs8NbY", "", "header/x-a+header/x-b", ""},
	{"elements", "/", "Content-Type: text/xml", "<a><c>zq7R9xWm2L</c><c>pT4vKs8NbY</c></a>", "body+body", "<a><c>[x]</c><c></c></a>"},
	{"elements, unlabelled", "/", "", "\uFEFF<!DOCTYPE a>\n<a>\n  <c>zq7R9xWm2L</c>\n  <c>pT4vKs8NbY</c>\n</a>", "body+body",
		"\uFEFF<!DOCTYPE a>\n<a>\n  <c>[x]</c>\n  <c></c>\n</a>"},
	{"elements with others between", "/", "", "<a><i>10</i><c>zq7R9xWm2L</c><i>11</i><c>pT4vKs8NbY</c></a>", "body+body", "<a><i>10</i><c>[x]</c><i>11</i><c></c></a>"},
	{"attributes", "/", "", "<a k=\"zq7R9xWm2L\"><b k = 'pT4vKs'/><c k=8NbY></a>", "body+body", "<a k=\"[x]\"><b k = ''/><c k=></a>"},
	{"attributes of one name", "/", "", "<a i=1 k='zq7R9xWm2L'/><a i=2 k='pT4vKs8NbY'/>", "body+body", "<a i=1 k='[x]'/><a i=2 k=''/>"},
	{"text between comments", "/", "", "<a>zq7R9<!-- x -->xWm2L<![CDATA[pT4vK]]><b/>s8NbY</a>", "body+body", "<a>[x]<!-- x --><![CDATA[]]><b/></a>"},
	{"comments", "/", "", "<a><!-- zq7R9xWm2L --><!-- pT4vKs8NbY --></a>", "body+body", "<a><!-- [x] --><!--  --></a>"},
	{"element names", "/", "", "<a><zq7R9xWm2L/><pT4vKs8NbY/></a>", "body+body", ""},
	{"references in elements", "/", "", "<a><c>zq7R9&#120;Wm2L</c><c>pT4vKs8NbY</c></a>", "body+body#entity", "<a><c>[x]</c><c></c></a>"},
	{"markup that is not closed", "/", "", "<a><c>zq7R9xWm2L</c><c x=\" y><!-- <c>pT4vKs8NbY", "body+body", ""},
	{"lines", "/", "Content-Type: text/plain", "zq7R9xWm2L\r\npT4vKs8NbY\r\n", "body+body", "[x]\r\n\r\n"},
	{"lines of a list", "/", "", "a:\n  - zq7R9xWm2L\n  - pT4vKs8NbY\n", "body+body", "a:\n  - [x]\n  - \n"},
	{"numbered lines", "/", "", "1. zq7R9xWm2L\n2. pT4vKs8NbY\n", "body+body", "1. [x]\n2. \n"},
	{"cells", "/", "Content-Type: text/csv", "a,b\nzq7R9xWm2L,pT4vKs8NbY\n", "body+body", "a,b\n[x],\n"},
	{"columns of cells", "/", "Content-Type: text/csv", "i,c\n0,zq7R9xWm2L\n1,pT4vKs8NbY\n", "body+body", "i,c\n0,[x]\n1,\n"},
	{"strings of a source", "/", "", "x = \"zq7R9xWm2L\" +\n  \"pT4vKs8NbY\";\n", "body+body", "x = \"[x]\" +\n  \"\";\n"},
	{"list in a header field", "/", "X-A: zq7R9xWm2L, pT4vKs8NbY", "", "header/x-a+header/x-a", "[x], "},
	{"header and body", "/", "X-A: zq7R9xWm2L", `{"a":"pT4vKs8NbY"}`, "header/x-a+body/a", `{"a":""}`},
	{"names and values in turn", "/", "", `{"zq7R9":"xWm2L","pT4vK":"s8NbY"}`, "body/(key)+body/pT4vK", `{"[x]":"","":""}`},
	{"words between", "/", "", `{"a":"zq7R9xWm2L","b":"text","c":"pT4vKs8NbY"}`, "body/a+body/c", `{"a":"[x]","b":"text","c":""}`},
	{"file names", "/", "Content-Type: multipart/form-data; boundary=b0",
		"--b0\r\nContent-Disposition: form-data; name=f; filename=zq7R9xWm2L\r\n\r\nx\r\n--b0\r\nContent-Disposition: form-data; name=f; filename=pT4vKs8NbY\r\n\r\ny\r\n--b0--\r\n",
		"body/f/(filename)+body/f/(filename)", ""},
	{"split tool arguments", "/", "", `{"arguments":"{\"a\":\"zq7R9xWm2L\",\"b\":\"pT4vKs8NbY\"}"}`,
		"body/arguments#json/a+body/arguments#json/b", `{"arguments":"{\"a\":\"[x]\",\"b\":\"\"}"}`},
	{"split base64", "/", "", `["` + std64("the token is " + token)[:20] + `","` + std64("the token is " + token)[20:] + `"]`, "body/0+body/1#base64", ""},
	{"number", "/", "", `{"n":1234567890123}`, "", ""},
}

func TestTokenIsFoundAndRedactedWhereverItStands(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			s := token
			if tt.name == "number" {
				s, tt.want, tt.after = "567890", "body/n", `{"n":"1234[x]123"}`
			}
			m := message(tt.target, tt.header)
			var body []byte
			if tt.body != "" {
				body = []byte(tt.body)
			}
			c := Decode(m, body, Limits{})
			found := places(c, s)
			ok := false
			for _, p := range found {
				ok = ok || p.Part == tt.want
			}
			if !ok {
				t.Fatalf("found at %q, want %s, in\n%s", paths(found), tt.want, c.Text)
			}
			if len(c.Uninspected) > 0 {
				t.Errorf("uninspected: %v", c.Uninspected)
			}
			var edits []call.Edit
			for _, p := range found {
				edits = append(edits, call.Edit{Kind: call.Redact, Place: p, With: "[x]"})
			}
			out, err := c.Apply(m, body, edits)
			if err != nil {
				t.Fatal(err)
			}
			if left := places(Decode(m, out, Limits{}), s); len(left) > 0 {
				t.Errorf("left at %q in %s %v %s", paths(left), m.Target, m.Header, out)
			}
			if tt.after == "" {
				return
			}
			got := string(out)
			if body == nil {
				if got = m.Target; got == tt.target {
					for _, v := range m.Header {
						got = v[0]
					}
				}
			}
			if got != tt.after {
				t.Errorf("after redaction:\n%s\nwant\n%s", got, tt.after)
			}
		})
	}
}

func TestPercentEncodedTargetIsValidAfterRedaction(t *testing.T) {
	m := message("/a/"+token+"?x="+token, "")
	c := Decode(m, nil, Limits{})
	var edits []call.Edit
	for _, p := range places(c, token) {
		edits = append(edits, call.Edit{Kind: call.Redact, Place: p, With: "a/b?c&d=e#f\r\n"})
	}
	if _, err := c.Apply(m, nil, edits); err != nil {
		t.Fatal(err)
	}
	u, err := url.ParseRequestURI(m.Target)
	if err != nil || u.Query().Get("x") != "a/b?c&d=e#f\r\n" || u.Path != "/a/a/b?c&d=e#f\r\n" {
		t.Errorf("%s: %v", m.Target, err)
	}
}
