package proxy

import (
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"outvet/internal/answer"
)

const (
	lingerTime = 10 * time.Second
	lingerIdle = 2 * time.Second
	lingerMax  = 256 << 20 // bytes read and thrown away
)

// say writes a, with its reason phrase where the protocol has one. For that
// the connection is taken over and ends with the answer; it is returned to be
// closed once the call is recorded.
func (s *Server) say(w http.ResponseWriter, r *http.Request, a answer.Answer, left bool) *closing {
	if r.ProtoMajor == 1 {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.SetDeadline(time.Now().Add(lingerTime))
			conn.Write(statusLine(a)) // a client that is gone reads nothing
			return &closing{conn, left}
		}
	}
	h := w.Header()
	clear(h)
	maps.Copy(h, a.Header)
	w.WriteHeader(a.Status)
	w.Write(a.Body)
	return nil
}

// statusLine returns a as it stands on the wire.
func statusLine(a answer.Answer) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(a.Status) + " " + a.Reason + "\r\n")
	b.WriteString("Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n")
	for _, k := range slices.Sorted(maps.Keys(a.Header)) {
		for _, v := range a.Header[k] {
			b.WriteString(k + ": " + v + "\r\n")
		}
	}
	b.WriteString("Connection: close\r\n\r\n")
	b.Write(a.Body)
	return b.Bytes()
}

// A closing is a connection on which the last answer is written.
type closing struct {
	conn net.Conn
	left bool // the client may still be sending
}

// close closes the connection when the client has read the answer. A
// connection closed with bytes unread is reset, and the answer is lost
// (RFC 9112 §9.6).
func (c *closing) close() {
	if c == nil {
		return
	}
	defer c.conn.Close()
	if !c.left {
		return
	}
	closeWrite(c.conn)
	end := time.Now().Add(lingerTime)
	buf := make([]byte, bufferSize)
	for n := 0; n < lingerMax && time.Now().Before(end); {
		c.conn.SetReadDeadline(time.Now().Add(lingerIdle))
		m, err := c.conn.Read(buf)
		n += m
		if err != nil {
			return
		}
	}
}

// help tells a browser or a misled client what this port is.
func help(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusBadRequest)
	io.WriteString(w, "This is the proxy of outvet, not a web server.\n"+
		"Tell your program to use it: HTTPS_PROXY and HTTP_PROXY = http://"+localAddr(r)+
		"\nand to trust ca.pem of the state directory.\n")
}

// localAddr returns the address that r came to.
func localAddr(r *http.Request) string {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return a.String()
	}
	return "this address"
}
