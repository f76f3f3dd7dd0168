package answer

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
)

// codeBlocked is our JSON-RPC error code, of the range left to implementations.
const codeBlocked = -32010

// An rpc is what the top of a JSON-RPC request says.
type rpc struct {
	version bool            // "jsonrpc" is there
	id      json.RawMessage // as written: a string or number; nil if there is none
	method  string
}

// readRPC reads the beginning of a body as a JSON-RPC request. What comes
// after the end of what is there counts as absent.
func readRPC(body []byte) (r rpc) {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return r
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return r
		}
		key := name.String()
		v, err := d.ReadValue()
		if err != nil {
			return r
		}
		switch {
		case key == "jsonrpc":
			r.version = true
		case key == "id" && (v.Kind() == '"' || v.Kind() == '0') && len(v) <= 256:
			r.id = bytes.Clone(v)
		case key == "method" && v.Kind() == '"':
			r.method = unquote(v)
		}
	}
	return r
}

func unquote(v jsontext.Value) string {
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(b)
}

// jsonRPC answers tools/call of MCP by a result, since models do not always
// see protocol errors, and other methods by an error.
func jsonRPC(q *question, m *message) speech {
	id := q.rpc.id
	if id == nil || !json.Valid(id) {
		id = json.RawMessage("null")
	}
	if q.rpc.method == "tools/call" && q.rpc.id != nil {
		result := object{"isError": true, "content": []object{{"type": "text", "text": m.line}}}
		if q.r.Header.Get("Mcp-Protocol-Version") >= "2026-07-28" {
			result["resultType"] = "complete"
		}
		return speech{status: http.StatusOK, kind: typeJSON, body: encode(object{"jsonrpc": "2.0", "id": id, "result": result})}
	}
	return speech{status: m.status, kind: typeJSON, body: encode(object{"jsonrpc": "2.0", "id": id,
		"error": object{"code": codeBlocked, "message": m.line, "data": object{"code": m.code, "call": m.id.Short(), "retryable": m.retry}}})}
}
