package agents

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"outvet/internal/payload/wsframe"
)

// talk is the dialect of responses over a WebSocket: each message of the client is a
// question, each event of the answer a message. It reports false if r asks for no
// WebSocket of a model.
func (m *model) talk(w http.ResponseWriter, r *http.Request) bool {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !strings.HasSuffix(r.URL.Path, "/responses") {
		return false
	}
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return true
	}
	defer c.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	in := wsframe.Reader{R: buf.Reader, Max: bodyMax}
	var history []any // what was said before: the client sends only what is new
	for {
		q, err := in.Next()
		if err != nil || q.Op == wsframe.Close {
			return true
		}
		if q.Op != wsframe.Text {
			continue
		}
		var v object
		if json.Unmarshal(q.Payload, &v) != nil {
			return true
		}
		if input, ok := v["input"].([]any); ok {
			history = append(history, input...)
			v["input"] = history
		}
		for _, e := range responseEvents(m.turn(v)) {
			b, err := json.Marshal(e)
			if err != nil {
				panic(err)
			}
			if _, err := c.Write(wsframe.AppendFrame(nil, wsframe.Text, b)); err != nil {
				return true
			}
		}
	}
}
