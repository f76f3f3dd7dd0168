package trust

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// stores rewrites each trust store of Java with ours in it.
func (m *maker) stores() {
	n := 0
	made := map[string]string{}
	for _, s := range m.host.find(javas, javaStores...) {
		name := m.host.inside(s)
		data, err := m.host.read(name, 0)
		if err != nil {
			m.note("%s cannot be read: %v: Java there will not trust outvet", name, err)
			continue
		}
		if made[string(data)] == "" {
			store, err := m.store(name, data)
			if err != nil {
				m.note("%s: %v: Java there will not trust outvet", name, err)
				continue
			}
			n++
			made[string(data)] = fmt.Sprintf("java-%d.jks", n)
			m.file(made[string(data)], store)
		}
		m.bind(made[string(data)], s)
	}
}

func (m *maker) store(name string, data []byte) ([]byte, error) {
	entries, err := readStore(data)
	if errors.Is(err, errEncrypted) {
		m.note("%s: %v: the system's roots are trusted there instead of its own", name, err)
		if entries, err = systemEntries(m.roots); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return cached(m.o.Cache, "jks", func() ([]byte, error) { return writeJKS(append(entries, m.added()...)), nil },
		data, m.roots, encode(m.ours))
}

// An entry is a trusted certificate under a name.
type entry struct {
	alias string
	cert  certificate
}

func (m *maker) added() []entry {
	var e []entry
	for i, c := range m.ours {
		e = append(e, entry{fmt.Sprintf("outvet-%d", i), c})
	}
	return e
}

func systemEntries(roots []byte) ([]entry, error) {
	certs, err := certificates(roots)
	if err != nil {
		return nil, fmt.Errorf("the system's bundle: %w", err)
	}
	var e []entry
	for i, c := range certs {
		e = append(e, entry{fmt.Sprintf("system-%d", i), c})
	}
	return e, nil
}

// readStore reads the trusted certificates of a store in the form JKS or, if
// it is not encrypted, PKCS #12.
func readStore(data []byte) ([]entry, error) {
	if len(data) >= 4 && binary.BigEndian.Uint32(data) == jksMagic {
		return readJKS(data)
	}
	return readP12(data)
}

const (
	jksMagic    = 0xfeedfeed
	jksPassword = "changeit" // known to all; it seals nothing
	jksTrusted  = 2
)

var errShort = errors.New("the trust store is cut off")

// A jks reads the fields of a store: big-endian, strings with a length of 16
// bits.
type jks struct {
	rest []byte
	err  error
}

func (j *jks) bytes(n int) []byte {
	if n < 0 || n > len(j.rest) {
		j.rest, j.err = nil, errShort
		return nil
	}
	b := j.rest[:n]
	j.rest = j.rest[n:]
	return b
}

func (j *jks) number(size int) int {
	n := 0
	for _, b := range j.bytes(size) {
		n = n<<8 | int(b)
	}
	return n
}

func (j *jks) text() string { return string(j.bytes(j.number(2))) }

func readJKS(data []byte) ([]entry, error) {
	j := &jks{rest: data}
	j.number(4)
	version := j.number(4)
	if version != 1 && version != 2 {
		return nil, fmt.Errorf("the trust store has the unknown version %d", version)
	}
	var all []entry
	cert := func() []byte {
		if version == 2 {
			j.text() // X.509
		}
		return j.bytes(j.number(4))
	}
	for n := j.number(4); n > 0 && j.err == nil; n-- {
		tag := j.number(4)
		alias := j.text()
		j.number(8) // date
		switch tag {
		case jksTrusted:
			all = append(all, entry{alias, cert()})
		case 1: // a key with its chain
			j.bytes(j.number(4))
			for c := j.number(4); c > 0 && j.err == nil; c-- {
				cert()
			}
		default:
			return nil, fmt.Errorf("the trust store has an entry of the unknown kind %d", tag)
		}
	}
	return all, j.err
}

// writeJKS writes a store of trusted certificates, whose names are made to
// differ.
func writeJKS(entries []entry) []byte {
	var b bytes.Buffer
	put := func(v any) { binary.Write(&b, binary.BigEndian, v) } // never fails on a Buffer
	text := func(s string) { put(uint16(len(s))); b.WriteString(s) }
	put([]uint32{jksMagic, 2, uint32(len(entries))})
	used := map[string]bool{}
	for i, e := range entries {
		if used[e.alias] || len(e.alias) > 1000 {
			e.alias = fmt.Sprintf("outvet-entry-%d", i)
		}
		used[e.alias] = true
		put(uint32(jksTrusted))
		text(e.alias)
		put(uint64(0))
		text("X.509")
		put(uint32(len(e.cert)))
		b.Write(e.cert)
	}
	h := sha1.New()
	for _, u := range utf16.Encode([]rune(jksPassword)) {
		h.Write([]byte{byte(u >> 8), byte(u)})
	}
	h.Write([]byte("Mighty Aphrodite")) // the form's own words
	h.Write(b.Bytes())
	return h.Sum(b.Bytes())
}
