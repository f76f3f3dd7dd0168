package answer

import (
	"net/http"
	"strings"
)

// A question is what the choice of the dialect depends on.
type question struct {
	r      *http.Request
	path   string
	accept string
	kind   string // content type
	agent  string
	body   []byte
	rpc    rpc
}

func ask(r *http.Request, body []byte) *question {
	q := &question{r: r, accept: r.Header.Get("Accept"), kind: strings.ToLower(r.Header.Get("Content-Type")),
		agent: r.Header.Get("User-Agent"), body: body}
	if r.URL != nil {
		q.path = r.URL.Path
	}
	return q
}

// A speech is a message in a dialect.
type speech struct {
	status int
	kind   string // content type
	body   []byte
	fields [][2]string // more fields of the header
}

// A dialect says a message.
type dialect func(*question, *message) speech

// dialectOf returns the first dialect that fits.
func dialectOf(q *question) dialect {
	host := q.r.Host
	switch {
	case strings.HasPrefix(q.kind, "application/grpc"):
		return grpc
	case q.gitService() != "":
		return gitService
	case strings.HasPrefix(q.agent, "git/"), q.goModule():
		return text
	case strings.HasPrefix(q.agent, "npm/"):
		return npm
	case strings.HasPrefix(q.path, "/v2/"):
		return registry
	case strings.HasSuffix(q.path, "/v1/messages"):
		return anthropic
	case strings.HasSuffix(q.path, "/responses"), strings.HasSuffix(q.path, "/chat/completions"):
		return openai
	case strings.Contains(q.path, "enerateContent"):
		return gemini
	case q.jsonRPC():
		return jsonRPC
	case strings.HasSuffix(q.path, "/graphql") && strings.Contains(q.kind, "json"):
		return graphQL
	case isS3(host, q.r.Header):
		return s3
	case strings.Contains(q.accept, "text/html"):
		return page
	}
	return problem
}

// goModule reports whether the go command asks for a module.
func (q *question) goModule() bool {
	if !strings.HasPrefix(q.agent, "Go-http-client") {
		return false
	}
	return strings.Contains(q.path, "/@v/") || strings.HasSuffix(q.path, "/@latest") ||
		q.r.URL != nil && strings.Contains("&"+q.r.URL.RawQuery+"&", "&go-get=1&")
}

func (q *question) jsonRPC() bool {
	if q.r.Method != http.MethodPost || !strings.Contains(q.kind, "json") {
		return false
	}
	q.rpc = readRPC(q.body)
	return q.rpc.version
}

func isS3(host string, h http.Header) bool {
	host = strings.ToLower(host)
	if strings.HasPrefix(host, "s3.") || strings.HasPrefix(host, "s3-") || strings.Contains(host, ".s3.") || strings.Contains(host, ".s3-") {
		return true
	}
	for k := range h {
		if strings.HasPrefix(k, "X-Amz-") {
			return true
		}
	}
	return false
}
