package agents

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// finished is what the model says when the script is over.
const finished = "The script is over."

// A model speaks the dialects of Anthropic (messages), OpenAI (responses and chat
// completions) and Gemini, streamed or not. To who offers it a shell it gives the
// commands of the script one after the other; each result that comes back is one
// step. To all others it says that it is there.
type model struct {
	script []string

	// mu guards told.
	mu   sync.Mutex
	told []string
}

func (m *model) results() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told
}

type object = map[string]any

// answer answers a question to a model. It reports false if r is none.
func (m *model) answer(w http.ResponseWriter, r *http.Request, body []byte) bool {
	var dialect func(http.ResponseWriter, *turn)
	p := r.URL.Path
	switch {
	case r.Method != http.MethodPost:
		if strings.HasSuffix(p, "/v1/models") {
			reply(w, object{"object": "list", "data": []any{object{"id": "scripted", "object": "model"}}, "models": []any{}})
			return true
		}
		return false
	case strings.HasSuffix(p, "/count_tokens"), strings.HasSuffix(p, ":countTokens"):
		reply(w, object{"input_tokens": 10, "totalTokens": 10})
		return true
	case strings.HasSuffix(p, "/v1/messages"):
		dialect = anthropic
	case strings.HasSuffix(p, "/responses"):
		dialect = responses
	case strings.HasSuffix(p, "/chat/completions"):
		dialect = completions
	case strings.Contains(p, "enerateContent"):
		dialect = gemini
	default:
		return false
	}
	var q any
	if err := json.Unmarshal(body, &q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return true
	}
	t := m.turn(q)
	t.stream = t.stream || strings.Contains(p, "stream")
	dialect(w, t)
	return true
}

// A turn is what the model does next.
type turn struct {
	stream bool
	id     string // of the tool call
	tool   string // name of the shell, "" for none
	args   object
	text   string // what it says, if it calls no tool
}

// turn finds out how far the script is.
func (m *model) turn(q any) *turn {
	t := &turn{text: "pong"}
	t.stream, _ = at(q, "stream").(bool)
	offered := at(q, "tools")
	var told []string
	each(q, func(o object) {
		switch {
		case o["type"] == "tool_result", o["role"] == "tool":
			told = append(told, text(o["content"]))
		case o["type"] == "function_call_output", o["type"] == "custom_tool_call_output":
			told = append(told, text(o["output"]))
		case o["functionResponse"] != nil:
			told = append(told, text(at(o["functionResponse"], "response")))
		}
	})
	t.tool, t.args = shell(offered, "")
	if t.tool == "" {
		return t
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(told) > len(m.told) {
		m.told = told
	}
	if len(told) >= len(m.script) {
		t.tool, t.text = "", finished
		return t
	}
	t.id = fmt.Sprintf("call_%02d", len(told))
	_, t.args = shell(offered, m.script[len(told)])
	return t
}

// shell returns the tool among the offered that runs commands, and its arguments.
func shell(offered any, command string) (name string, args object) {
	each(offered, func(o object) {
		switch n, _ := o["name"].(string); n {
		case "Bash", "bash", "run_shell_command", "shell_command":
			name, args = n, object{"command": command, "description": "do what the script says"}
		case "exec_command":
			name, args = n, object{"cmd": command}
		case "shell":
			name, args = n, object{"command": []string{"bash", "-lc", command}}
		}
	})
	return name, args
}

// at returns a member of an object, or nil.
func at(v any, key string) any {
	o, _ := v.(object)
	return o[key]
}

// each calls f for every object in v, in the order in which lists have them.
func each(v any, f func(object)) {
	switch v := v.(type) {
	case object:
		f(v)
		for _, k := range []string{"messages", "input", "contents", "content", "parts", "tools", "functionDeclarations", "function"} {
			each(v[k], f)
		}
	case []any:
		for _, x := range v {
			each(x, f)
		}
	}
}

// text returns v as text: a string, or all strings in it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var b strings.Builder
		for _, x := range v {
			b.WriteString(text(x) + " ")
		}
		return b.String()
	case object:
		var b strings.Builder
		for _, x := range v {
			b.WriteString(text(x) + " ")
		}
		return b.String()
	}
	return ""
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// events writes server-sent events: alternately a name, "" for none, and a value.
func events(w http.ResponseWriter, all ...any) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; i < len(all); i += 2 {
		if name := all[i].(string); name != "" {
			fmt.Fprintf(w, "event: %s\n", name)
		}
		b, err := json.Marshal(all[i+1])
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "data: %s\n\n", b)
		w.(http.Flusher).Flush()
	}
}

func (t *turn) json() string {
	b, err := json.Marshal(t.args)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func anthropic(w http.ResponseWriter, t *turn) {
	block, stop := object{"type": "text", "text": t.text}, "end_turn"
	empty, delta := object{"type": "text", "text": ""}, object{"type": "text_delta", "text": t.text}
	if t.tool != "" {
		block, stop = object{"type": "tool_use", "id": "toolu_" + t.id, "name": t.tool, "input": t.args}, "tool_use"
		empty = object{"type": "tool_use", "id": "toolu_" + t.id, "name": t.tool, "input": object{}}
		delta = object{"type": "input_json_delta", "partial_json": t.json()}
	}
	message := object{"id": "msg_scripted", "type": "message", "role": "assistant", "model": "scripted", "content": []any{block},
		"stop_reason": stop, "stop_sequence": nil, "usage": object{"input_tokens": 10, "output_tokens": 5}}
	if !t.stream {
		reply(w, message)
		return
	}
	message["content"], message["stop_reason"] = []any{}, nil
	events(w, "message_start", object{"type": "message_start", "message": message},
		"content_block_start", object{"type": "content_block_start", "index": 0, "content_block": empty},
		"content_block_delta", object{"type": "content_block_delta", "index": 0, "delta": delta},
		"content_block_stop", object{"type": "content_block_stop", "index": 0},
		"message_delta", object{"type": "message_delta", "delta": object{"stop_reason": stop, "stop_sequence": nil}, "usage": object{"output_tokens": 5}},
		"message_stop", object{"type": "message_stop"})
}

// response is the answer, and the one item in it.
func response(t *turn) (item, done object) {
	item = object{"type": "message", "id": "msg_scripted", "role": "assistant", "status": "completed",
		"content": []any{object{"type": "output_text", "text": t.text, "annotations": []any{}}}}
	if t.tool != "" {
		item = object{"type": "function_call", "id": "fc_" + t.id, "call_id": t.id, "name": t.tool, "arguments": t.json(), "status": "completed"}
	}
	done = object{"id": "resp_scripted", "object": "response", "created_at": 1, "status": "completed", "model": "scripted", "output": []any{item},
		"usage": object{"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": object{"cached_tokens": 0},
			"output_tokens_details": object{"reasoning_tokens": 0}}}
	return item, done
}

func responses(w http.ResponseWriter, t *turn) {
	if _, done := response(t); !t.stream {
		reply(w, done)
		return
	}
	var all []any
	for _, e := range responseEvents(t) {
		all = append(all, e["type"], e)
	}
	events(w, all...)
}

// responseEvents is the answer in pieces.
func responseEvents(t *turn) []object {
	item, done := response(t)
	begun := object{"id": "resp_scripted", "object": "response", "status": "in_progress", "output": []any{}}
	return []object{
		{"type": "response.created", "sequence_number": 0, "response": begun},
		{"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item},
		{"type": "response.output_item.done", "sequence_number": 2, "output_index": 0, "item": item},
		{"type": "response.completed", "sequence_number": 3, "response": done},
	}
}

func completions(w http.ResponseWriter, t *turn) {
	message, stop := object{"role": "assistant", "content": t.text}, "stop"
	if t.tool != "" {
		message = object{"role": "assistant", "content": nil, "tool_calls": []any{object{"index": 0, "id": t.id, "type": "function",
			"function": object{"name": t.tool, "arguments": t.json()}}}}
		stop = "tool_calls"
	}
	if !t.stream {
		reply(w, object{"id": "c", "object": "chat.completion", "created": 1, "model": "scripted", "choices": []any{object{"index": 0, "message": message, "finish_reason": stop}},
			"usage": object{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
		return
	}
	chunk := func(delta object, stop any) object {
		return object{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
			"choices": []any{object{"index": 0, "delta": delta, "finish_reason": stop}}}
	}
	events(w, "", chunk(message, nil), "", chunk(object{}, stop))
	io.WriteString(w, "data: [DONE]\n\n")
}

func gemini(w http.ResponseWriter, t *turn) {
	part := object{"text": t.text}
	if t.tool != "" {
		part = object{"functionCall": object{"name": t.tool, "args": t.args}}
	}
	all := object{"candidates": []any{object{"content": object{"role": "model", "parts": []any{part}}, "finishReason": "STOP", "index": 0}},
		"usageMetadata": object{"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}, "modelVersion": "scripted"}
	if t.stream {
		events(w, "", all)
		return
	}
	reply(w, all)
}
