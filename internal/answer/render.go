package answer

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"html/template"
	"net/http"
	"strings"
)

// Content types of more than one dialect.
const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
)

// object is an object of JSON. Its keys are written in order.
type object map[string]any

// encode writes v as JSON. It escapes what would be markup, so that a client
// that takes it for HTML is not fooled either.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(`{}`) // not reached: strings, numbers and maps of them
	}
	return append(b, '\n')
}

// choose returns one of two words: for policy or for trouble.
func (m *message) choose(policy, trouble string) string {
	if m.policy {
		return policy
	}
	return trouble
}

// grpc answers by headers alone ("Trailers-Only"): PERMISSION_DENIED is 7,
// UNAVAILABLE 14.
func grpc(q *question, m *message) speech {
	return speech{status: http.StatusOK, kind: "application/grpc", fields: [][2]string{
		{"Grpc-Status", m.choose("7", "14")},
		{"Grpc-Message", percent(m.line)},
	}}
}

func text(_ *question, m *message) speech {
	return speech{status: m.status, kind: typeText, body: []byte(m.line + "\n")}
}

func npm(_ *question, m *message) speech {
	return speech{status: m.status, kind: typeJSON, body: encode(object{"error": m.line})}
}

func registry(_ *question, m *message) speech {
	return speech{status: m.status, kind: typeJSON, body: encode(object{"errors": []object{
		{"code": m.choose("DENIED", "UNAVAILABLE"), "message": m.line},
	}})}
}

// modelStatus is 400 for policy: see the package documentation.
func modelStatus(m *message) int {
	if m.policy {
		return http.StatusBadRequest
	}
	return m.status
}

func anthropic(_ *question, m *message) speech {
	return speech{status: modelStatus(m), kind: typeJSON, body: encode(object{
		"type":  "error",
		"error": object{"type": m.choose("invalid_request_error", "api_error"), "message": m.line},
	})}
}

func openai(_ *question, m *message) speech {
	return speech{status: modelStatus(m), kind: typeJSON, body: encode(object{"error": object{
		"message": m.line,
		"type":    m.choose("invalid_request_error", "server_error"),
		"code":    m.choose("outvet_blocked", m.code),
		"param":   nil,
	}})}
}

func gemini(_ *question, m *message) speech {
	return speech{status: m.status, kind: typeJSON, body: encode(object{"error": object{
		"code": m.status, "message": m.line, "status": m.choose("PERMISSION_DENIED", "UNAVAILABLE"),
	}})}
}

func graphQL(_ *question, m *message) speech {
	return speech{status: m.status, kind: typeJSON, body: encode(object{"errors": []object{
		{"message": m.line, "extensions": object{"code": m.choose("OUTVET_BLOCKED", "UPSTREAM_FAILED")}},
	}})}
}

func s3(_ *question, m *message) speech {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	b.WriteString("<Error><Code>" + m.choose("AccessDenied", "ServiceUnavailable") + "</Code><Message>")
	xml.EscapeText(&b, []byte(m.line)) // writes to memory: no error
	b.WriteString("</Message></Error>\n")
	return speech{status: m.status, kind: "application/xml", body: b.Bytes()}
}

const pageText = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}dt{font-weight:600}</style></head>
<body><h1>{{.Title}}</h1><p>{{.Detail}}</p>{{if .Rule}}<dl><dt>Rule</dt><dd>{{.Rule}}</dd></dl>{{end}}</body></html>
`

func page(_ *question, m *message) speech {
	var b bytes.Buffer
	t := template.Must(template.New("page").Parse(pageText)) // rare: parsed when needed
	if err := t.Execute(&b, struct{ Title, Detail, Rule string }{m.title, m.detail, m.rule}); err != nil {
		return text(nil, m)
	}
	return speech{status: m.status, kind: "text/html; charset=utf-8", body: b.Bytes(), fields: [][2]string{
		{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"},
		{"X-Content-Type-Options", "nosniff"},
	}}
}

// A document is a problem document of RFC 9457.
type document struct {
	Type      string   `json:"type"`
	Title     string   `json:"title"`
	Status    int      `json:"status"`
	Detail    string   `json:"detail"`
	Instance  string   `json:"instance,omitempty"`
	Code      string   `json:"code"`
	Rule      string   `json:"rule,omitempty"`
	Call      string   `json:"call,omitempty"`
	Retryable bool     `json:"retryable"`
	Findings  []string `json:"findings,omitempty"`
}

func problem(_ *question, m *message) speech {
	d := document{
		Type: "urn:outvet:problem:" + strings.ReplaceAll(m.code, " ", "_"), Title: m.title, Status: m.status, Detail: m.detail,
		Code: m.code, Rule: m.rule, Call: m.id.Short(), Retryable: m.retry, Findings: m.findings,
	}
	if m.id != "" {
		d.Instance = "urn:outvet:call:" + string(m.id)
	}
	return speech{status: m.status, kind: "application/problem+json", body: encode(d)}
}
