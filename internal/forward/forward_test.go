package forward

import (
	"io"
	"net/http"
	"testing"
)

func TestProtocolOfTheClientIsMirrored(t *testing.T) {
	s := newSite(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto+" "+r.TLS.NegotiatedProtocol) }))
	f := s.forwarder(t)
	for proto, want := range map[Proto]string{H1: "HTTP/1.1 http/1.1", H2: "HTTP/2.0 h2"} {
		if _, got := get(t, f, proto, request(t, "GET", "https://api.example/", "")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, got := get(t, f, H1, request(t, "GET", "https://API.example./", "")); got != "HTTP/1.1 http/1.1" {
		t.Errorf("another spelling of the host: %q", got)
	}
}
