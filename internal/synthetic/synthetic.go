// Package synthetic gives names stand-in addresses. In a sealed sandbox nothing
// is looked up before policy admitted the connection to it: the resolver there
// answers every name with an address of its own making, and when a connection
// to that address comes, the table says which name was meant.
//
// # Addresses
//
// 198.18.0.1 to 198.19.255.0 (within RFC 2544's block for benchmarks) and
// 2001:2::/48 (RFC 5180's) with the IPv4 number in the low 32 bits. No public
// service has them and package forward never dials them.
//
// # Laws
//
//  1. Never a wrong name. An address stands for one name at a time. Once its
//     name had to go it stands for none, and for another one only after it has
//     not been used for Rest and all other addresses have had their turn.
//  2. Bounded. At most Size names are kept, each as long as a name may be. What
//     was not used the longest goes first, but nothing that was used within Rest:
//     then Assign fails, since a client may still hold the address. A use is an
//     Assign or a Name. Who floods a table spoils it for itself alone, so each
//     sandbox has its own.
//  3. A hit costs no allocation (TestAHitAllocatesNothing).
package synthetic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// The IPv4 stand-ins as numbers, both inclusive.
const (
	first = 198<<24 | 18<<16 | 1
	last  = 198<<24 | 19<<16 | 255<<8
	all   = last - first + 1
)

const (
	// SizeDefault is how many names a table keeps if not told.
	SizeDefault = 16384
	// RestDefault is how long a name is kept after its last use, if not told. It
	// is longer than clients keep addresses in spite of a time to live of 1 s.
	RestDefault = 10 * time.Minute

	nameMax = 253 // bytes of a name (RFC 1035 §2.3.4)
)

var block6 = netip.MustParsePrefix("2001:2::/48")

// ErrFull says that there is no address for a further name yet: all are in use.
var ErrFull = errors.New("synthetic: every address that may stand for a name is in use")

// Is reports whether a stands, or could stand, for a name.
func Is(a netip.Addr) bool {
	a = a.Unmap()
	if a.Is4() {
		n := number(a)
		return first <= n && n <= last
	}
	return block6.Contains(a)
}

// A Table is which address stands for which name. The zero Table is ready. Its
// methods are safe for concurrent use.
type Table struct {
	Size int           // most names; 0 for SizeDefault
	Rest time.Duration // that a name is kept after its last use; 0 for RestDefault

	// mu keeps the two maps and the order of use in step.
	mu      sync.Mutex
	entries []entry
	byName  map[string]int32
	byAddr  map[uint32]int32
	newest  int32
	oldest  int32
	next    uint32 // offset of the address whose turn it is
}

// An entry is one name. The entries form a ring by their last use.
type entry struct {
	name         string
	addr         uint32 // offset to first
	used         time.Time
	newer, older int32
}

// Assign returns the addresses that stand for name, which is canonical. They are
// those of before as long as the table knows the name.
func (t *Table) Assign(name string) (v4, v6 netip.Addr, err error) {
	if name == "" || len(name) > nameMax {
		return v4, v6, fmt.Errorf("synthetic: %.40q is no name", name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	i, ok := t.byName[name]
	if ok {
		t.touch(i, now)
	} else if i, err = t.add(name, now); err != nil {
		return v4, v6, err
	}
	v4, v6 = addrs(t.entries[i].addr)
	return v4, v6, nil
}

// Name returns the name that a stands for.
func (t *Table) Name(a netip.Addr) (string, bool) {
	n, ok := offset(a.Unmap())
	if !ok {
		return "", false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := t.byAddr[n]
	if !ok {
		return "", false
	}
	t.touch(i, time.Now())
	return t.entries[i].name, true
}

// Len returns how many names the table knows.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

func (t *Table) size() int {
	if t.Size <= 0 {
		return SizeDefault
	}
	return min(t.Size, all/2) // so that an address rests while others have their turn
}

func (t *Table) rest() time.Duration {
	if t.Rest <= 0 {
		return RestDefault
	}
	return t.Rest
}

// add gives a new name the address whose turn it is, and where the table is full
// the entry of the name that was not used the longest.
func (t *Table) add(name string, now time.Time) (int32, error) {
	if t.byName == nil {
		t.byName, t.byAddr = map[string]int32{}, map[uint32]int32{}
	}
	var i int32
	if len(t.entries) < t.size() {
		i = int32(len(t.entries))
		t.entries = append(t.entries, entry{newer: i, older: i})
		if i > 0 {
			t.link(i)
		}
	} else {
		i = t.oldest
		old := &t.entries[i]
		if now.Sub(old.used) < t.rest() {
			return 0, ErrFull
		}
		delete(t.byName, old.name)
		delete(t.byAddr, old.addr)
	}
	for { // at most half of the addresses are taken
		if _, taken := t.byAddr[t.next]; !taken {
			break
		}
		t.turn()
	}
	e := &t.entries[i]
	e.name, e.addr = strings.Clone(name), t.next
	t.byName[e.name], t.byAddr[e.addr] = i, i
	t.turn()
	t.touch(i, now)
	return i, nil
}

func (t *Table) turn() { t.next = (t.next + 1) % all }

// touch makes i the newest.
func (t *Table) touch(i int32, now time.Time) {
	t.entries[i].used = now
	if i == t.newest {
		return
	}
	e := &t.entries[i]
	if i == t.oldest {
		t.oldest = e.newer
	}
	t.entries[e.newer].older, t.entries[e.older].newer = e.older, e.newer
	t.link(i)
}

// link puts i, which is in no ring, before the newest.
func (t *Table) link(i int32) {
	e := &t.entries[i]
	e.older, e.newer = t.newest, t.oldest
	t.entries[t.newest].newer, t.entries[t.oldest].older = i, i
	t.newest = i
}

func addrs(offset uint32) (v4, v6 netip.Addr) {
	var b [16]byte
	p := block6.Addr().As16()
	copy(b[:], p[:6])
	binary.BigEndian.PutUint32(b[12:], first+offset)
	return netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom16(b)
}

// offset returns the place of an address among those that stand for names.
func offset(a netip.Addr) (uint32, bool) {
	if !Is(a) || a.Zone() != "" {
		return 0, false
	}
	n := number(a)
	if a.Is6() {
		b := a.As16()
		if [6]byte(b[6:12]) != [6]byte{} {
			return 0, false
		}
		n = binary.BigEndian.Uint32(b[12:])
	}
	if n < first || n > last {
		return 0, false
	}
	return n - first, true
}

func number(a netip.Addr) uint32 {
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}
