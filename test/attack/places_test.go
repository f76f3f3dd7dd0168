package attack

import (
	"fmt"
	"net/url"
	"strings"
)

// A place is where a text can stand in a request. put returns the request that
// carries s there; it writes s as the place demands and no more.
type place struct {
	name  string
	takes shape // the most that can stand there
	put   func(s string) request
	plain bool // what is around the text must stay as it is when it is redacted
}

const (
	asJSON  = "application/json"
	asForm  = "application/x-www-form-urlencoded"
	asText  = "text/plain"
	asXML   = "application/xml"
	asBytes = "application/octet-stream"
)

// body makes a place of a body that holds %s, written by esc.
func body(name, ctype string, takes shape, esc func(string) string, format string) place {
	return place{name, takes, func(s string) request { return post(ctype, strings.Replace(format, "%s", esc(s), 1)) }, true}
}

func inHeader(name string) place {
	return place{"header " + name, unicoded, func(s string) request {
		return post(asJSON, `{"a":1}`, [2]string{name, s})
	}, true}
}

func inURL(name, format string, esc func(string) string) place {
	return place{name, binary, func(s string) request { return get(strings.Replace(format, "%s", esc(s), 1)) }, true}
}

const deep = 60

var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace

func multipart(name string, takes shape, format string) place {
	return place{name, takes, func(s string) request {
		b := strings.Replace(strings.ReplaceAll(format, "\n", "\r\n"), "%s", s, 1)
		return post("multipart/form-data; boundary=XBX", b)
	}, false}
}

var jsonPlaces = []place{
	body("JSON value", asJSON, unicoded, inner, `{"id": 7,  "note": "%s", "done": false}`),
	body("JSON value in words", asJSON, unicoded, inner, `{"note": "please keep %s for me"}`),
	body("JSON key", asJSON, unicoded, inner, `{"a": {"%s": 1}}`),
	body("JSON deep", asJSON, unicoded, inner, strings.Repeat(`{"a":[`, deep)+`"%s"`+strings.Repeat(`]}`, deep)),
	body("JSON array", asJSON, unicoded, inner, `{"list": ["one", "%s", "three"]}`),
	body("JSON top", asJSON, unicoded, inner, `"%s"`),
	body("NDJSON", "application/x-ndjson", unicoded, inner, "{\"a\":1}\n{\"b\":\"%s\"}\n{\"c\":2}\n"),
	body("JSON in JSON", asJSON, unicoded, func(s string) string { return inner(`{"query":` + quoted(s) + `}`) }, `{"name":"search","arguments":"%s"}`),
	body("JSON in JSON in JSON", asJSON, unicoded, func(s string) string {
		return inner(`{"call":` + quoted(`{"q":[`+quoted(s)+`]}`) + `}`)
	}, `{"arguments":"%s"}`),
	body("chat message", asJSON, unicoded, inner, `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Deploy with %s now."}]}]}`),
	body("JSON with BOM", asJSON, unicoded, inner, "\ufeff{\"a\":\"%s\"}"),
	body("JSON duplicate key, first", asJSON, unicoded, inner, `{"a":"%s","a":"x"}`),
	body("JSON duplicate key, last", asJSON, unicoded, inner, `{"a":"x","a":"%s"}`),
	body("JSON with comments", asJSON, unicoded, inner, "{ // c\n \"a\": \"%s\", /* d */ }"),
	body("JSON in a comment", asJSON, unicoded, inner, `{"a":1 /* %s */}`),
	body("JSON with garbage", asJSON, unicoded, inner, `{"a":"%s"} trailing {garbage`),
	body("JSON truncated", asJSON, unicoded, inner, `{"a":{"b":"%s`),
	body("JSON single quotes", asJSON, unicoded, inner, `{'a':'%s'}`),
	body("JSON as text", asText, unicoded, inner, `{"a":"%s"}`),
	body("JSON as bytes", asBytes, unicoded, inner, `{"a":"%s"}`),
	body("JSON as XML", asXML, unicoded, inner, `{"a":"%s"}`),
	body("JSON as form", asForm, unicoded, inner, `{"a":"%s"}`),
	body("JSON as multipart", "multipart/form-data", unicoded, inner, `{"a":"%s"}`),
	body("JSON as image", "image/png", unicoded, inner, `{"a":"%s"}`),
	body("JSON as nonsense", "a;;/=b", unicoded, inner, `{"a":"%s"}`),
	body("JSON untyped", "", unicoded, inner, `{"a":"%s"}`),
	body("GraphQL variables", asJSON, unicoded, inner, `{"query":"mutation($i: In!){ add(input:$i){ id } }","variables":{"i":{"body":"%s"}}}`),
	body("GraphQL literal", asJSON, unicoded, func(s string) string { return inner(quoted(s)) }, `{"query":"mutation{ add(body:%s){ id } }"}`),
	body("JSON-RPC params", asJSON, unicoded, inner, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"path":"%s"}}}`),
}

var textPlaces = []place{
	body("form value", asForm, binary, url.QueryEscape, `a=1&note=%s&b=2`),
	body("form key", asForm, binary, url.QueryEscape, `a=1&%s=2`),
	body("form untyped", "", binary, url.QueryEscape, `a=1&note=%s&b=2`),
	body("form as JSON", asJSON, binary, url.QueryEscape, `a=1&note=%s&b=2`),
	body("form semicolons", asForm, binary, url.QueryEscape, `a=1;note=%s;b=2`),
	body("text", asText, binary, same, "%s"),
	body("text in words", asText, binary, same, "see %s there"),
	body("text untyped", "", binary, same, "%s"),
	body("text as JSON", asJSON, binary, same, "%s"),
	body("bytes", asBytes, binary, same, "\x00\x01\xfe\xff\n%s"),
	body("CSV", "text/csv", printable, same, "id,note\n1,\"%s\"\n"),
	body("YAML", "application/yaml", printable, same, "a: 1\nb:\n  - %s\n"),
	body("XML text", asXML, broken, xmlText, `<?xml version="1.0"?><a><b>%s</b></a>`),
	body("XML attribute", asXML, broken, xmlText, `<a><b note="%s"/></a>`),
	body("XML comment", asXML, broken, same, `<a><!-- %s --></a>`),
	body("XML CDATA", asXML, binary, same, `<a><![CDATA[%s]]></a>`),
	body("XML instruction", asXML, broken, same, `<?note %s?><a/>`),
	body("XML references", asXML, printable, each("&#x%x;"), `<a>%s</a>`),
	body("HTML", "text/html", broken, xmlText, `<p>Hello <b>%s</b></p>`),
	body("SSE", "text/event-stream", printable, same, "event: x\ndata: %s\n\n"),
	body("protobuf", "application/x-protobuf", binary, func(s string) string {
		return fmt.Sprintf("%c%c%s", len(s)&0x7f|0x80, len(s)>>7, s)
	}, "\x08\x07\x12%s"),
	body("protobuf, length a letter", "application/x-protobuf", binary, same, "\x08\x07\x12l%s"),
	body("msgpack", "application/msgpack", binary, func(s string) string {
		return fmt.Sprintf("\xda%s%s", []byte{byte(len(s) >> 8), byte(len(s))}, s)
	}, "\x82\xa1a\x01\xa1b%s"),
	body("gRPC", "application/grpc", binary, func(s string) string {
		n := len(s) + 3
		return string([]byte{0, 0, 0, byte(n >> 8), byte(n), 0x0a, byte(len(s)&0x7f | 0x80), byte(len(s) >> 7)}) + s
	}, "%s"),
	body("UTF-16 text", "text/plain; charset=utf-16le", unicoded, utf16le, "%s"),
	body("UTF-16 text, big", "text/plain; charset=utf-16", unicoded, func(s string) string { return "\xfe\xff" + utf16be(s) }, "%s"),
	body("UTF-16 JSON", asJSON, unicoded, func(s string) string { return utf16le(`{"a":` + quoted(s) + `}`) }, "%s"),
	body("UTF-16 JSON with BOM", asJSON, unicoded, func(s string) string { return "\xff\xfe" + utf16le(`{"a":`+quoted(s)+`}`) }, "%s"),
	body("UTF-32 JSON", asJSON, unicoded, func(s string) string { return utf32le(`{"a":` + quoted(s) + `}`) }, "%s"),
}

var partPlaces = []place{
	multipart("multipart field", binary, "--XBX\nContent-Disposition: form-data; name=\"note\"\n\n%s\n--XBX--\n"),
	multipart("multipart name", unicoded, "--XBX\nContent-Disposition: form-data; name=\"%s\"\n\nx\n--XBX--\n"),
	multipart("multipart filename", unicoded, "--XBX\nContent-Disposition: form-data; name=\"f\"; filename=\"%s\"\nContent-Type: image/png\n\nx\n--XBX--\n"),
	{"multipart filename*", binary, func(s string) request {
		return post("multipart/form-data; boundary=XBX", "--XBX\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''"+url.PathEscape(s)+"\r\n\r\nx\r\n--XBX--\r\n")
	}, false},
	multipart("multipart file", binary, "--XBX\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\nContent-Type: application/octet-stream\n\n%s\n--XBX--\n"),
	{"multipart JSON", unicoded, func(s string) request {
		return post("multipart/related; boundary=XBX", "--XBX\r\nContent-Type: application/json\r\n\r\n{\"a\":["+quoted(s)+"]}\r\n--XBX--\r\n")
	}, true},
	{"multipart base64", binary, func(s string) request {
		return post("multipart/form-data; boundary=XBX", "--XBX\r\nContent-Disposition: form-data; name=f\r\nContent-Transfer-Encoding: base64\r\n\r\n"+std64(s)+"\r\n--XBX--\r\n")
	}, false},
	multipart("multipart header", unicoded, "--XBX\nContent-Disposition: form-data; name=f\nX-Note: %s\n\nx\n--XBX--\n"),
	multipart("multipart preamble", binary, "%s\n--XBX\nContent-Disposition: form-data; name=f\n\nx\n--XBX--\n"),
	multipart("multipart epilogue", binary, "--XBX\nContent-Disposition: form-data; name=f\n\nx\n--XBX--\n%s"),
	multipart("multipart unended", binary, "--XBX\nContent-Disposition: form-data; name=f\n\n%s"),
	{"multipart as text", unicoded, func(s string) request {
		return post(asText, "--XBX\r\nContent-Disposition: form-data; name=f\r\n\r\n{\"a\":"+quoted(s)+"}\r\n--XBX--\r\n")
	}, false},
	{"multipart nested", unicoded, func(s string) request {
		return post("multipart/mixed; boundary=XBX", "--XBX\r\nContent-Type: multipart/mixed; boundary=YBY\r\n\r\n--YBY\r\nContent-Type: application/json\r\n\r\n{\"a\":"+quoted(s)+"}\r\n--YBY--\r\n--XBX--\r\n")
	}, true},
	{"multipart other boundary", unicoded, func(s string) request {
		return post("multipart/form-data; boundary=ZZZ", "--XBX\r\nContent-Disposition: form-data; name=f\r\n\r\n{\"a\":"+quoted(s)+"}\r\n--XBX--\r\n")
	}, false},
}

var headPlaces = []place{
	inURL("query value", "https://notes.example/find?a=1&q=%s&b=2", url.QueryEscape),
	inURL("query key", "https://notes.example/find?a=1&%s=1", url.QueryEscape),
	inURL("query alone", "https://notes.example/find?%s", url.QueryEscape),
	inURL("query after semicolon", "https://notes.example/find?a=1;q=%s", url.QueryEscape),
	inURL("path segment", "https://notes.example/v1/%s/edit", url.PathEscape),
	inURL("path file", "https://notes.example/v1/%s.png", url.PathEscape),
	inURL("path parameter", "https://notes.example/v1/a;k=%s/edit", url.PathEscape),
	inHeader("X-Note"),
	inHeader("User-Agent"),
	inHeader("Traceparent"),
	inHeader("Accept"),
	inHeader("Accept-Language"),
	inHeader("If-None-Match"),
	inHeader("X-Request-Id"),
	inHeader("Content-Language"),
	inHeader("Content-Disposition"),
	inHeader("Origin"),
	{"header name", printable, func(s string) request {
		return get(notes, [2]string{"X-" + strings.Map(tokenOnly, s), "1"})
	}, false},
	{"Basic password", binary, func(s string) request {
		return get(notes, [2]string{"Authorization", "Basic " + std64("mia:"+s)})
	}, false},
	{"header Referer", unicoded, func(s string) request {
		return get(notes, [2]string{"Referer", "https://a.example/?q=" + url.QueryEscape(s)})
	}, true},
	{"header Content-Type", printable, func(s string) request { return post("application/json; profile=\""+s+"\"", "{}") }, false},
	{"cookie", printable, func(s string) request { return get(notes, [2]string{"Cookie", "a=1; note=" + s + "; b=2"}) }, true},
	{"cookie name", printable, func(s string) request { return get(notes, [2]string{"Cookie", "a=1; " + s + "=1"}) }, false},
	{"second header line", unicoded, func(s string) request {
		return get(notes, [2]string{"X-Note", "hello"}, [2]string{"X-Note", s})
	}, true},
}

// tokenOnly keeps what may stand in the name of a header field.
func tokenOnly(r rune) rune {
	if r < 0x7f && (strings.ContainsRune(alnum, r) || strings.ContainsRune("!#$%&'*+-.^_`|~", r)) {
		return r
	}
	return -1
}

// codings are bodies of JSON with a content coding. The text stands in a value.
var codings = []place{
	coded("gzip", []string{"gzip"}, gzipped),
	coded("x-gzip", []string{"x-gzip"}, gzipped),
	coded("GZIP", []string{" GZIP "}, gzipped),
	coded("deflate", []string{"deflate"}, zlibbed),
	coded("deflate raw", []string{"deflate"}, deflated),
	coded("br", []string{"br"}, brotlied),
	coded("zstd", []string{"zstd"}, zstded),
	coded("gzip, br", []string{"gzip, br"}, gzipped, brotlied),
	coded("br, gzip", []string{"br, gzip"}, brotlied, gzipped),
	coded("gzip, gzip", []string{"gzip, gzip"}, gzipped, gzipped),
	coded("zstd, deflate, gzip", []string{"zstd, deflate, gzip"}, zstded, zlibbed, gzipped),
	coded("gzip, identity", []string{"gzip, identity"}, gzipped),
	coded("gzip and br in two lines", []string{"gzip", "br"}, gzipped, brotlied),
	coded("identity and gzip in two lines", []string{"identity", "gzip"}, gzipped),
	coded("empty and gzip in two lines", []string{"", "gzip"}, gzipped),
	coded("gzip members", []string{"gzip"}, func(s string) string { return gzipped(s[:9]) + gzipped(s[9:]) }),
	coded("gzip not said", nil, gzipped),
	coded("zlib not said", nil, zlibbed),
	coded("zstd not said", nil, zstded),
	coded("gzip said br", []string{"br"}, gzipped),
	coded("gzip said, plain", []string{"gzip"}),
	coded("aws-chunked", []string{"aws-chunked"}),
	coded("gzip with a tail", []string{"gzip"}, func(s string) string { return gzipped(`{"a":1}`) + s }),
}

func coded(name string, said []string, fs ...func(string) string) place {
	return place{"coding " + name, unicoded, func(s string) request {
		r := post(asJSON, chain(fs...)(`{"id": 7, "note": `+quoted(s)+`}`))
		for _, v := range said {
			r.Header = append(r.Header, [2]string{"Content-Encoding", v})
		}
		return r
	}, false}
}

func allPlaces() []place {
	var all []place
	for _, p := range [][]place{jsonPlaces, textPlaces, partPlaces, headPlaces, codings} {
		all = append(all, p...)
	}
	return all
}
