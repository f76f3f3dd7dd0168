package record

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"outvet/call"
)

// What the holder of a log and the others say to each other: frames of a length
// of four bytes, big endian, and JSON. A member begins with a hello, which is
// answered as a record is; answers come in any order. A commitment is made by the
// holder, which keeps the salt.

// doorName is the socket in the folder of the log; only the user can reach it.
const doorName = "share"

// talkVersion is what both sides must agree on.
const talkVersion = 1

// maxTalk bounds a frame, in bytes.
const maxTalk = 16 << 20

// A told is what a member says.
type told struct {
	N       uint64       `json:"n"`
	Hello   int          `json:"hello,omitempty"` // version, in the first
	Open    []call.ID    `json:"open,omitempty"`  // calls that another holder decided, in the first
	Again   bool         `json:"again,omitempty"`
	Durable bool         `json:"durable,omitempty"`
	Body    []byte       `json:"body,omitempty"`
	Record  *call.Record `json:"record,omitempty"`
}

// An answer is what the holder says to that.
type answer struct {
	N      uint64 `json:"n"`
	Seq    uint64 `json:"seq,omitempty"`
	Commit string `json:"commit,omitempty"`
	Error  string `json:"error,omitempty"`
	Hello  int    `json:"hello,omitempty"`
}

var errOtherVersion = errors.New("it is of another version of outvet")

// frame returns v as one frame.
func frame(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(b) > maxTalk {
		return nil, fmt.Errorf("%d bytes are too long to be shared", len(b))
	}
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...), nil
}

func writeFrame(w io.Writer, v any) error {
	b, err := frame(v)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// readFrame reads one frame into v.
func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxTalk {
		return fmt.Errorf("a frame of %d bytes is too long", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// at calls f with the address of the socket in home. A name that is too long for
// an address of a socket (unix(7): 108 bytes) goes by a descriptor of its folder.
func atDoor(home string, f func(addr *net.UnixAddr) error) error {
	name := filepath.Join(home, doorName)
	if len(name) > 100 {
		dir, err := os.Open(home)
		if err != nil {
			return err
		}
		defer dir.Close()
		name = filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), doorName)
	}
	return f(&net.UnixAddr{Name: name, Net: "unix"})
}

func dialDoor(home string) (c *net.UnixConn, err error) {
	err = atDoor(home, func(addr *net.UnixAddr) error {
		c, err = net.DialUnix("unix", nil, addr)
		return err
	})
	return c, err
}

// A door lets other processes give their records to the log.
type door struct {
	log *Log
	l   *net.UnixListener

	mu    sync.Mutex
	conns map[*net.UnixConn]bool
	shut  bool
	done  sync.WaitGroup
}

// openDoor opens the door of l, whose lock this process has: a socket that is
// there is left from another.
func openDoor(l *Log) (*door, error) {
	d := &door{log: l, conns: map[*net.UnixConn]bool{}}
	if err := os.Remove(filepath.Join(l.home, doorName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("record: %w", err)
	}
	err := atDoor(l.home, func(addr *net.UnixAddr) (err error) {
		d.l, err = net.ListenUnix("unix", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	d.l.SetUnlinkOnClose(false) // by then the next holder may have its own
	d.done.Go(d.serve)
	return d, nil
}

func (d *door) serve() {
	for {
		c, err := d.l.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // no descriptor is left; others wait
			continue
		}
		d.mu.Lock()
		if d.shut {
			c.Close()
		} else {
			d.conns[c] = true
			d.done.Go(func() { d.attend(c) })
		}
		d.mu.Unlock()
	}
}

// attend takes the records of one member until it or the door is closed.
func (d *door) attend(c *net.UnixConn) {
	defer func() {
		d.mu.Lock()
		delete(d.conns, c)
		d.mu.Unlock()
		c.Close()
	}()
	var writing sync.Mutex
	say := func(a answer) error {
		writing.Lock()
		defer writing.Unlock()
		_ = c.SetWriteDeadline(time.Now().Add(patience)) // a member that is stopped must not keep the holder
		return writeFrame(c, &a)
	}
	r := bufio.NewReader(c)
	var hello told
	if readFrame(r, &hello) != nil || say(answer{N: hello.N, Hello: talkVersion}) != nil || hello.Hello != talkVersion {
		return
	}
	d.log.adopt(hello.Open)
	var durable sync.WaitGroup
	defer durable.Wait()
	for {
		var t told
		if readFrame(r, &t) != nil || t.Record == nil {
			return
		}
		if t.Durable {
			durable.Go(func() { _ = say(d.take(&t)) }) // the disk is slow: others need not wait for it
			continue
		}
		if say(d.take(&t)) != nil {
			return
		}
	}
}

// take writes the record that a member gave.
func (d *door) take(t *told) answer {
	r := t.Record
	r.Durable, r.Body = t.Durable, t.Body
	a := answer{N: t.N}
	if err := d.log.take(r, t.Again); err != nil {
		a.Error = err.Error()
	}
	a.Seq = r.Seq
	if r.Outcome != nil {
		a.Commit = r.Outcome.Commit
	}
	return a
}

// close lets nobody in any more and waits for what is being written. The lock is
// still ours, so that the socket is, too.
func (d *door) close() {
	d.l.Close()
	os.Remove(filepath.Join(d.log.home, doorName))
	d.mu.Lock()
	d.shut = true
	for c := range d.conns {
		_ = c.CloseRead() // what was read is still answered
	}
	d.mu.Unlock()
	d.done.Wait()
}

// A peer is the connection to the process that holds the log.
type peer struct {
	c    *net.UnixConn
	over chan struct{} // closed when the connection has ended

	mu    sync.Mutex
	n     uint64
	wait  map[uint64]chan answer
	ended bool
}

// dialPeer connects to the holder of the log in home and tells it which calls are
// open.
func dialPeer(home string, open []call.ID) (*peer, error) {
	c, err := dialDoor(home)
	if err != nil {
		return nil, err
	}
	p := &peer{c: c, over: make(chan struct{}), wait: map[uint64]chan answer{}}
	var a answer
	_ = p.c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(p.c)
	if err = writeFrame(p.c, &told{Hello: talkVersion, Open: open}); err == nil {
		err = readFrame(r, &a)
	}
	if err == nil && a.Hello != talkVersion {
		err = errOtherVersion
	}
	if err != nil {
		p.c.Close()
		return nil, err
	}
	_ = p.c.SetDeadline(time.Time{})
	go p.listen(r)
	return p, nil
}

// listen hands out the answers until the connection ends.
func (p *peer) listen(r io.Reader) {
	defer close(p.over)
	for {
		var a answer
		if readFrame(r, &a) != nil {
			break
		}
		p.mu.Lock()
		w := p.wait[a.N]
		delete(p.wait, a.N)
		p.mu.Unlock()
		if w != nil {
			w <- a
		}
	}
	p.c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, w := range p.wait {
		close(w)
	}
	clear(p.wait)
}

func (p *peer) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// take implements writer.
func (p *peer) take(r *call.Record, again bool) error {
	a, err := p.ask(&told{Again: again, Durable: r.Durable, Body: r.Body, Record: r})
	switch {
	case err != nil:
		return err
	case a.Error != "":
		return errors.New(a.Error)
	}
	if r.Kind == call.Decided {
		r.Seq = a.Seq
	}
	if r.Outcome != nil && a.Commit != "" {
		r.Outcome.Commit = a.Commit
	}
	return nil
}

// ask sends t and waits for what the holder says to it.
func (p *peer) ask(t *told) (answer, error) {
	w := make(chan answer, 1)
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return answer{}, errGone
	}
	p.n++
	t.N = p.n
	b, err := frame(t)
	if err != nil {
		p.mu.Unlock()
		return answer{}, fmt.Errorf("record: %w", err)
	}
	p.wait[t.N] = w
	_ = p.c.SetWriteDeadline(time.Now().Add(patience))
	_, err = p.c.Write(b)
	p.mu.Unlock()
	if err != nil {
		p.c.Close() // half a frame may be written
		return answer{}, errGone
	}
	slow := time.NewTimer(patience)
	defer slow.Stop()
	select {
	case a, ok := <-w:
		if !ok {
			return a, errGone
		}
		return a, nil
	case <-slow.C:
		p.mu.Lock()
		delete(p.wait, t.N)
		p.mu.Unlock()
		return answer{}, fmt.Errorf("record: the process that holds the log did not answer for %s", patience)
	}
}

func (p *peer) close() {
	p.c.Close()
	<-p.over
}
