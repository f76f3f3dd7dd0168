package main

import (
	"fmt"
	"strings"

	"outvet/test/bench/stand"
)

// userPolicy is what a user would write for a coding agent: a model, what may be
// read, secrets stay. All that the measurements send is inspected and recorded.
const userPolicy = `version: 1
default: block
include: [preset:core, preset:risky]
rules:
  - {name: model, to: [` + stand.Host + `, api.anthropic.com, api.openai.com], method: POST, path: [/v1/chat/completions, /v1/messages, /v1/responses, /sse, /echo], verdict: allow}
  - {name: read the origin, to: ` + stand.Host + `, method: GET, path: [/empty, "/bytes/{n}"], verdict: allow}
  - {name: read github, to: [github.com, api.github.com], method: [GET, HEAD], verdict: allow}
  - {name: no cookies, to: "*", strip_headers: [cookie]}
  - {name: frames, to: ` + stand.Host + `, protocol: tcp, port: ` + stand.RawPort + `, verdict: allow}
`

// unread lets TLS to one host pass as it is.
const unread = `  - {name: pinned, to: ` + stand.Pinned + `, tls: passthrough, verdict: allow}
`

// crowded returns the policy with n rules more and n hosts more in one rule.
func crowded(n int) string {
	var b strings.Builder
	b.WriteString(userPolicy)
	for i := range n {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "  - {name: r%d, to: h%d.example.com, method: GET, verdict: allow}\n", i, i)
		case 1:
			fmt.Fprintf(&b, "  - {name: r%d, to: %s, method: POST, path: \"/v1/o%d/{x}/items\", verdict: allow}\n", i, stand.Host, i)
		case 2:
			fmt.Fprintf(&b, "  - {name: r%d, to: \"*.w%d.example.com\", path: \"/a/**\", verdict: block}\n", i, i)
		}
	}
	b.WriteString("  - name: hosts\n    method: GET\n    verdict: allow\n    to:\n")
	for i := range n {
		fmt.Fprintf(&b, "      - n%d.hosts.example\n", i)
	}
	return b.String()
}
