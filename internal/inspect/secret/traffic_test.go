package secret

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

func walk(p *plain, path string, d *json.Decoder) {
	t, err := d.Token()
	if err != nil {
		return
	}
	put := func(path, text string) {
		q := fields(path, text)
		off := len(p.text)
		p.text = append(p.text, q.text...)
		p.paths = append(p.paths, path)
		p.at = append(p.at, span{off, off + len(text)})
		var v any
		if len(text) > 1 && (text[0] == '{' || text[0] == '[') && json.Unmarshal([]byte(text), &v) == nil {
			walk(p, path, json.NewDecoder(bytes.NewReader([]byte(text))))
		}
	}
	switch x := t.(type) {
	case json.Delim:
		for i := 0; d.More(); i++ {
			at := path + "/" + strconv.Itoa(i)
			if x == '{' {
				k, _ := d.Token()
				at = path + "/" + k.(string)
				put(at, k.(string))
			}
			walk(p, at, d)
		}
		d.Token()
	case string:
		put(path, x)
	}
}

func TestTraffic(t *testing.T) {
	in := newInspector(t, Options{})
	e := newEngine(t, in.patterns)
	f, err := os.Open("/work/shared/data/llm-traffic/pydantic-ai-exchanges.jsonl.gz")
	if err != nil {
		t.Skip(err)
	}
	z, _ := gzip.NewReader(f)
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<24)
	n := 0
	show := func(id string, p *plain) {
		for _, f := range look(t, in, e, "example.com", p) {
			t.Errorf("%s: %s %s %q", id, f.Kind, f.Part, p.text[max(0, f.From-40):min(f.To, f.From+60)])
		}
	}
	for s.Scan() {
		var c struct {
			ID      string
			Payload struct {
				Body     string
				Response string `json:"response_body"`
			}
		}
		json.Unmarshal(s.Bytes(), &c)
		for _, b := range []string{c.Payload.Body, c.Payload.Response} {
			p := &plain{}
			walk(p, "body", json.NewDecoder(bytes.NewReader([]byte(b))))
			if len(p.text) == 0 {
				p = fields("body", b)
			}
			show(c.ID, p)
			n++
		}
	}
	for _, file := range []string{"bfcl-simple-python", "mcp-tool-definitions", "swe-agent-commands", "tldr-commands"} {
		b, _ := os.ReadFile("/work/shared/data/toolcalls/" + file + ".jsonl")
		for line := range bytes.Lines(b) {
			p := &plain{}
			walk(p, "body", json.NewDecoder(bytes.NewReader(line)))
			show(file, p)
			n++
		}
	}
	t.Log(n)
}
