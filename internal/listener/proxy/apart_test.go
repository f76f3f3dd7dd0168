package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"outvet/internal/payload/wsframe"
)

// apart blocks what goes to /blocked and masks secrets elsewhere.
const apart = `version: 1
default: allow
rules:
  - {name: not there, to: ` + host + `, path: /blocked, verdict: block}
  - {name: mask, finding: {kind: "secret/*"}, redact: mask}
`

// text is what the client of a letter says: nothing but that letter, digits and
// spaces, so that one byte of another client shows.
func text(letter byte, seq, size int) []byte {
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%s%04d%06d ", bytes.Repeat([]byte{letter}, 16), seq, b.Len())
	}
	return b.Bytes()[:size]
}

// foreign returns a run of a letter that is another client's, or "".
func foreign(b []byte, own byte) string {
	for i := 0; i+4 <= len(b); i++ {
		if c := b[i]; c >= 'A' && c < 'A'+parties && c != own && c == b[i+1] && c == b[i+2] && c == b[i+3] {
			return string(b[max(0, i-20):min(len(b), i+40)])
		}
	}
	return ""
}

const parties = 16

// echoes answers with what came, and tells bad of what cannot have been sent so.
func echoes(bad func(string, ...any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		own := r.Header.Get("X-Own")[0]
		if r.Header.Get("Upgrade") != "" {
			echoFrames(w, r, own, bad)
			return
		}
		b, err := io.ReadAll(r.Body)
		if s := foreign(b, own); s != "" {
			bad("%c of %d bytes, %v, arrived with %q", own, len(b), err, s)
		}
		w.Header().Set("X-Own", r.Header.Get("X-Own"))
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		}
		for len(b) > 0 {
			n := min(len(b), 3000)
			if _, err := w.Write(b[:n]); err != nil {
				return
			}
			b = b[n:]
		}
	}
}

func echoFrames(w http.ResponseWriter, r *http.Request, own byte, bad func(string, ...any)) {
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		bad("%v", err)
		return
	}
	defer c.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	in := wsframe.Reader{R: buf.Reader, Max: 1 << 20}
	for {
		m, err := in.Next()
		if err != nil {
			return
		}
		if s := foreign(m.Payload, own); s != "" {
			bad("a message of %c arrived with %q", own, s)
		}
		c.Write(wsframe.AppendFrame(nil, m.Op, m.Payload))
	}
}

// Bodies and answers are read into memory that others had before and will have
// after. Nothing of one client is ever seen by another, or by its server.
func TestNoByteOfOneClientReachesAnother(t *testing.T) {
	bad := t.Errorf
	r := newRig(t, echoes(bad), nil, apart)
	calls := 60
	if testing.Short() {
		calls = 20
	}
	var all sync.WaitGroup
	for i := range parties {
		p := &party{r: r, t: t, own: 'A' + byte(i), rand: rand.New(rand.NewPCG(7, uint64(i)))}
		all.Go(func() {
			if i%4 == 3 {
				p.talk(i%8 == 3, calls)
			} else {
				p.call([]string{"http", "https", "https"}[i%4], i%4 == 2, calls)
			}
		})
	}
	all.Wait()
}

// A party is one of the clients.
type party struct {
	r    *rig
	t    *testing.T
	own  byte
	rand *rand.Rand
}

func (p *party) name() string { return strings.Repeat(string(p.own), 16) }

// body is what the party sends as its nth call, with a secret in its midst or
// without.
func (p *party) body(n int) []byte {
	edges := []int{1, 100, 4 << 10, 8 << 10, 16 << 10, 64 << 10, 150 << 10}
	size := max(1, edges[p.rand.IntN(len(edges))]+p.rand.IntN(5)-2)
	b := text(p.own, n, size)
	if size > 1000 && p.rand.IntN(3) == 0 {
		half := size / 2
		return bytes.Join([][]byte{b[:half], []byte(token), b[half:]}, []byte{' '})
	}
	return b
}

// whole reports whether got is sent, where a secret may be masked.
func whole(got, sent []byte) bool {
	before, after, found := bytes.Cut(sent, []byte(token))
	if !found {
		return bytes.Equal(got, sent)
	}
	return bytes.HasPrefix(got, before) && bytes.HasSuffix(got, after) && !bytes.Contains(got, []byte(token)) && len(got) < len(sent)+40
}

// call makes n calls, of which some are given up and some refused.
func (p *party) call(scheme string, h2 bool, n int) {
	client := p.r.client(h2)
	for i := range n {
		path, kind := []string{"/", "/length"}[i%2], "text/plain"
		b := p.body(i)
		refused := i%7 == 3
		if refused {
			path, kind = "/blocked", "application/json"
			b = fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"%s","method":"x","params":["%s"]}`, p.name(), b)
		}
		ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
		gone := i%5 == 4
		if gone {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(p.rand.IntN(4000))*time.Microsecond)
		}
		var body io.Reader = bytes.NewReader(b)
		if p.rand.IntN(2) == 0 {
			body = struct{ io.Reader }{body} // in chunks
		}
		req, _ := http.NewRequestWithContext(ctx, "POST", scheme+"://"+host+path, body)
		req.Header.Set("Content-Type", kind)
		req.Header.Set("X-Own", p.name())
		resp, err := client.Do(req)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		cancel()
		if s := foreign(got, p.own); s != "" {
			p.t.Errorf("%c was answered with %q", p.own, s)
		}
		switch {
		case err != nil && gone:
		case err != nil:
			p.t.Errorf("%c: call %d: %v", p.own, i, err)
		case refused:
			if resp.StatusCode != 403 || !bytes.Contains(got, []byte(p.name())) {
				p.t.Errorf("%c: %s %q", p.own, resp.Status, got)
			}
		case resp.StatusCode != 200 || resp.Header.Get("X-Own") != p.name() || !whole(got, b):
			p.t.Errorf("%c: call %d of %d bytes: %s, %d bytes for %q", p.own, i, len(b), resp.Status, len(got), resp.Header.Get("X-Own"))
		}
	}
}

// talk sends n messages over WebSockets, a few over each, and leaves them in
// the midst of one.
func (p *party) talk(h2 bool, n int) {
	for i := 0; i < n; {
		var c *wsClient
		if h2 {
			c, _ = p.r.extended(p.t, "/", "x-own", p.name())
		} else {
			c = p.r.websocket(p.t, true, "/", "X-Own: "+p.name()+"\r\n")
		}
		for range 6 {
			b := p.body(i)
			half := p.rand.IntN(len(b))
			c.frame(wsframe.Header{Op: wsframe.Text}, b[:half])
			c.frame(wsframe.Header{Fin: true}, b[half:])
			_, said := c.next()
			if got := []byte(said); !whole(got, b) || foreign(got, p.own) != "" {
				p.t.Errorf("%c: message %d of %d bytes: %d bytes, %q", p.own, i, len(b), len(got), foreign(got, p.own))
				return
			}
			i++
		}
		c.frame(wsframe.Header{Op: wsframe.Text}, text(p.own, i, 5000)) // and no end
		c.conn.Close()
	}
}
