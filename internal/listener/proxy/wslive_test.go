package proxy_test

import (
	"io"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/payload/wsframe"
)

func TestAPolicyThatRefusesAnIdleWebSocketEndsIt(t *testing.T) {
	r := newRig(t, raw(t, func(c io.ReadWriteCloser, in io.Reader) {
		c.Write(wsframe.AppendFrame(nil, wsframe.Text, []byte("hello")))
		io.Copy(io.Discard, in)
	}), nil, noSecrets)
	c := r.websocket(t, true, "/talk")
	c.want(wsframe.Text, "hello")
	r.install(t, "version: 1\ndefault: block\n")
	c.wantClose(1008, "")
	closed := r.one(t).closed
	if !closed.Outcome.Aborted || closed.Decision == nil || closed.Decision.Verdict != call.Block || !strings.Contains(closed.Outcome.Error, "stopped") {
		t.Errorf("%+v %+v", closed.Outcome, closed.Decision)
	}
}
