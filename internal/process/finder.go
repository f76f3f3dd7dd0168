package process

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"outvet/call"
)

const (
	// descriptorsMax bounds what a pass looks at, ownMax what it looks at of one
	// process before it was through all.
	descriptorsMax = 100_000
	ownMax         = 4096
	// rest is how long nobody looks for each descriptor that was looked at: half of
	// one processor is spent at most.
	rest = 2 * time.Microsecond
	// few descriptors are not worth to rest for.
	few = 500
	// triesMax is how many passes look for one socket.
	triesMax = 2
	// waitingMax bounds the look-ups that wait.
	waitingMax = 1024
)

// A Finder looks up who makes connections in one network namespace. A nil Finder
// finds nothing. It is safe for concurrent use.
type Finder struct {
	init  int // of the sandbox, as we see it; 0 for our own namespaces
	world world

	// mu guards the rest.
	mu      sync.Mutex
	waiting []*Search
	working bool
	closed  bool
	idle    sync.Cond
}

// Here returns a Finder for our own network namespace.
func Here() *Finder { return newFinder(0, nil) }

// Inside returns a Finder for the sandbox whose first process is init, as we see
// it. sockets asks within its network namespace, or is nil: a socket for that is
// then made, which needs to be root, or /proc/PID/net/tcp is read instead.
func Inside(init int, sockets Sockets) *Finder { return newFinder(init, sockets) }

// Sockets tells the inode of the socket that is connected from client to server, 0
// if no program holds it. It stays its maker's to close.
type Sockets interface {
	Inode(client, server netip.AddrPort) (uint64, error)
}

func newFinder(init int, diag Sockets) *Finder {
	f := &Finder{init: init}
	f.idle.L = &f.mu
	f.world.begin(init, diag)
	return f
}

// Close ends what is under way. Searches that wait stay unknown.
func (f *Finder) Close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for f.working {
		f.idle.Wait()
	}
	return f.world.end()
}

// A Search is one look-up, under way or over.
type Search struct {
	client, server netip.AddrPort
	begun          time.Time
	done           chan struct{}
	tries          int

	// Written before done is closed.
	chain  Chain
	says   testimony
	reason string
}

// Find begins to look up who made the connection from client to server, as its
// accepted end names them. It returns nil where there is nothing to find.
func (f *Finder) Find(client, server netip.AddrPort) *Search {
	if f == nil || !client.IsValid() || !server.IsValid() {
		return nil
	}
	s := &Search{client: plain(client), server: plain(server), begun: time.Now(), done: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.waiting) >= waitingMax {
		s.end(Chain{}, "too many wait to be looked up")
		return s
	}
	f.waiting = append(f.waiting, s)
	if !f.working {
		f.working = true
		go f.work()
	}
	return s
}

// Witness is Find for who accepted c. It returns nil, not a nil Search, where
// there is nothing to find.
func (f *Finder) Witness(c net.Conn) call.Witness {
	client, ok := c.RemoteAddr().(*net.TCPAddr)
	server, ok2 := c.LocalAddr().(*net.TCPAddr)
	if f == nil || !ok || !ok2 || f.init == 0 && !client.IP.Equal(server.IP) && !client.IP.IsLoopback() {
		return nil
	}
	if s := f.Find(client.AddrPort(), server.AddrPort()); s != nil {
		return s
	}
	return nil
}

func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

func (s *Search) end(c Chain, reason string) {
	s.chain, s.reason = c, reason
	s.says = c.testimony()
	close(s.done)
}

// Chain waits until the look-up is over, at most until so much time has passed since
// it began, and returns what it found, or an empty chain and why.
func (s *Search) Chain(since time.Duration) (Chain, string) {
	if !s.wait(since) {
		return Chain{}, "the look-up takes too long"
	}
	return s.chain, s.reason
}

// Testify implements call.Witness. Once the look-up is over it costs nothing.
func (s *Search) Testify(who *call.Caller, since time.Duration) bool {
	if !s.wait(since) {
		return false
	}
	s.says.tell(who)
	return true
}

func (s *Search) wait(since time.Duration) bool {
	select {
	case <-s.done:
		return true
	default:
	}
	left := time.Until(s.begun.Add(since))
	if left <= 0 {
		return false
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-s.done:
		return true
	case <-t.C:
		return false
	}
}

// again lets those look once more who were not found.
func (f *Finder) again(left []*Search) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range left {
		if s.tries++; s.tries < triesMax {
			f.waiting = append(f.waiting, s)
		} else {
			s.end(Chain{}, "no process that can be seen holds the socket")
		}
	}
}

// work serves those who wait, all at once, until nobody does.
func (f *Finder) work() {
	for {
		f.mu.Lock()
		batch := f.waiting
		f.waiting = nil
		if len(batch) == 0 || f.closed {
			f.working = false
			for _, s := range batch {
				s.end(Chain{}, "it was shut down")
			}
			f.idle.Broadcast()
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		left, looked := f.world.pass(batch)
		f.again(left)
		if looked >= few { // who comes meanwhile is looked up in one pass
			time.Sleep(time.Duration(looked) * rest)
		}
	}
}
