package stand

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Names of the parts that measure a way.
const (
	relayName  = "relay"  // accepts, dials and copies
	walkerName = "walker" // walks once, from where it is started
)

// Words that begin a connection to a Mark; eight bytes with a number follow.
const (
	wordEcho = 'e'
	wordDown = 'd' // so many bytes, please
	wordUp   = 'u' // so many bytes come, then say one
)

// A Walk is what one walker measured.
type Walk struct {
	Down, Up float64 // GB a second
	Connect  float64 // µs, of the middle one of many, with nine bytes there and back
	Byte     float64 // µs, of the middle one of many: one byte there and back
}

// A Mark is what walkers go to.
type Mark struct {
	l     net.Listener
	relay *Process
	self  string // this program, where whoever is in a sandbox can start it
}

// NewMark starts a mark, and a relay that leads to it. Walkers start in workspace.
func (s *Stand) NewMark(workspace string) (*Mark, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	m := &Mark{l: l, self: filepath.Join(workspace, walkerName)}
	if err = copySelf(m.self); err != nil {
		l.Close()
		return nil, err
	}
	if m.relay, err = play(part{Name: relayName, Origins: map[string]string{"to": l.Addr().String()}}); err != nil {
		l.Close()
		return nil, err
	}
	return m, nil
}

// Port is that of the mark on this machine.
func (m *Mark) Port() int { return m.l.Addr().(*net.TCPAddr).Port }

// Close ends the mark and its relay.
func (m *Mark) Close() {
	m.relay.Kill()
	m.l.Close()
}

// Relayed walks through the relay.
func (m *Mark) Relayed(bytes int64, times int) (Walk, error) {
	args, err := m.walker(m.relay.Ready["proxy"], bytes, times)
	if err != nil {
		return Walk{}, err
	}
	return walked((&Stand{Program: args[0]}).output(args[1:]...))
}

// Sealed walks from a sandbox of outvet.
func (s *Stand) Sealed(m *Mark, state, workspace string, bytes int64, times int) (Walk, error) {
	const name = "mark.example.com"
	args, err := m.walker(fmt.Sprintf("%s:%d", name, m.Port()), bytes, times)
	if err != nil {
		return Walk{}, err
	}
	policy := state + ".yaml"
	if err := os.WriteFile(policy, []byte("version: 1\ndefault: allow\n"), 0o644); err != nil {
		return Walk{}, err
	}
	return walked(s.output(append([]string{"run", "--state", state, "--workspace", workspace, "--policy", policy, "--upstream-proxy", "none",
		"--connect-to", name + "::127.0.0.1:", "--"}, args...)...))
}

// copySelf copies this program: where it lies, only we may be let in.
func copySelf(to string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

func (m *Mark) walker(to string, bytes int64, times int) ([]string, error) {
	b, err := json.Marshal(part{Name: walkerName, Origins: map[string]string{"to": to}, Bytes: bytes, Times: times})
	return []string{m.self, roleWord, string(b)}, err
}

func walked(out []byte, err error) (w Walk, _ error) {
	if err != nil {
		return w, err
	}
	return w, json.Unmarshal(out, &w)
}

// answer serves one connection to a mark.
func answer(c net.Conn) {
	defer c.Close()
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	n := int64(binary.BigEndian.Uint64(head[1:]))
	switch head[0] {
	case wordEcho:
		if _, err := c.Write(head[:]); err == nil {
			_, _ = io.Copy(c, c)
		}
	case wordDown:
		_, _ = io.CopyN(c, zeros{}, n)
	case wordUp:
		if _, err := io.CopyN(io.Discard, c, n); err == nil {
			_, _ = c.Write(head[:1])
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// serveRelay relays until it is killed.
func serveRelay(to string, ready func(string)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready(l.Addr().String())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			up, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer up.Close()
			go func() {
				_, _ = io.Copy(up, c)
				_ = up.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(c, up)
		}()
	}
}

// walk measures the way to a mark.
func walk(p part) (w Walk, err error) {
	host, port, err := net.SplitHostPort(p.Origins["to"])
	if err != nil {
		return w, err
	}
	at, err := net.LookupHost(host) // once: it is the way that is measured
	if err != nil {
		return w, err
	}
	open := func(word byte, n int64) (net.Conn, error) {
		c, err := net.Dial("tcp", net.JoinHostPort(at[0], port))
		if err == nil {
			_, err = c.Write(binary.BigEndian.AppendUint64([]byte{word}, uint64(n)))
		}
		return c, err
	}
	if w.Down, err = rate(p.Bytes, func() (net.Conn, error) { return open(wordDown, p.Bytes) }, func(c net.Conn) error {
		_, err := io.CopyN(io.Discard, c, p.Bytes)
		return err
	}); err != nil {
		return w, fmt.Errorf("down: %w", err)
	}
	if w.Up, err = rate(p.Bytes, func() (net.Conn, error) { return open(wordUp, p.Bytes) }, func(c net.Conn) error {
		if _, err := io.CopyN(c, zeros{}, p.Bytes); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}); err != nil {
		return w, fmt.Errorf("up: %w", err)
	}
	var last net.Conn
	echoed := make([]byte, 9)
	if w.Connect, err = middle(p.Times, func() error {
		if last != nil {
			last.Close()
		}
		var err error
		if last, err = open(wordEcho, 0); err == nil {
			_, err = io.ReadFull(last, echoed)
		}
		return err
	}); err != nil {
		return w, fmt.Errorf("connect: %w", err)
	}
	defer last.Close()
	if w.Byte, err = middle(5*p.Times, func() error {
		_, err := last.Write(echoed[:1])
		if err == nil {
			_, err = io.ReadFull(last, echoed[:1])
		}
		return err
	}); err != nil {
		return w, fmt.Errorf("byte: %w", err)
	}
	return w, nil
}

func rate(bytes int64, open func() (net.Conn, error), f func(net.Conn) error) (float64, error) {
	c, err := open()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	start := time.Now()
	err = f(c)
	return float64(bytes) / 1e9 / time.Since(start).Seconds(), err
}

func middle(n int, f func() error) (µs float64, err error) {
	all := make([]time.Duration, n)
	for i := range all {
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		all[i] = time.Since(start)
	}
	slices.Sort(all)
	return float64(all[n/2].Nanoseconds()) / 1e3, nil
}
