package proxy

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"time"

	"outvet/internal/hello"
	"outvet/internal/http1"
)

// A kind is what a tunnel is used for.
type kind int

const (
	kindMore   kind = iota // more must be read
	kindTLS                // a TLS handshake
	kindSSL2               // a handshake of SSL 2, which may offer later versions
	kindHTTP               // a request line
	kindRaw                // something else
	kindSilent             // the client waits for the server
	kindGone               // the client closed it
)

// sniffMax is more than the longest method that is taken for HTTP.
const sniffMax = 64

// sniff reads until it knows what the tunnel is for, the deadline is over (the
// zero time for none) or, after a read, enough is true. What it reads stays to
// be read.
func (t *tunnel) sniff(deadline time.Time, enough func() bool) kind {
	k := classify(t.pre)
	if k != kindMore {
		return k
	}
	if !deadline.IsZero() {
		t.Conn.SetReadDeadline(deadline)
		defer t.Conn.SetReadDeadline(time.Time{})
	}
	buf := make([]byte, 2048)
	n := copy(buf, t.pre)
	for k == kindMore {
		m, err := t.Conn.Read(buf[n:])
		n += m
		t.pre = buf[:n]
		if k = classify(t.pre); k != kindMore || err == nil && !enough() {
			continue
		}
		switch {
		case n > 0:
			return kindRaw
		case errors.Is(err, os.ErrDeadlineExceeded):
			return kindSilent
		}
		return kindGone
	}
	return k
}

// greets reports whether the client of a service that is usually at port says
// nothing before the server does: one that is silent there is not slow.
func greets(port uint16) bool {
	switch port {
	case 21, 23, 25, 110, 119, 143, 587, 2525, 3306, 5900: // FTP, Telnet, SMTP, POP3, NNTP, IMAP, submission (twice), MySQL, VNC
		return true
	}
	return false
}

// classify says what begins with b.
func classify(b []byte) kind {
	if len(b) == 0 {
		return kindMore
	}
	if b[0] == 0x16 { // the content type of a handshake record
		return kindTLS
	}
	if b[0]&0x80 != 0 && len(b) < 4 {
		return kindMore
	}
	if hello.SSL2(b) {
		return kindSSL2
	}
	if bytes.HasPrefix(b, []byte("SSH-")) || speaksGit(b) {
		return kindRaw
	}
	if b[0] == '\r' || b[0] == '\n' {
		return kindHTTP // servers skip empty lines before a request (RFC 9112, 2.2); ours refuses them
	}
	word, _, ended := bytes.Cut(b[:min(len(b), sniffMax)], []byte(" "))
	switch {
	case !http1.Token(string(word)):
		return kindRaw
	case ended:
		return kindHTTP
	case len(b) >= sniffMax:
		return kindRaw
	}
	return kindMore
}

// speaksGit reports whether b begins as clients of git:// do: the length of the
// line in four digits, and what is to be run. HTTP could begin so, but means
// nothing by it.
func speaksGit(b []byte) bool {
	if len(b) < 4 || bytes.ContainsFunc(b[:4], func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }) {
		return false
	}
	return bytes.HasPrefix(b[4:], []byte("git-upload-")) || bytes.HasPrefix(b[4:], []byte("git-receive-"))
}
