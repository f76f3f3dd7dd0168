package sealed_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/ca"
)

// mail speaks as much of SMTP as a client needs that turns to TLS.
func mail(t *testing.T) func(net.Conn) {
	a, err := ca.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := a.Leaf("raw.example")
	if err != nil {
		t.Fatal(err)
	}
	return func(c net.Conn) {
		io.WriteString(c, "220 raw.example ESMTP\r\n")
		for br := bufio.NewReader(c); ; {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			switch word := strings.ToUpper(strings.Fields(line + " x")[0]); word {
			case "EHLO":
				io.WriteString(c, "250-raw.example\r\n250 STARTTLS\r\n")
			case "STARTTLS":
				io.WriteString(c, "220 go ahead\r\n")
				c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}})
				br = bufio.NewReader(c)
			case "QUIT":
				io.WriteString(c, "221 bye\r\n")
				return
			default:
				io.WriteString(c, "250 ok\r\n")
			}
		}
	}
}

// posts is a real client that turns to TLS and then says one word more.
const posts = `
import smtplib, ssl
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
s = smtplib.SMTP("198.18.0.2", 587, timeout=10)
s.starttls(context=c)
print(s.noop())
s.quit()
`

func TestTLSWithinAMailConnectionIsWhatPolicySays(t *testing.T) {
	const base = "version: 1\ndefault: block\nrules:\n  - {name: mail, to: raw.example, port: 587, verdict: allow}\n"
	for _, c := range []struct {
		name, more, rule string
		passes           bool
	}{
		{"nothing is looked for", "", "mail", true},
		{"secrets are looked for", "  - {name: secrets, finding: {kind: \"secret/*\"}, verdict: block}\n", "secrets", false},
		{"the host may pass unread", "  - {name: secrets, finding: {kind: \"secret/*\"}, verdict: block}\n" +
			"  - {name: pins, to: raw.example, tls: passthrough, verdict: allow}\n", "mail", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil, mail(t), nil, base+c.more)
			out, err := r.room.Run("python3", "-c", posts)
			if passed := err == nil && strings.Contains(out, "250"); passed != c.passes {
				t.Errorf("%q, %v", out, err)
			}
			p := r.log.wait(t, 1)[0]
			d := p.closed.Decision
			if d == nil || d.Rule != c.rule || (d.Verdict == call.Allow) != c.passes || !strings.Contains(fmt.Sprint(d.Uninspected), "STARTTLS") {
				t.Errorf("%+v %+v", p.decided.Decision, d)
			}
		})
	}
}
