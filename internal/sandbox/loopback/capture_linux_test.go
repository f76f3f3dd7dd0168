package loopback

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ports are those of what agents use, and some that nobody does.
var ports = []int{1, 21, 22, 25, 53, 80, 110, 143, 443, 465, 587, 853, 993, 3306, 5432, 6379, 8080, 9418, 27017, 65535}

func TestEveryConnectionIsCapturedAndTellsItsDestination(t *testing.T) {
	both(t, func(t *testing.T, way capture) {
		r := newRoom(t)
		echo(r.open(way))
		for _, host := range []string{"93.184.216.34", "10.0.0.1", "169.254.169.254", "198.18.0.1", "2001:2::1", "fd00:ec2::254", "2606:4700::1111", "::ffff:8.8.8.8"} {
			for _, port := range ports {
				to := net.JoinHostPort(host, fmt.Sprint(port))
				c, err := r.Dial(to)
				if err != nil {
					t.Errorf("%s: %v", to, err)
					continue
				}
				want := netip.MustParseAddrPort(to)
				if got := said(t, c); got != netip.AddrPortFrom(want.Addr().Unmap(), want.Port()).String() {
					t.Errorf("%s came as %s", to, got)
				}
			}
		}
	})
}

func TestPort53OfLoopbackIsCapturedToo(t *testing.T) {
	both(t, func(t *testing.T, way capture) {
		r := newRoom(t)
		echo(r.open(way))
		for _, to := range []string{"127.0.0.53:53", "127.0.0.1:53", "[::1]:53"} {
			c, err := r.Dial(to)
			if err != nil {
				t.Errorf("%s: %v", to, err)
			} else if got := said(t, c); got != to {
				t.Errorf("%s came as %s", to, got)
			}
		}
	})
}

func TestOwnServersOfTheCommandAreLeftAlone(t *testing.T) {
	both(t, func(t *testing.T, way capture) {
		r := newRoom(t)
		echo(r.open(way))
		for _, at := range []string{"127.0.0.1", "127.9.9.9", "::1", Own4.String(), Own6.String()} {
			var l net.Listener
			var err error
			r.Do(func() { l, err = net.Listen("tcp", net.JoinHostPort(at, "0")) })
			if err != nil {
				t.Errorf("%s: %v", at, err)
				continue
			}
			go func() {
				c, err := l.Accept()
				if err == nil {
					fmt.Fprintln(c, "mine")
					c.Close()
				}
			}()
			c, err := r.Dial(l.Addr().String())
			if err != nil {
				t.Errorf("%s: %v", at, err)
			} else if got := said(t, c); got != "mine" {
				t.Errorf("%s led to %q", l.Addr(), got)
			}
			l.Close()
		}
		if _, err := r.Dial("127.0.0.1:9"); !isRefused(err) {
			t.Errorf("a closed port of loopback: %v", err)
		}
	})
}

func TestOurListenerDialledItselfIsSeen(t *testing.T) {
	both(t, func(t *testing.T, way capture) {
		r := newRoom(t)
		echo(r.open(way))
		hosts := []string{"127.0.0.1", "::1"}
		if !way.redirected { // the other one listens at nothing else
			hosts = append(hosts, Own4.String(), Own6.String(), "127.3.2.1")
		}
		for _, host := range hosts {
			c, err := r.Dial(net.JoinHostPort(host, fmt.Sprint(Port)))
			if err != nil {
				t.Errorf("%s: %v", host, err)
				continue
			}
			to, err := netip.ParseAddrPort(said(t, c))
			if err != nil || !Own(to.Addr()) || to.Port() != Port {
				t.Errorf("%s came as %s, %v", host, to, err)
			}
		}
	})
}

func TestConnectionsFromAnOddSourceAreCapturedToo(t *testing.T) {
	r := newRoom(t)
	echo(r.open(tproxy))
	for _, from := range []string{"5.6.7.8", "127.0.0.1", "93.184.216.34"} { // every address is local: anyone may bind it
		var c net.Conn
		var err error
		r.Do(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
			c, err = d.Dial("tcp4", "93.184.216.34:443")
		})
		if err != nil {
			t.Errorf("from %s: %v", from, err)
		} else if got := said(t, c); got != "93.184.216.34:443" {
			t.Errorf("from %s it came as %s", from, got)
		}
	}
}

func TestQueriesAreAnsweredFromTheAddressAsked(t *testing.T) {
	r := newRoom(t)
	answerQueries(r.open(tproxy))
	for _, host := range []string{Resolver.String(), "8.8.8.8", "127.0.0.53", "127.0.0.1", Own4.String(), "2001:4860:4860::8888", "::1", Own6.String(), "::ffff:9.9.9.9"} {
		var got string
		var err error
		r.Do(func() { got, err = ask(net.JoinHostPort(host, "53")) })
		if want := netip.MustParseAddr(host).Unmap().String(); err != nil || got != want {
			t.Errorf("%s: %q, %v", host, got, err)
		}
	}
}

func TestOtherUDPIsRefusedAtOnce(t *testing.T) {
	r := newRoom(t)
	answerQueries(r.open(tproxy))
	for _, to := range []string{"93.184.216.34:443", "8.8.8.8:5353", "[2606:4700::1111]:443", "10.0.0.1:123"} {
		var err error
		start := time.Now()
		r.Do(func() { _, err = ask(to) })
		if !isRefused(err) || time.Since(start) > patience/2 {
			t.Errorf("%s: %v after %v", to, err, time.Since(start))
		}
	}
}

func TestWithoutTproxyConnectionsAreRedirected(t *testing.T) {
	r := newRoom(t)
	s := r.open(missing(), redirect)
	if !s.redirected {
		t.Error("not redirected")
	}
	echo(s)
	c, err := r.Dial("93.184.216.34:443")
	if err != nil {
		t.Fatal(err)
	}
	if got := said(t, c); got != "93.184.216.34:443" {
		t.Errorf("it came as %s", got)
	}
}

func TestANamespaceThatCannotBeSealedIsAnError(t *testing.T) {
	r := newRoom(t)
	r.Do(func() {
		if s, err := seal(nil, nil, missing()); err == nil {
			s.Close()
			t.Error("sealed without a rule")
		}
	})
	r.Do(func() {
		if err := link("add", "wire0", "type", "bridge"); err != nil {
			t.Error(err)
			return
		}
		if s, err := Open(); err == nil {
			s.Close()
			t.Error("opened beside another interface")
		} else if want := `"wire0"`; !contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	})
}

func TestSealingAgainFollowsTheOneBefore(t *testing.T) {
	both(t, func(t *testing.T, way capture) {
		r := newRoom(t)
		first := r.open(way)
		echo(first)
		c, err := r.Dial("93.184.216.34:443") // one that lingers
		if err != nil {
			t.Fatal(err)
		}
		said(t, c)
		if c, err = r.Dial("127.0.0.1:15001"); err != nil {
			t.Fatal(err)
		}
		said(t, c)
		var second *Sockets
		r.Do(func() { second, err = seal(nil, nil, way) })
		if err == nil {
			second.Close()
			t.Fatal("sealed although another one listens")
		}
		first.Close()
		if _, err := r.Dial("93.184.216.34:443"); err == nil {
			t.Error("a connection stands while nobody listens")
		}
		echo(r.open(way))
		if c, err = r.Dial("93.184.216.34:80"); err != nil {
			t.Fatal(err)
		}
		if got := said(t, c); got != "93.184.216.34:80" {
			t.Errorf("it came as %s", got)
		}
	})
}

func TestIPv6ThatIsOffIsTurnedOnAndCaptured(t *testing.T) {
	r := newRoom(t)
	r.Do(func() {
		for _, d := range []string{"all", "default", "lo"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+d+"/disable_ipv6", []byte("1"), 0); err != nil {
				t.Error(err)
			}
		}
	})
	echo(r.open(tproxy))
	c, err := r.Dial("[2606:4700::1111]:443")
	if err != nil {
		t.Fatal(err)
	}
	if got := said(t, c); got != "[2606:4700::1111]:443" {
		t.Errorf("it came as %s", got)
	}
}

func TestSocketsArePassedToAnotherProcess(t *testing.T) {
	both(t, func(t *testing.T, way capture) {
		r := newRoom(t)
		s := r.open(way)
		a, b := pair(t)
		if err := s.Send(a); err != nil {
			t.Fatal(err)
		}
		s.Close()
		got, err := Receive(b)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Close()
		echo(got)
		answerQueries(got)
		for _, to := range []string{"93.184.216.34:443", "[2606:4700::1111]:5432"} {
			c, err := r.Dial(to)
			if err != nil {
				t.Fatal(err)
			}
			if got := said(t, c); got != to {
				t.Errorf("%s came as %s", to, got)
			}
		}
		r.Do(func() {
			if got, err := ask("9.9.9.9:53"); err != nil || got != "9.9.9.9" {
				t.Errorf("%q, %v", got, err)
			}
		})
	})
}

func TestAnUnexpectedMessageBringsNoSocketsAndLeaksNone(t *testing.T) {
	r := newRoom(t)
	s := r.open(tproxy)
	tcp, udp := descriptor(t, s.TCP4), descriptor(t, s.DNS4.conn)
	before := descriptorsOpen(t)
	for _, m := range []struct {
		word string
		fds  []int
	}{
		{"", []int{tcp}}, {"go", nil}, {wordTproxy, nil}, {wordTproxy, []int{tcp}}, {wordTproxy, []int{tcp, tcp, udp}},
		{wordTproxy, []int{0, 1, 2}}, {wordTproxy, []int{tcp, udp, udp, udp, udp, udp}}, {"loopback telepathy", []int{tcp, udp}},
	} {
		a, b := pair(t)
		var rights []byte
		if len(m.fds) > 0 {
			rights = unix.UnixRights(m.fds...)
		}
		if err := unix.Sendmsg(int(a.Fd()), []byte(m.word), rights, nil, 0); err != nil {
			t.Fatal(err)
		}
		if got, err := Receive(b); err == nil {
			got.Close()
			t.Errorf("%q with %d descriptors was taken", m.word, len(m.fds))
		}
		a.Close()
		b.Close()
	}
	if after := descriptorsOpen(t); after != before {
		t.Errorf("%d descriptors were open, then %d", before, after)
	}
	a, b := pair(t)
	a.Close()
	if _, err := Receive(b); err == nil || err.Error() != "EOF" {
		t.Errorf("nobody there: %v", err)
	}
}

func TestEchoRequestsAreNotAnsweredButOnLoopback(t *testing.T) {
	r := newRoom(t)
	r.open(tproxy)
	for _, c := range []struct {
		to       string
		answered bool
	}{{"127.0.0.1", true}, {"::1", true}, {"8.8.8.8", false}, {"2606:4700::1111", false}} {
		r.Do(func() {
			if err := ping(c.to); (err == nil) != c.answered {
				t.Errorf("%s: %v", c.to, err)
			}
		})
	}
}

func TestWhoHoldsTheOtherEndIsKnown(t *testing.T) {
	both(t, func(t *testing.T, way capture) {
		r := newRoom(t)
		made := r.open(way)
		a, b := pair(t)
		if err := made.Send(a); err != nil {
			t.Fatal(err)
		}
		made.Close()
		s, err := Receive(b)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, to := range []string{"93.184.216.34:80", "[2606:4700::1111]:80"} {
			c, err := r.Dial(to)
			if err != nil {
				t.Fatal(err)
			}
			l := s.TCP4
			if to[0] == '[' {
				l = s.TCP6
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			c.CloseWrite()
			if s.Orphaned(server) {
				t.Errorf("%s: orphaned while its client waits", to)
			}
			c.Close()
			for end := time.Now().Add(patience); !s.Orphaned(server); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s: held although its client left", to)
				}
			}
		}
	})
}
