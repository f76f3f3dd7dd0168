package proxy_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"outvet/internal/listener/proxy"
)

// TestAConnectionOpenedInVainIsNoDistrust opens connections as clients of HTTP/2 do,
// who close those that they do not need before they make their first call.
func TestAConnectionOpenedInVainIsNoDistrust(t *testing.T) {
	r := newRig(t, ok, nil, allow, func(s *proxy.Server) { s.Peek = 5 * time.Second })
	for range 5 {
		r.dialTLS(host+":443", host).Close()
	}
	time.Sleep(100 * time.Millisecond) // longer than it takes to close them
	c := r.dialTLS(host+":443", host)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 200") {
		t.Fatalf("%q", b)
	}
	time.Sleep(1500 * time.Millisecond) // longer than they are in doubt
	r.log.wait(t, 1)
}

func TestAClientThatComesOnlyToLookAtTheCertificateIsRecorded(t *testing.T) {
	r := newRig(t, ok, nil, allow, func(s *proxy.Server) { s.Peek = 5 * time.Second })
	r.dialTLS(host+":443", host).Close()
	if p := r.log.wait(t, 1)[0]; !strings.Contains(p.closed.Outcome.Error, "right after the handshake") {
		t.Errorf("%+v", p.closed.Outcome)
	}
}
