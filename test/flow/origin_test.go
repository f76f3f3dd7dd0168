package flow

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"outvet/internal/payload/wsframe"
)

// An origin stands for the internet: one server of https (h1 and h2) and one of
// http, under any name, that write down what they receive.
type origin struct {
	ca                  []byte // PEM
	httpsPort, httpPort string
	servers             []*http.Server
	talked              chan struct{} // closed when a WebSocket was over
	once                sync.Once

	// mu keeps the lines of one request together.
	mu  sync.Mutex
	log *os.File
}

func newOrigin(log, repos string) (*origin, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	o := &origin{log: f, talked: make(chan struct{})}
	leaf, err := o.certificates()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", o.echo)
	mux.HandleFunc("/sse", o.sse)
	mux.HandleFunc("/status/{code}", o.status)
	mux.HandleFunc("/ws", o.webSocket)
	mux.HandleFunc("/slow/", func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second); o.echo(w, r) })
	mux.HandleFunc("/page", o.page)
	mux.HandleFunc("/after", o.after)
	mux.HandleFunc("/closed", func(http.ResponseWriter, *http.Request) { o.once.Do(func() { close(o.talked) }) })
	mux.Handle("/git/", gitServer(repos))
	for _, conf := range []*tls.Config{{GetCertificate: leaf, NextProtos: []string{"h2", "http/1.1"}}, nil} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		s := &http.Server{Handler: mux, TLSConfig: conf}
		o.servers = append(o.servers, s)
		if conf != nil {
			o.httpsPort = port
			go s.ServeTLS(ln, "", "")
		} else {
			o.httpPort = port
			go s.Serve(ln)
		}
	}
	return o, nil
}

func (o *origin) Close() {
	for _, s := range o.servers {
		s.Close()
	}
	o.log.Close()
}

// echo writes the request down and answers with its method, path and body.
func (o *origin) echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	o.mu.Lock()
	fmt.Fprintf(o.log, "%s %s https://%s%s\n", r.Proto, r.Method, r.Host, r.RequestURI)
	r.Header.Write(o.log)
	fmt.Fprintf(o.log, "body %q %v\n\n", body, err)
	o.mu.Unlock()
	w.Header().Set("X-Origin", "yes")
	fmt.Fprintf(w, "origin got %s %s: %s\n", r.Method, r.URL.Path, body)
}

func (o *origin) sse(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range n {
		fmt.Fprintf(w, "data: event %d\n\n", i)
		w.(http.Flusher).Flush()
	}
}

func (o *origin) status(w http.ResponseWriter, r *http.Request) {
	code, _ := strconv.Atoi(r.PathValue("code"))
	w.WriteHeader(code)
}

// page is for a browser: it talks over a WebSocket as talk.cjs of the scripts
// does. What it says last stands behind # in its address, which is not sent.
func (o *origin) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	io.WriteString(w, `<!doctype html><body><script>
const ws = new WebSocket("wss://" + location.host + "/ws")
ws.onopen = () => ws.send("hello")
ws.onmessage = e => { document.body.append("said " + e.data); ws.send("the key is " + location.hash.slice(1)) }
ws.onclose = e => { document.body.append(" closed " + e.code + " " + e.reason); fetch("/closed") }
</script><img src=/after>`)
}

// after keeps a page loading until it says that its WebSocket is over.
func (o *origin) after(w http.ResponseWriter, r *http.Request) {
	select {
	case <-o.talked:
	case <-time.After(20 * time.Second):
	case <-r.Context().Done():
	}
}

// webSocket writes the messages of a WebSocket down and answers each.
func (o *origin) webSocket(w http.ResponseWriter, r *http.Request) {
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
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
		o.mu.Lock()
		fmt.Fprintf(o.log, "message %q\n", m.Payload)
		o.mu.Unlock()
		if m.Op == wsframe.Close {
			return
		}
		c.Write(wsframe.AppendFrame(nil, wsframe.Text, append([]byte("origin got "), m.Payload...)))
	}
}

// gitServer serves the bare repositories below dir by git's own program.
func gitServer(dir string) http.Handler {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return http.NotFoundHandler()
	}
	return &cgi.Handler{
		Path: strings.TrimSpace(string(out)) + "/git-http-backend", Root: "/git",
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=flow"},
	}
}

// certificates makes a CA and returns what issues a leaf for any name.
func (o *origin) certificates() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "origin CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	o.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: h.ServerName}, DNSNames: []string{h.ServerName},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
		if err != nil {
			return nil, err
		}
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	}, nil
}
