package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"outvet/internal/hostname"
)

func FuzzSOCKSHandshake(f *testing.F) {
	for _, s := range []string{
		"\x05\x01\x00\x05\x01\x00\x03\x09a.example\x01\xbb",
		"\x05\x02\x00\x02\x01\x05otter\x01x\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50GET / HTTP/1.1\r\n",
		"\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\xbb",
		"\x05\x01\x00\x05\x02\x00\x03\x00\x00\x00", "\x04\x01\x00\x50\x01\x02\x03\x04\x00", "\x05\xff",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, identify bool) {
		var said, slow bytes.Buffer
		r := bufio.NewReaderSize(bytes.NewReader(b), socksMax)
		q, err := negotiate(r, &said, identify)
		again, err2 := negotiate(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(b))), &slow, identify)
		if q != again || (err == nil) != (err2 == nil) || !bytes.Equal(said.Bytes(), slow.Bytes()) {
			t.Fatalf("read byte by byte it is %+v, %v; else %+v, %v", again, err2, q, err)
		}
		var d *denial
		if err != nil {
			if !errors.As(err, &d) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			return
		}
		if c, err := hostname.Canonical(q.host); q.command == commandConnect && (err != nil || c != q.host || q.port == 0) {
			t.Errorf("%+v", q)
		}
		if identify && sessionName(q.user) == "" {
			t.Errorf("%q names no session", q.user)
		}
		rest, _ := io.ReadAll(r)
		if !bytes.HasSuffix(b, rest) || len(b)-len(rest) > socksMax {
			t.Errorf("of %d bytes %d are left", len(b), len(rest))
		}
		if w := said.Bytes(); w[0] != socks5 || len(w) != 2 && len(w) != 4 {
			t.Errorf("it answered %q", w)
		}
	})
}
