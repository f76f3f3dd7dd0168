package payload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// chat returns a conversation of about n bytes as agents send it.
func chat(n int) []byte {
	rnd := rand.New(rand.NewPCG(7, 7))
	src, err := os.ReadFile("doc.go")
	if err != nil {
		panic(err)
	}
	lines := strings.Split(string(src), "\n")
	var b bytes.Buffer
	b.WriteString(`{"model":"some-model-4","max_tokens":4096,"stream":true,"messages":[`)
	for i := 0; b.Len() < n-600; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		k := rnd.IntN(len(lines) - 12)
		text := strings.Join(lines[k:k+12], "\n")
		q, _ := jsontext.AppendQuote(nil, text)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, `{"role":"user","content":[{"type":"text","text":%s}]}`, q)
		case 1:
			args, _ := jsontext.AppendQuote(nil, fmt.Sprintf(`{"path":"internal/payload/doc.go","lines":%s}`, q))
			fmt.Fprintf(&b, `{"role":"assistant","tool_calls":[{"id":"call_%016x","type":"function","function":{"name":"read_file","arguments":%s}}]}`, rnd.Uint64(), args)
		default:
			fmt.Fprintf(&b, `{"role":"tool","tool_call_id":"call_%016x","content":%s}`, rnd.Uint64(), q)
		}
	}
	b.WriteString(`],"tools":[{"type":"function","function":{"name":"read_file","description":"Reads a file.","parameters":` +
		`{"type":"object","properties":{"path":{"type":"string"},"lines":{"type":"string"}},"required":["path"]}}}]}`)
	return b.Bytes()
}

func chatMessage(body []byte) *Message {
	return &Message{Host: "api.example.com", Target: "/v1/chat/completions", Length: int64(len(body)), Header: http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"gzip, deflate"}, "Content-Type": {"application/json"},
		"User-Agent": {"some-agent/1.2.3 (linux; x64)"}, "Authorization": {"Bearer sk-abcdefghijklmnop"},
	}}
}

func walkOnly(b []byte) {
	d := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		if _, err := d.ReadToken(); err != nil {
			return
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{4 << 10, 64 << 10, 1 << 20} {
		body := chat(n)
		m := chatMessage(body)
		b.Run(fmt.Sprintf("jsontext-%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				walkOnly(body)
			}
		})
		b.Run(fmt.Sprintf("decode-%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				Decode(m, body, Limits{}).Release()
			}
		})
		b.Run(fmt.Sprintf("wire-%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				c := newContent(Limits{}, "body")
				c.readHead(m)
				c.readBody("", "application/json", body)
				c.Release()
			}
		})
		b.Run(fmt.Sprintf("joined-%d", n), func(b *testing.B) {
			for b.Loop() {
				c := newContent(Limits{}, "body")
				c.readHead(m)
				c.readBody("", "application/json", body)
				c.joinWire()
				c.Release()
			}
		})
	}
}

func BenchmarkDecodeHead(b *testing.B) {
	m := chatMessage(nil)
	b.ReportAllocs()
	for b.Loop() {
		Decode(m, nil, Limits{}).Release()
	}
}

func TestDecodeOfOrdinaryRequestAllocatesNothingThatGrows(t *testing.T) {
	if testing.Short() || racing {
		t.Skip()
	}
	for _, n := range []int{4 << 10, 64 << 10} {
		body := chat(n)
		m := chatMessage(body)
		got := 1e9 // the least of many: a pool may be emptied at any time
		for range 100 {
			got = min(got, testing.AllocsPerRun(1, func() { Decode(m, body, Limits{}).Release() }))
		}
		if got > 4 {
			t.Errorf("%d bytes: %v allocations", n, got)
		}
	}
}

func TestTimeIsLinearInTheBody(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	for name, unit := range map[string]string{
		"brackets": "[", "strings": `"a",`, "quotes": `"`, "escapes": `\u0041`, "pairs": "a=b&", "percent": "%41", "boundary": "\r\n--b\r\n",
		"nested": `"{\"a\":`, "base64": "QUFBQUFBQUFBQUFBQUFBQUFBQUE=,", "fields": `"aA1","bB2",`, "invalid": "\xff\x80a", "slashes": `\\`,
		"elements": "<a>aA1</a>", "attributes": `<a x="b1">`, "quotes not closed": `<a x="`, "other quotes": `<a x="'" y='"`, "comments": "<!--", "sections": "<![CDATA[", "tags": "<a ",
		"lines": "aA1\n", "cells": "aA1,", "turns": `"aA1":"bB2",`, "words between": `"aA1","word",`,
	} {
		run := func(n int) time.Duration {
			body := []byte(strings.Repeat(unit, n/len(unit)))
			if name == "fields" || name == "strings" || name == "words between" {
				body = []byte("[" + strings.TrimSuffix(string(body), ",") + "]")
			}
			if name == "turns" {
				body = []byte("{" + strings.TrimSuffix(string(body), ",") + "}")
			}
			if name == "comments" || name == "sections" {
				body = append([]byte("<a>"), body...)
			}
			m := &Message{Header: http.Header{"Content-Type": {"multipart/mixed; boundary=b"}}}
			best := time.Hour
			for range 3 {
				start := time.Now()
				Decode(m, body, Limits{}).Release()
				best = min(best, time.Since(start))
			}
			return best
		}
		small, large := run(32<<10), run(256<<10)
		if large > 8*8*small && large > 200*time.Millisecond {
			t.Errorf("%s: 32 KiB take %v, 256 KiB %v", name, small, large)
		}
	}
}
