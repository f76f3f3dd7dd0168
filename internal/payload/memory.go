package payload

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	le "encoding/binary"
	"sync"
)

// A Memory knows long strings of JSON bodies that were read before, among the
// same neighbours, and in which nothing was found: a conversation with a model
// is sent again with each message that is added to it. A body that is decoded
// with it has the same findings as without it. It is good for one set of
// inspectors, and safe for concurrent use. Nil remembers nothing.
//
// Strings are known by a keyed hash (GMAC) of which no bit gets out: whoever
// does not know the key, which is made at random, cannot make two that are taken
// for one. Their text is not kept.
type Memory struct {
	mac   cipher.AEAD
	reach int
	most  int // entries of a generation

	mu      sync.Mutex
	strings generations[stringFacts]
	cells   generations[cellFacts]
}

// A digest is a keyed hash.
type digest [16]byte

// stringFacts are what is known of a string by itself.
type stringFacts struct{ size int32 } // decoded

// cellFacts are what is known of a cell among its neighbours, beside that
// nothing was found in it.
type cellFacts struct{ quiet bool } // nothing is derived from what stands before its string

// entrySize is what an entry takes, roughly, of either kind.
const entrySize = 48

// NewMemory returns a Memory of at most size bytes. reach is how far, in bytes of
// text, what is found in a part may depend on what stands around that part.
func NewMemory(size, reach int) *Memory {
	if fips140.Enforced() {
		return nil // GCM without a nonce of its own is not allowed there
	}
	var key [16]byte
	_, _ = rand.Read(key[:]) // it never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil
	}
	mac, err := cipher.NewGCM(block)
	if err != nil {
		return nil
	}
	return &Memory{mac: mac, reach: reach, most: max(size/entrySize/4, 1)}
}

// A hasher hashes with the key of a memory, in a realm: as the nonce of the MAC the
// hash of its name is a key of its own.
type hasher struct {
	realm [12]byte
	sum   digest
}

func (h *hasher) begin(m *Memory, realm [2]string, buf []byte) []byte {
	h.realm = [12]byte{}
	buf = append(appendUint(buf[:0], len(realm[0])), realm[0]...)
	buf = append(buf, realm[1]...)
	d := h.hash(m, buf)
	copy(h.realm[:], d[:])
	return buf
}

func (h *hasher) hash(m *Memory, b []byte) digest {
	m.mac.Seal(h.sum[:0], h.realm[:], nil, b)
	return h.sum
}

// A generations is a map that forgets what was not asked for in a long time.
type generations[T any] struct{ young, old map[digest]T }

func (g *generations[T]) get(d digest, most int) (T, bool) {
	v, ok := g.young[d]
	if !ok {
		if v, ok = g.old[d]; ok {
			g.put(d, v, most)
		}
	}
	return v, ok
}

func (g *generations[T]) put(d digest, v T, most int) {
	if g.young == nil || len(g.young) >= most {
		g.young, g.old = make(map[digest]T), g.young
	}
	g.young[d] = v
}

// knowsString reports what is known of the string whose raw content has hash d.
func (m *Memory) knowsString(d digest) (stringFacts, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.strings.get(d, m.most)
}

func (m *Memory) knowsCell(d digest) (cellFacts, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cells.get(d, m.most)
}

// appendUint appends v to what is hashed.
func appendUint(b []byte, v int) []byte { return le.LittleEndian.AppendUint64(b, uint64(v)) }
