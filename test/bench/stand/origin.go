package stand

import (
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"outvet/test/bench/load"
)

// Host is the name of the origin; its ports are those of its three services: TLS
// (h1 and h2), HTTP in the clear, and frames that are no known protocol.
const (
	Host      = "api.bench.example"
	Pinned    = "pinned.bench.example" // the same origin; for connections that pass unread
	TLSPort   = "443"
	PlainPort = "80"
	RawPort   = "9000"
)

// serveOrigin serves until it fails. With an ip it takes the ports of their
// names, so that proxies that dial by name can be measured, too.
func serveOrigin(dir, ip string, ready func(addrs map[string]string)) error {
	ca, err := open(dir, OriginCA)
	if err != nil {
		return err
	}
	listeners := map[string]net.Listener{}
	addrs := map[string]string{}
	for _, port := range []string{TLSPort, PlainPort, RawPort} {
		at := net.JoinHostPort("127.0.0.1", "0")
		if ip != "" {
			at = net.JoinHostPort(ip, port)
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		listeners[port], addrs[port] = l, l.Addr().String()
	}
	quiet := log.New(io.Discard, "", 0) // clients that go away are part of the measurement
	h := originHandler()
	failed := make(chan error, 3)
	go func() {
		s := &http.Server{Handler: h, ErrorLog: quiet}
		failed <- s.Serve(listeners[PlainPort])
	}()
	go func() {
		s := &http.Server{Handler: h, ErrorLog: quiet, TLSConfig: ca.server("h2", "http/1.1")}
		failed <- s.ServeTLS(listeners[TLSPort], "", "")
	}()
	go func() { failed <- serveFrames(listeners[RawPort]) }()
	ready(addrs)
	return <-failed
}

func serveFrames(l net.Listener) error {
	reply := load.Reply()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go load.AnswerFrames(c, reply)
	}
}

func originHandler() http.Handler {
	reply, filler := load.Reply(), load.Prose(1<<20)
	m := http.NewServeMux()
	m.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "0") })
	m.HandleFunc("/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.Itoa(n))
		for n > 0 {
			k, err := w.Write(filler[:min(n, len(filler))])
			if n -= k; err != nil {
				return
			}
		}
	})
	m.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		// The server would drop what it has not read when the answer starts.
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		if r.ContentLength >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		}
		io.Copy(w, r.Body)
	})
	m.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Body-Len", strconv.FormatInt(n, 10))
		w.Header().Set("Content-Length", strconv.Itoa(len(reply)))
		w.Write(reply)
	})
	m.HandleFunc("/sse", events)
	return m
}

// events answers with n events, us microseconds apart.
func events(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	us, _ := strconv.Atoi(r.URL.Query().Get("us"))
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flush := http.NewResponseController(w).Flush
	next := time.Now()
	for i := range n {
		if _, err := w.Write(load.Event(i, time.Now())); err != nil {
			return
		}
		flush()
		next = next.Add(time.Duration(us) * time.Microsecond)
		time.Sleep(time.Until(next))
	}
	io.WriteString(w, load.LastEvent)
}
