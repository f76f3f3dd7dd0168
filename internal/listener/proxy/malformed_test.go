package proxy_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"outvet/call"
)

// TestWhatNobodyUnderstandsLeavesNoSecretInTheRecord sends a secret where there
// should be a request, in every place of one, to the proxy and in a tunnel.
func TestWhatNobodyUnderstandsLeavesNoSecretInTheRecord(t *testing.T) {
	r := newRig(t, nil, nil, noSecrets)
	for _, wire := range []string{
		token + "\r\n\r\n",
		"GET /" + token + " HTTP/9.9\r\n\r\n",
		"GET / " + token + "\r\n\r\n",
		token + " / HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + host + "\r\n" + token + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + host + "\r\n" + token + " : x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + token + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a b " + token + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: " + token + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: " + token + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: " + host + "\r\nExpect: " + token + "\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n" + token + "\r\n",
		"POST / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n1;" + token + "\r\nxx\r\n",
	} {
		for _, c := range []net.Conn{r.dial(host + ":443"), r.dialTLS(host+":443", host)} {
			c.SetDeadline(time.Now().Add(5 * time.Second))
			io.WriteString(c, wire)
			if cw, ok := c.(interface{ CloseWrite() error }); ok {
				cw.CloseWrite()
			}
			io.Copy(io.Discard, c)
			c.Close()
		}
	}
	named := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: r.roots, ServerName: token + ".example", InsecureSkipVerify: true})
	if named.Handshake() == nil {
		io.WriteString(named, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		io.Copy(io.Discard, named)
	}
	named.Close()
	time.Sleep(200 * time.Millisecond)
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	n := 0
	for _, rec := range r.log.rs {
		rec.Opened = nil
		b, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(b)), strings.ToLower(token)) {
			t.Errorf("%s", b)
		}
		if rec.Kind == call.Closed {
			n++
		}
	}
	if n < 20 {
		t.Errorf("only %d calls were recorded", n)
	}
}
