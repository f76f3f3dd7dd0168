package proxy

import (
	"bytes"
	"strings"
	"testing"
)

const record = "\x16\x03\x01\x02\x00\x01"

func feed(pieces ...string) (found bool) {
	var t turn
	for _, p := range pieces {
		found = t.feed([]byte(p)) || found
	}
	return found
}

func TestTurningToTLSIsFound(t *testing.T) {
	mysql := "\x20\x00\x00\x01\x05\xae\x0b\x00" + strings.Repeat("\x00", 28)
	for _, s := range []string{
		"EHLO me\r\nSTARTTLS\r\n" + record, "EHLO me\nstarttls\n" + record, "a1 STARTTLS\r\n" + record, "STLS\r\n" + record, "AUTH TLS\r\n" + record,
		"STARTTLS\r\nNOOP\r\n" + record, postgresRequest + record, mysql + record, "STARTTLS\r\n\x16x\r\n" + record,
	} {
		if !feed(s) {
			t.Errorf("%q: not found", s)
		}
	}
	for _, s := range []string{
		"", record, "EHLO me\r\n" + record, "STARTTLS\r\nNOOP" + record, "DATA\r\nSTARTTLS is a word\r\n" + record, "STARTTLS\r\n\x16\x02", "xSTARTTLS\r\n" + record,
		strings.Repeat("a", turnLine) + "STARTTLS\r\n" + record, strings.Repeat("NOOP\r\n", turnMax/6+1) + "STARTTLS\r\n" + record,
		strings.Replace(mysql, "\xae", "\xa6", 1) + record,
	} {
		if feed(s) {
			t.Errorf("%q: found", s[:min(len(s), 40)])
		}
	}
}

// FuzzTurn holds that where reads end changes nothing, and that what is found was
// asked for.
func FuzzTurn(f *testing.F) {
	for _, s := range []string{"EHLO me\r\nSTARTTLS\r\n" + record, postgresRequest + record, "a\x16\x03", "\n\x16\n\x16\x03", "STLS\n\x16STLS\n\x16\x03"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		whole := feed(string(b))
		var one turn
		found := 0
		for i := range b {
			if one.feed(b[i : i+1]) {
				found++
			}
		}
		if found > 1 || (found == 1) != whole {
			t.Errorf("%q: whole %v, in bytes %d times", b, whole, found)
		}
		if at = min(max(at, 0), len(b)); feed(string(b[:at]), string(b[at:])) != whole {
			t.Errorf("%q cut at %d", b, at)
		}
		if whole && !bytes.Contains(b, []byte("\x16\x03")) {
			t.Errorf("%q: found", b)
		}
	})
}
