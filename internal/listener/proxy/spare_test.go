package proxy_test

import (
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
	resp, err := r.client(false).Get("https://" + host + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
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
