package payload

import (
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A form says how the text of a part is written where it stands.
type form uint8

const (
	hostForm    form = iota // cannot be edited
	textForm                // as it is
	markupForm              // text of XML or HTML
	jsonForm                // inside the quotes of a JSON string
	numberForm              // a JSON number
	queryForm               // application/x-www-form-urlencoded
	segmentForm             // of a path
	headerForm              // a field value
	nameForm                // a field name: an edit removes the field
	cookieForm
	mimeForm  // the header block of a part of a multipart body
	layerForm // all of it is replaced where it stands encoded
	joinForm  // each field is edited where it stands
	goneForm  // its text was read before and is not in Text
	maskForm  // asterisks for each byte; of streams
)

// write returns with as it must be written for f.
func (f form) write(with string) string {
	with = strings.ToValidUTF8(with, "\uFFFD")
	switch f {
	case markupForm:
		return markup.Replace(with)
	case jsonForm:
		q, _ := jsontext.AppendQuote(nil, with) // valid UTF-8 cannot fail
		return string(q[1 : len(q)-1])
	case queryForm:
		return url.QueryEscape(with)
	case segmentForm:
		return segment(with)
	case headerForm:
		return printable(with, "")
	case mimeForm:
		return printable(with, `"\`)
	case cookieForm:
		return printable(with, `",;\ `)
	}
	return with
}

var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// segment writes s for a path. A segment of dots alone would be a step up.
func segment(s string) string {
	if strings.Trim(s, ".") == "" {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

// printable replaces control characters, which no field may hold, and those of
// also, by '_'.
func printable(s, also string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(also, r) {
			return '_'
		}
		return r
	}, s)
}
