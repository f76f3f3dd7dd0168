package record

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A segment of the write-ahead log begins with a head and goes on with frames.
//
//	head:  "outvetW1" | uint64 index of the first entry | uint32 chain before it | uint32 CRC of the 20 bytes
//	frame: uint16 length | uint16 length inverted | uint32 chain | entry
//
// Numbers are big-endian, CRCs are CRC-32C. The chain of a frame is the CRC of
// the chain before it, the length and the entry: a frame that is changed,
// removed, doubled or moved breaks it. The length stands twice, so that a
// damaged length is not taken for a frame that was cut off.
const (
	segmentMagic = "outvetW1"
	segmentHead  = len(segmentMagic) + 8 + 4 + 4
	frameHead    = 2 + 2 + 4
)

var (
	errShort   = errors.New("incomplete") // the bytes end within the frame
	errDamaged = errors.New("damaged")
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // computed once by crc32

// appendFrame appends the frame of an entry.
func appendFrame(b, entry []byte, chain uint32) ([]byte, uint32) {
	start := len(b)
	b = append(b, make([]byte, frameHead)...)
	b = append(b, entry...)
	return b, sealFrame(b[start:], chain)
}

// sealFrame fills in the head of a frame whose entry is in place and returns
// its chain.
func sealFrame(b []byte, chain uint32) uint32 {
	n := uint16(len(b) - frameHead)
	binary.BigEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], ^n)
	chain = chainOf(b[:2], b[frameHead:], chain)
	binary.BigEndian.PutUint32(b[4:], chain)
	return chain
}

func chainOf(length, entry []byte, chain uint32) uint32 {
	t := castagnoli()
	return crc32.Update(crc32.Update(chain, t, length), t, entry)
}

// nextFrame returns the first entry of b, which aliases b, how many bytes its
// frame has, and its chain. The error is errShort if b ends within the frame
// and errDamaged if the frame is not what was written after chain.
func nextFrame(b []byte, chain uint32) (entry []byte, n int, next uint32, err error) {
	if len(b) < frameHead {
		return nil, 0, 0, errShort
	}
	size := binary.BigEndian.Uint16(b)
	if binary.BigEndian.Uint16(b[2:]) != ^size {
		return nil, 0, 0, errDamaged
	}
	n = frameHead + int(size)
	if len(b) < n {
		return nil, 0, 0, errShort
	}
	entry = b[frameHead:n:n]
	next = chainOf(b[:2], entry, chain)
	if next != binary.BigEndian.Uint32(b[4:]) {
		return nil, 0, 0, errDamaged
	}
	return entry, n, next, nil
}

// appendSegmentHead appends the head of a segment whose first entry has index
// first and follows chain.
func appendSegmentHead(b []byte, first int64, chain uint32) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.BigEndian.AppendUint64(b, uint64(first))
	b = binary.BigEndian.AppendUint32(b, chain)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
}

// readSegmentHead is the inverse of appendSegmentHead.
func readSegmentHead(b []byte) (first int64, chain uint32, err error) {
	if len(b) < segmentHead {
		return 0, 0, errShort
	}
	b = b[:segmentHead]
	sum := len(b) - 4
	if string(b[:len(segmentMagic)]) != segmentMagic || crc32.Checksum(b[:sum], castagnoli()) != binary.BigEndian.Uint32(b[sum:]) {
		return 0, 0, errDamaged
	}
	first = int64(binary.BigEndian.Uint64(b[len(segmentMagic):]))
	if first < 0 {
		return 0, 0, errDamaged
	}
	return first, binary.BigEndian.Uint32(b[len(segmentMagic)+8:]), nil
}
