package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

	held []byte
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
}

// hold adds content to what the orders hold, once.
func (o *orders) hold(to string, content []byte) {
	for _, p := range o.Pieces {
		if p.From == "" && p.Len == len(content) && p.Len > 0 && string(o.held[p.At:p.At+p.Len]) == string(content) {
			o.Pieces = append(o.Pieces, piece{To: to, At: p.At, Len: p.Len})
			return
		}
	}
	o.Pieces = append(o.Pieces, piece{To: to, At: len(o.held), Len: len(content)})
	o.held = append(o.held, content...)
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
	if err == nil {
		_, err = f.Write(o.held)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("sandbox: orders: %w", err)
	}
	return f, nil
}

// readOrders reads what file wrote.
func readOrders(f *os.File) (*orders, error) {
	all, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil {
		return nil, err
	}
	if len(all) < 8 {
		return nil, errors.New("orders are cut off")
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
	o.held = all[n:]
	for _, p := range o.Pieces {
		if p.At < 0 || p.Len < 0 || p.At > len(o.held) || p.Len > len(o.held)-p.At {
			return nil, fmt.Errorf("the piece for %q is cut off", p.To)
		}
	}
	return o, nil
}
