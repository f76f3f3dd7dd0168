package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"outvet/internal/listener/proxy"
)

// TestClientsInAnotherProcess is no test: TestAnIdleConnectionOfHTTP2HoldsLittle runs it in
// a process of its own, so that the memory of clients does not count.
func TestClientsInAnotherProcess(t *testing.T) {
	addr, n, size := os.Getenv("CLIENTS_OF"), 0, 0
	if _, err := fmt.Sscan(os.Getenv("CLIENTS"), &n, &size); err != nil {
		t.Skip("run by another test")
	}
	pem, err := os.ReadFile(os.Getenv("CLIENTS_TRUST"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, addr: addr, roots: x509.NewCertPool()}
	r.roots.AppendCertsFromPEM(pem)
	for range n {
		p := r.h2(t)
		s := p.open(request("POST", "/"), false)
		s.send(make([]byte, size), true)
		if s.status() != "200" {
			t.Fatal(s.heads)
		}
		s.end()
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

// Half of what is held after large transfers is crypto/tls's: it keeps room for
// two of the longest records.
func TestAnIdleConnectionOfHTTP2HoldsLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped, because the race detector holds memory of its own")
	}
	for size, budget := range map[int]int64{4 << 10: 50 << 10, 100 << 10: 128 << 10} {
		r := newRig(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, nil, allow)
		const few, many = 10, 210
		each := (r.idle(few, size) - r.idle(many, size)) / (few - many)
		t.Logf("%d bytes a connection after %d bytes both ways", each, size)
		if each > budget {
			t.Errorf("an idle connection holds %d bytes, budget %d", each, budget)
		}
	}
}

// idle returns what is held while n clients have a connection on which size
// bytes went both ways.
func (r *rig) idle(n, size int) int64 {
	cmd := exec.Command(os.Args[0], "-test.run=TestClientsInAnotherProcess$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("CLIENTS=%d %d", n, size), "CLIENTS_OF="+r.addr, "CLIENTS_TRUST="+r.ca)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	for br := bufio.NewReader(out); ; {
		line, err := br.ReadString('\n')
		if err != nil {
			r.t.Fatal("the clients failed")
		}
		if strings.HasPrefix(line, "ready") {
			break
		}
	}
	time.Sleep(200 * time.Millisecond)
	return resident()
}

func TestAClientThatNeverReadsIsNotHeldForEver(t *testing.T) {
	gone := make(chan bool, 1)
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		for {
			if _, err := w.Write(b); err != nil {
				gone <- true
				return
			}
		}
	}, nil, allow, func(s *proxy.Server) { s.StallTime = 300 * time.Millisecond })
	p := r.h2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	s := p.open(request("GET", "/"), true)
	if _, end := s.end(); end != "INTERNAL_ERROR" {
		t.Error(end)
	}
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the server still writes")
	}
	if o := r.log.wait(t, 1)[0].closed.Outcome; o.Error != "the client went away" {
		t.Errorf("%+v", o)
	}
	// One that reads slowly is served: time counts from what it took last.
	const piece = 8 << 10
	p = r.h2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: piece})
	p.write(func() error { return p.fr.WriteWindowUpdate(0, 1<<20) })
	s = p.open(request("GET", "/"), true)
	for i := range 10 {
		want := (i + 1) * piece
		s.p.wait("data", func() bool { return s.got >= want || s.reset != nil })
		if s.reset != nil {
			t.Fatalf("a slow reader was cut off after %d bytes", s.got)
		}
		time.Sleep(50 * time.Millisecond)
		p.write(func() error { return p.fr.WriteWindowUpdate(s.id, piece) })
	}
	s.cancel(http2.ErrCodeCancel)
}

func TestAConnectionThatTakesNothingIsNotHeldForEver(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		for {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}, nil, allow, func(s *proxy.Server) { s.StallTime = 300 * time.Millisecond })
	c := tls.Client(r.dial(host+":443"), &tls.Config{RootCAs: r.roots, ServerName: host, NextProtos: []string{"h2"}})
	if err := c.HandshakeContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, c, true)
	io.WriteString(c, http2.ClientPreface)
	p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	p.fr.WriteWindowUpdate(0, 1<<30)
	p.headers(1, request("GET", "/"), true) // and then it reads nothing at all
	if o := r.log.wait(t, 1)[0].closed.Outcome; o.Error != "the client went away" {
		t.Errorf("%+v", o)
	}
}

// BenchmarkPOSTOverHTTP2 is BenchmarkPOST with HTTP/2 on both sides.
func BenchmarkPOSTOverHTTP2(b *testing.B) {
	r := newRig(b, benchOrigin, nil, benchPolicy)
	client := r.client(true)
	b.ReportAllocs()
	for b.Loop() {
		postH2(b, client)
	}
}

func postH2(t testing.TB, client *http.Client) {
	resp, err := client.Post("https://"+host+"/v1/messages", "application/json", strings.NewReader(benchBody))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// TestARequestOverHTTP2CostsFewAllocations counts those of client, proxy and
// origin together; three quarters of them are the library's.
func TestARequestOverHTTP2CostsFewAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped, because the race detector allocates")
	}
	const budget = 260
	r := newRig(t, benchOrigin, nil, benchPolicy)
	client := r.client(true)
	postH2(t, client)
	if n := testing.AllocsPerRun(300, func() { postH2(t, client) }); n > budget {
		t.Errorf("%v allocations for a request, budget %d", n, budget)
	}
}
