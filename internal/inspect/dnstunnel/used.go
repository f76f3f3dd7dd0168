package dnstunnel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
)

const (
	usedMax    = 200_000 // names
	usedRecord = 16      // bytes: hash of the name, hash of its domain
	usedBuffer = 64 * usedRecord
)

// used are the names of unknown domains that any session has used: choosing
// among them says little. Names are kept as keyed hashes, in a file that only
// grows and ends where it is full. What a crash leaves unwritten is learnt again.
// The zero used knows nothing and learns nothing.
type used struct {
	// mu guards all below.
	mu      sync.Mutex
	mac     hash.Hash
	sum     []byte
	names   map[uint64]struct{}
	domains map[uint64]uint32 // how many names
	f       *os.File          // nil for memory alone
	pending []byte
	fault   error
}

func openUsed(path string, key []byte) (*used, error) {
	u := &used{mac: hmac.New(sha256.New, key), names: map[uint64]struct{}{}, domains: map[uint64]uint32{}}
	if path == "" {
		return u, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) // others may append, too
	if err != nil {
		return nil, fmt.Errorf("dnstunnel: %w", err)
	}
	if i, err := f.Stat(); err != nil || !i.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("dnstunnel: %s is no file", path), err, f.Close())
	}
	u.f = f
	u.mu.Lock() // whoever asks waits
	go func() {
		defer u.mu.Unlock()
		u.fault = u.read()
	}()
	return u, nil
}

// read reads the file. mu is held.
func (u *used) read() error {
	b, err := io.ReadAll(io.LimitReader(u.f, usedMax*usedRecord))
	if err != nil {
		return fmt.Errorf("dnstunnel: %s: %w", u.f.Name(), err)
	}
	whole := len(b) / usedRecord * usedRecord // a crash may have left a part
	for r := b[:whole]; len(r) > 0; r = r[usedRecord:] {
		u.add(binary.BigEndian.Uint64(r), binary.BigEndian.Uint64(r[8:]))
	}
	if whole < len(b) {
		return u.f.Truncate(int64(whole))
	}
	return nil
}

func (u *used) add(name, domain uint64) bool {
	if _, known := u.names[name]; known || len(u.names) >= usedMax {
		return false
	}
	u.names[name] = struct{}{}
	u.domains[domain]++
	return true
}

// keyed returns the hash of s that the file has.
func (u *used) keyed(s string) uint64 {
	u.mac.Reset()
	io.WriteString(u.mac, s)
	u.sum = u.mac.Sum(u.sum[:0])
	return binary.BigEndian.Uint64(u.sum)
}

// A mark is a name and its domain as the file knows them.
type mark struct{ name, domain uint64 }

// mark returns the mark of name.
func (u *used) mark(name, domain string) mark {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mac == nil {
		return mark{}
	}
	return mark{u.keyed(name), u.keyed(domain)}
}

// price returns what it says at most to use a name, if another session used it:
// the choice among the names of its domain.
func (u *used) price(m mark) bits {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.names[m.name]; !known {
		return bitsMax
	}
	return log2(int(u.domains[m.domain])) + bit
}

// learn notes that a session has used a name.
func (u *used) learn(m mark) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mac == nil || !u.add(m.name, m.domain) || u.f == nil {
		return
	}
	u.pending = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(u.pending, m.name), m.domain)
	if len(u.pending) >= usedBuffer {
		u.write()
	}
}

// write writes what is pending. A fault costs what was learnt, and nothing else:
// the first is told by close.
func (u *used) write() {
	if _, err := u.f.Write(u.pending); err != nil && u.fault == nil {
		u.fault = fmt.Errorf("dnstunnel: names that sessions have used were not kept: %w", err)
	}
	u.pending = u.pending[:0]
}

func (u *used) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.f == nil {
		return nil
	}
	u.write()
	err := errors.Join(u.fault, u.f.Close())
	u.f = nil
	return err
}
