package dns

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// Numbers of the protocol (RFC 1035, 6891, 8914).
const (
	headLen  = 12
	nameMax  = 255 // bytes of a name on the wire
	classIN  = 1
	optType  = 41
	edeBlock = 15 // Blocked
	edeOther = 0

	sizeLeast = 512  // of an answer over UDP that any client takes
	sizeMost  = 1232 // of ours
)

// An rcode is the outcome that an answer tells.
type rcode uint8

const (
	noError  rcode = 0
	formErr  rcode = 1
	servFail rcode = 2
	nxDomain rcode = 3
	notImp   rcode = 4
	refused  rcode = 5
	badVers  rcode = 16 // EDNS; its upper bits stand in OPT
)

// A question is what one message asks.
type question struct {
	id    uint16
	raw   []byte // name, type and class as they came; "" if there is none
	name  string // lower case, without the root's dot; "." for the root; bytes that no host has as \DDD
	plain bool   // name has letters, digits, - and _ only
	kind  uint16
	class uint16
	rd    bool
	edns  bool // the client understands OPT
	size  int  // bytes of an answer over UDP that it takes
	do    bool
}

var errIgnore = errors.New("not a query")

// parse reads a message. A malformed one gives the code to answer it with;
// errIgnore says that it gets no answer at all, as what answers would do.
// buf is scratch for the name.
func parse(b []byte, buf []byte) (q question, code rcode, err error) {
	if len(b) < headLen || b[2]&0x80 != 0 {
		return q, 0, errIgnore
	}
	q.id, q.rd, q.size = binary.BigEndian.Uint16(b), b[2]&1 != 0, sizeLeast
	if b[2]>>3&0xf != 0 {
		return q, notImp, nil
	}
	counts := [4]uint16{}
	for i := range counts {
		counts[i] = binary.BigEndian.Uint16(b[4+2*i:])
	}
	if b[2]&2 != 0 || counts[0] != 1 || counts[1] != 0 || counts[2] != 0 || counts[3] > 1 {
		return q, formErr, nil
	}
	end, ok := q.readName(b, buf)
	if !ok || end+4 > len(b) {
		return q, formErr, nil
	}
	q.kind, q.class = binary.BigEndian.Uint16(b[end:]), binary.BigEndian.Uint16(b[end+2:])
	end += 4
	raw := b[headLen:end]
	if counts[3] == 1 {
		if end, code, ok = q.readOPT(b, end); !ok {
			return q, code, nil
		}
	}
	if end != len(b) {
		return q, formErr, nil
	}
	q.raw = raw
	return q, noError, nil
}

// readName reads the name at the beginning of the question section.
func (q *question) readName(b, buf []byte) (end int, ok bool) {
	out := buf[:0]
	q.plain = true
	for i := headLen; i < len(b) && i-headLen < nameMax; {
		n := int(b[i])
		i++
		switch {
		case n == 0:
			if len(out) == 0 {
				out, q.plain = append(out, '.'), false
			} else {
				out = out[:len(out)-1]
			}
			q.name = string(out)
			return i, i-headLen <= nameMax
		case n > 63 || i+n > len(b): // a pointer would point into the head
			return 0, false
		}
		for _, c := range b[i : i+n] {
			switch {
			case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
				out = append(out, c)
			case 'A' <= c && c <= 'Z':
				out = append(out, c|0x20)
			default:
				q.plain = false
				out = append(out, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			}
		}
		out = append(out, '.')
		i += n
	}
	return 0, false
}

// readOPT reads the one additional record that a query may have.
func (q *question) readOPT(b []byte, at int) (end int, code rcode, ok bool) {
	if at+11 > len(b) || b[at] != 0 || binary.BigEndian.Uint16(b[at+1:]) != optType {
		return 0, formErr, false
	}
	q.edns = true
	q.size = min(max(int(binary.BigEndian.Uint16(b[at+3:])), sizeLeast), sizeMost)
	q.do = b[at+7]&0x80 != 0
	end = at + 11 + int(binary.BigEndian.Uint16(b[at+9:]))
	if end > len(b) {
		return 0, formErr, false
	}
	for o := at + 11; o < end; { // options are not used, but must be well formed
		if o+4 > end {
			return 0, formErr, false
		}
		o += 4 + int(binary.BigEndian.Uint16(b[o+2:]))
		if o > end {
			return 0, formErr, false
		}
	}
	if b[at+6] != 0 {
		return 0, badVers, false
	}
	return end, noError, true
}

// kinds are the names of types that rules and records use; others are TYPEn
// (RFC 3597).
var kinds = map[uint16]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 24: "SIG", 25: "KEY",
	28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG",
	47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 52: "TLSA", 53: "SMIMEA", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 64: "SVCB", 65: "HTTPS", 99: "SPF",
	249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 253: "MAILB", 254: "MAILA", 255: "ANY", 256: "URI", 257: "CAA",
}

func kindOf(n uint16) string {
	if s := kinds[n]; s != "" {
		return s
	}
	return "TYPE" + strconv.Itoa(int(n))
}

// A draft is an answer that is being written.
type draft struct {
	b    []byte
	q    *question
	room int // bytes it may have
}

// begin writes head and question of an answer to q of at most room bytes.
func begin(q *question, code rcode, room int) *draft {
	a := &draft{q: q, room: room, b: make([]byte, headLen, 128+len(q.raw))}
	binary.BigEndian.PutUint16(a.b, q.id)
	a.b[2], a.b[3] = 0x80, 0x80|byte(code&0xf)
	if q.rd {
		a.b[2] |= 1
	}
	if len(q.raw) > 0 {
		a.b[5] = 1
		a.b = append(a.b, q.raw...)
	}
	return a
}

// record adds a record of the name and type that were asked for.
func (a *draft) record(ttl uint32, data []byte) {
	a.b[7]++
	a.b = append(a.b, 0xc0, headLen)
	a.b = binary.BigEndian.AppendUint16(a.b, a.q.kind)
	a.b = binary.BigEndian.AppendUint16(a.b, classIN)
	a.b = binary.BigEndian.AppendUint32(a.b, ttl)
	a.b = binary.BigEndian.AppendUint16(a.b, uint16(len(data)))
	a.b = append(a.b, data...)
}

// finish adds what EDNS has, if the client understands it: the upper bits of code,
// and with text an extended error that says it, as far as there is room.
func (a *draft) finish(code rcode, ede uint16, text string) []byte {
	if !a.q.edns {
		return a.b
	}
	a.b[11]++
	a.b = append(a.b, 0, 0, optType)
	a.b = binary.BigEndian.AppendUint16(a.b, sizeMost)
	flags := byte(0)
	if a.q.do {
		flags = 0x80
	}
	a.b = append(a.b, byte(code>>4), 0, flags, 0)
	if text = text[:min(len(text), max(a.room-len(a.b)-8, 0))]; text == "" {
		return append(a.b, 0, 0)
	}
	a.b = binary.BigEndian.AppendUint16(a.b, uint16(6+len(text)))
	a.b = binary.BigEndian.AppendUint16(a.b, 15) // extended error
	a.b = binary.BigEndian.AppendUint16(a.b, uint16(2+len(text)))
	a.b = binary.BigEndian.AppendUint16(a.b, ede)
	return append(a.b, text...)
}
