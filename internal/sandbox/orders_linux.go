package sandbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// orders is what stage 1 is to do. They stand in a file in memory: the length of
// the JSON in eight bytes, the JSON, and then what the pieces hold.
type orders struct {
	Command []string
	Env     []string
	Dir     string
	User    int // the IDs that the command has, inside as for the kernel
	Group   int

	Files     Mode
	Workspace string
	Live      []string
	Home      string
	Hide      []string
	State     []string // all names of the state directory
	Pieces    []piece

	Watched []watched

	Terminal bool
	Own      [3]bool // the standard files that are to be a terminal of its own
	Rooted   bool    // what is written to the workspace is root's on the machine

	held   [][]byte // what the pieces hold, one after the other; some MB, so never copied
	length int      // of them all
}

// A watched directory is one of those that are the real ones, with what of it, by
// paths relative to it, is
type watched struct {
	Root      string
	Sockets   []string // covered
	Protected []string // made read-only
	Pinned    []string // kept from being renamed
}

// A piece is a file of the view that is put in the place of another one.
type piece struct {
	To   string
	From string `json:",omitempty"`
	At   int    `json:",omitempty"` // where in the held text
	Len  int    `json:",omitempty"`

	Write bool `json:",omitempty"`
	part  int  // of what is held, for who gives the orders
}

// hold adds content to what the orders hold, once.
func (o *orders) hold(to string, content []byte) {
	for _, p := range o.Pieces {
		if p.From == "" && p.Len == len(content) && p.Len > 0 && bytes.Equal(o.held[p.part], content) {
			o.Pieces = append(o.Pieces, piece{To: to, At: p.At, Len: p.Len, part: p.part})
			return
		}
	}
	o.Pieces = append(o.Pieces, piece{To: to, At: o.length, Len: len(content), part: len(o.held)})
	o.held = append(o.held, content)
	o.length += len(content)
}

// file writes the orders to a file in memory.
func (o *orders) file() (*os.File, error) {
	fd, err := unix.MemfdCreate("orders", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("sandbox: orders: %w", err)
	}
	f := os.NewFile(uintptr(fd), "orders")
	text, err := json.Marshal(o)
	if err == nil {
		_, err = f.Write(append(binary.BigEndian.AppendUint64(nil, uint64(len(text))), text...))
	}
	for _, part := range o.held {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("sandbox: orders: %w", err)
	}
	return f, nil
}

// content returns what a piece of read orders holds.
func (o *orders) content(p piece) []byte { return o.held[0][p.At : p.At+p.Len] }

// readOrders reads what file wrote.
func readOrders(f *os.File) (*orders, error) {
	i, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if i.Size() < 8 {
		return nil, errors.New("orders are cut off")
	}
	// some MB, of which each is read once; stage 1 keeps them until it ends
	all, err := unix.Mmap(int(f.Fd()), 0, int(i.Size()), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint64(all)
	all = all[8:]
	if n > uint64(len(all)) {
		return nil, errors.New("orders are cut off")
	}
	o := &orders{}
	if err := json.Unmarshal(all[:n], o); err != nil {
		return nil, err
	}
	o.held, o.length = [][]byte{all[n:]}, len(all[n:])
	for _, p := range o.Pieces {
		if p.At < 0 || p.Len < 0 || p.At > o.length || p.Len > o.length-p.At {
			return nil, fmt.Errorf("the piece for %q is cut off", p.To)
		}
	}
	return o, nil
}
