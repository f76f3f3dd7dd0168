package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// The bodies look like what a coding agent sends to a chat completion API: a
// system prompt, turns of user and assistant, tool calls, and tool results that
// hold source code, logs, listings, JSON and commit hashes. They hold no live
// credential, but the words that filters stop at (token, key, secret, password)
// about as often as source code does.

const system = `You are a software engineer working in the user's repository. Read files, run tests and edit code with the tools you are given. Keep changes small and say why each is made. When a command fails, read what it said before you try again. Never print a credential: if a setting needs a password or an API key, ask the user to put it into the environment.`

var asks = []string{
	"Orders that were paid twice show up in the export. Find out where the second row comes from and write a test that fails first.",
	"Which of the last commits could have changed how long a session token lives? List them with the reason.",
	"The nightly import got slow. The query plan is below; which index is missing?",
	"Make the upload stream to disk instead of holding the file in memory, and keep the checksum.",
}

var replies = []string{
	"I will read the exporter and its tests first, then reproduce it with two payments for one order.",
	"The join on payments has no condition on the state, so a refunded payment counts as well. I will add it, and a case for it.",
	"The plan reads all 4.1 million rows of order_lines; an index on (order_id, created_at) turns that into a range.",
	"All tests pass. One parameter of the mock is unused; I left it alone.",
}

var sources = []string{
	"func (c *Client) Send(ctx context.Context, m *Message) error {\n\twait := c.minWait\n\tfor try := range c.tries {\n\t\terr := c.post(ctx, m)\n\t\tif err == nil {\n\t\t\treturn nil\n\t\t}\n\t\tvar status *StatusError\n\t\tif errors.As(err, &status) && status.Code < 500 {\n\t\t\treturn fmt.Errorf(\"message %q, try %d: %w\", m.ID, try, err)\n\t\t}\n\t\tselect {\n\t\tcase <-ctx.Done():\n\t\t\treturn ctx.Err()\n\t\tcase <-time.After(wait):\n\t\t\twait = min(2*wait, c.maxWait)\n\t\t}\n\t}\n\treturn ErrGaveUp\n}\n",
	"class Sessions:\n    \"\"\"Sessions by token; one ends after `ttl` seconds without a request.\"\"\"\n\n    def __init__(self, store, ttl=3600):\n        self.store, self.ttl = store, ttl\n\n    def load(self, token):\n        key = \"session:\" + hashlib.sha256(token.encode()).hexdigest()\n        raw = self.store.get(key)\n        if raw is None:\n            raise KeyError(\"no such session\")\n        self.store.expire(key, self.ttl)\n        return json.loads(raw)\n",
	"export async function upload(file: File, to: Folder): Promise<Receipt> {\n  const res = await fetch(`${to.base}/v2/files?folder=${encodeURIComponent(to.name)}`, {\n    method: \"PUT\",\n    headers: { Authorization: `Bearer ${process.env.UPLOAD_TOKEN}`, \"Content-Type\": file.type },\n    body: file.stream(),\n    duplex: \"half\",\n  });\n  if (!res.ok) throw new UploadError(res.status, await res.text());\n  return (await res.json()) as Receipt;\n}\n",
	"services:\n  api:\n    image: registry.example/shop/api:2.14.1\n    environment:\n      DATABASE_URL: postgres://shop@db:5432/shop\n      LOG_LEVEL: info\n      SECRET_FILE: /run/secrets/api_key\n    ports: [\"8080:8080\"]\n    depends_on: [db, cache]\n",
	"SELECT o.id, o.created_at, sum(l.quantity * l.price) AS total\n  FROM orders o JOIN order_lines l ON l.order_id = o.id\n WHERE o.created_at >= now() - interval '30 days' AND o.state IN ('paid', 'sent')\n GROUP BY 1, 2 ORDER BY total DESC LIMIT 100;\n",
}

const vocabulary = `the of and to in is that for it as was with be by on not at are this have from or an they which one you were all there their we been has when who will no more if out so up said what about than into them can only other time new some could these two may first then do any like now over such our me even most made after also did many before must through back years where much your way down should because long each just those people how little state good very make still see own work here get both between being under never day same another know while last might us great old year off come since against go came right used take three government order payment customer invoice account report test build branch commit merge request response server client cache queue index column table query plan file folder path token key secret password session header body stream buffer window retry timeout error log trace level`

// A writer makes text that is the same for the same seed.
type writer struct {
	*rand.Rand
	words []string
}

func newWriter(seed uint64) *writer {
	return &writer{rand.New(rand.NewPCG(seed, 1)), strings.Fields(vocabulary)}
}

func (w *writer) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[w.IntN(16)]
	}
	return string(b)
}

func (w *writer) word() string { return w.words[w.IntN(len(w.words))] }

// prose returns n bytes of sentences.
func (w *writer) prose(n int) string {
	var b strings.Builder
	for b.Len() < n {
		first := w.word()
		b.WriteString(strings.ToUpper(first[:1]) + first[1:])
		for range 6 + w.IntN(12) {
			b.WriteString(" " + w.word())
		}
		b.WriteString(". ")
	}
	return b.String()[:n]
}

func (w *writer) commits() string {
	var b strings.Builder
	for range 5 {
		fmt.Fprintf(&b, "commit %s\nAuthor: Dana Example <dana@example.com>\nDate:   2026-%02d-%02d\n\n    %s\n\n", w.hex(40), 1+w.IntN(12), 1+w.IntN(28), w.prose(60))
	}
	return b.String()
}

func (w *writer) lines() string {
	var b strings.Builder
	for range 9 {
		fmt.Fprintf(&b, "2026-08-%02dT%02d:%02d:%02dZ level=info msg=\"request done\" method=GET path=/v1/orders/%d status=200 ms=%d trace=%s peer=10.%d.%d.%d\n",
			1+w.IntN(28), w.IntN(24), w.IntN(60), w.IntN(60), w.IntN(1e6), w.IntN(900), w.hex(32), w.IntN(256), w.IntN(256), w.IntN(256))
	}
	return b.String()
}

func (w *writer) found() string {
	type hit struct {
		ID, Title, URL string
		Score          float64
	}
	hits := make([]hit, 4)
	for i := range hits {
		id := w.hex(8) + "-" + w.hex(4) + "-4" + w.hex(3) + "-a" + w.hex(3) + "-" + w.hex(12)
		hits[i] = hit{id, w.prose(70), "https://docs.example.com/" + w.word() + "/" + w.word() + "?page=" + fmt.Sprint(w.IntN(40)), float64(w.IntN(1000)) / 1000}
	}
	b, _ := json.MarshalIndent(hits, "", "  ") // cannot fail
	return string(b)
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	Calls   []tool `json:"tool_calls,omitempty"`
	Call    string `json:"tool_call_id,omitempty"`
}

type tool struct {
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Function map[string]string `json:"function"`
}

// message returns the i-th message of a conversation.
func (w *writer) message(i int) message {
	result := func(text string) message {
		return message{Role: "tool", Call: "call_" + w.hex(24), Content: text}
	}
	switch i % 7 {
	case 0:
		return message{Role: "user", Content: asks[w.IntN(len(asks))] + " " + w.prose(120)}
	case 1:
		args := fmt.Sprintf(`{"path":"internal/%s/%s.go","start":%d,"end":%d}`, w.word(), w.word(), w.IntN(200), 200+w.IntN(200))
		return message{Role: "assistant", Content: replies[w.IntN(len(replies))], Calls: []tool{{"call_" + w.hex(24), "function", map[string]string{"name": "read_file", "arguments": args}}}}
	case 2:
		return result(sources[w.IntN(len(sources))])
	case 3:
		return result(w.lines())
	case 4:
		return result(w.found())
	case 5:
		return result(w.commits())
	}
	return message{Role: "assistant", Content: w.prose(400)}
}

// marshal writes JSON as the clients of model providers do, without the
// escapes for HTML.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // strings always encode
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

const (
	opening = `{"model":"bench-1","temperature":0.2,"max_tokens":1024,"stream":false,"messages":[`
	ending  = `]}`
)

// A Conversation is a chat that grows.
type Conversation struct {
	w    *writer
	next int
	text []byte // opening and messages, without the ending
}

// NewConversation returns one of exactly size bytes. Different seeds share no
// message but the first.
func NewConversation(seed uint64, size int) *Conversation {
	c := &Conversation{w: newWriter(seed)}
	c.text = append([]byte(opening), marshal(message{Role: "system", Content: system})...)
	c.grow(size - len(c.text) - len(ending))
	return c
}

// Grow adds messages of n bytes together.
func (c *Conversation) Grow(n int) { c.grow(n) }

// Body returns the request as it stands.
func (c *Conversation) Body() []byte { return append(bytes.Clone(c.text), ending...) }

func (c *Conversation) grow(n int) {
	for want := len(c.text) + n; len(c.text) < want; c.next++ {
		m := marshal(c.w.message(c.next))
		if left := want - len(c.text) - 1; len(m) > left-200 {
			empty := marshal(message{Role: "user"})
			m = marshal(message{Role: "user", Content: c.w.prose(max(left-len(empty), 0))})
		}
		c.text = append(append(c.text, ','), m...)
	}
}

// Chat is the request of a conversation of exactly size bytes, at least 1 KB.
func Chat(size int) []byte { return NewConversation(uint64(size), size).Body() }

// Reply is what the origin answers to a chat: 1.2 KB.
func Reply() []byte {
	w := newWriter(7)
	return marshal(map[string]any{
		"id": "chatcmpl-" + w.hex(24), "object": "chat.completion", "created": 1780000000, "model": "bench-1",
		"choices": []any{map[string]any{"index": 0, "message": message{Role: "assistant", Content: w.prose(930)}, "finish_reason": "stop"}},
		"usage":   map[string]int{"prompt_tokens": 1021, "completion_tokens": 187, "total_tokens": 1208},
	})
}

// Prose is n bytes of plain sentences.
func Prose(n int) []byte { return []byte(newWriter(3).prose(n)) }
