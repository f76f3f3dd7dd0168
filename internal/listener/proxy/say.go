package proxy

import (
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"outvet/internal/answer"
)

const (
	lingerTime = 10 * time.Second
	lingerIdle = 2 * time.Second
	lingerMax  = 256 << 20 // bytes read and thrown away
)

// say writes a, with its reason phrase where the protocol has one. left says
// that the client may still be sending; then the connection ends with the
// answer, and is returned to be closed once the call is recorded.
func (s *Server) say(w http.ResponseWriter, r *http.Request, a answer.Answer, left bool) *closing {
	h := w.Header()
	clear(h)
	maps.Copy(h, a.Header)
	res, ok := w.(*response)
	if !ok {
		for _, k := range [...]string{"Content-Type", "Content-Length"} {
			if _, ok := h[k]; !ok {
				h[k] = nil // else net/http would add one
			}
		}
		w.WriteHeader(a.Status)
		w.Write(a.Body)
		return nil
	}
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	res.names, res.status, res.closing = nil, strconv.Itoa(a.Status)+" "+a.Reason, res.closing || left
	res.WriteHeader(a.Status)
	res.Write(a.Body)
	if !left {
		return nil
	}
	res.finish() // a client that is gone reads nothing
	conn, _ := res.c.takeOver()
	conn.SetDeadline(time.Now().Add(lingerTime))
	return &closing{conn, true}
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
func help(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusBadRequest)
	io.WriteString(w, "This is the proxy of outvet, not a web server.\n"+
		"Tell your program to use it: HTTPS_PROXY and HTTP_PROXY = http://"+localAddr(w)+
		"\nand to trust ca.pem of the state directory.\n")
}

// localAddr returns the address that a request came to.
func localAddr(w http.ResponseWriter) string {
	if res, ok := w.(*response); ok {
		return res.c.LocalAddr().String()
	}
	return "this address"
}
