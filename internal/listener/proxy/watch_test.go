package proxy

import (
	"net"
	"testing"
	"time"
)

// pair is a connection and its other end.
func pair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// The read deadline of a connection is set for bodies and for idle ones; that it
// has passed says nothing of the client.
func TestAPassedDeadlineIsNoClientThatLeft(t *testing.T) {
	here, there := pair(t)
	c := (&Server{}).newConn(t.Context(), here, nil)
	gone := make(chan bool, 1)
	c.SetReadDeadline(time.Unix(1, 0))
	c.watch.begin(&sentBody{c: c}, func() { gone <- true })
	select {
	case <-gone:
		t.Fatal("the client counts as gone")
	case <-time.After(5 * watchAfter):
	}
	there.SetLinger(0)
	there.Close()
	select {
	case <-gone:
		t.Fatal("nothing can be read before the deadline is moved")
	case <-time.After(2 * watchAfter):
	}
	c.SetReadDeadline(time.Time{})
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("nobody looks for the client any more")
	}
	c.watch.end()
}

// What was read ahead is given back, however often was looked.
func TestTheWatchGivesBackWhatItRead(t *testing.T) {
	here, there := pair(t)
	c := (&Server{}).newConn(t.Context(), here, nil)
	for range 3 {
		c.SetReadDeadline(time.Unix(1, 0))
		c.watch.begin(&sentBody{c: c}, func() { t.Error("the client counts as gone") })
		time.Sleep(2 * watchAfter)
		c.SetReadDeadline(time.Time{})
		there.Write([]byte("next"))
		time.Sleep(2 * watchAfter)
		c.watch.end()
		b := make([]byte, 4)
		for n := 0; n < 4; {
			m, err := c.r.Read(b[n:])
			if n += m; err != nil {
				t.Fatal(err)
			}
		}
		if string(b) != "next" {
			t.Fatalf("%q", b)
		}
	}
}
