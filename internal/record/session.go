package record

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"outvet/call"
)

// maxSession is the longest name of a session in the log, in bytes.
const maxSession = 256

// longSession returns a name for a session whose own cannot stand in the log.
func longSession(s call.SessionID) call.SessionID {
	sum := sha256.Sum256([]byte(s))
	head := strings.ToValidUTF8(string(s[:min(len(s), 64)]), "\uFFFD")
	return call.SessionID(fmt.Sprintf("%s…%x", head, sum[:16]))
}

// seqsName is the file that holds the last sequence number of every session at
// some size of the tree, so that Open need not read the whole log. It is no
// evidence: when it is missing, damaged or from elsewhere, the log is read.
const seqsName = "sessions"

// seqsEvery is how many entries may follow the file before it is written anew.
const seqsEvery = 1 << 16

type seqsFile struct {
	Size     int64                     `json:"size"`
	Sessions map[call.SessionID]uint64 `json:"sessions"`
}

func (f *seqsFile) bytes() ([]byte, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%x\n%s\n", sha256.Sum256(b), b), nil
}

// readSeqs returns the kept numbers, or empty ones at size 0.
func readSeqs(s Storage) *seqsFile {
	empty := &seqsFile{Sessions: map[call.SessionID]uint64{}}
	b, err := s.Get(seqsName)
	if err != nil {
		return empty
	}
	sum, rest, _ := strings.Cut(string(b), "\n")
	rest = strings.TrimSuffix(rest, "\n")
	if sum != fmt.Sprintf("%x", sha256.Sum256([]byte(rest))) {
		return empty
	}
	f := &seqsFile{}
	if json.Unmarshal([]byte(rest), f) != nil || f.Size < 0 || f.Sessions == nil {
		return empty
	}
	return f
}

// loadSeqs finds the last sequence number of every session in a log of size
// entries, all of them in bundles. It reports how many it had to read.
func loadSeqs(s Storage, size int64) (seqs map[call.SessionID]uint64, read int64, err error) {
	f := readSeqs(s)
	if f.Size > size {
		f = &seqsFile{Sessions: map[call.SessionID]uint64{}}
	}
	var facts factReader
	for i := f.Size; i < size; {
		n := i / tileWidth
		list, err := readBundle(s, n, int(min(tileWidth, size-n*tileWidth)))
		if err != nil {
			return nil, 0, err
		}
		for _, e := range list[i%tileWidth:] {
			x, err := facts.read(e)
			if err != nil {
				return nil, 0, &Damage{Index: i, File: tilePath(entries, n, tileWidth), What: err.Error()}
			}
			if x.kind == call.Decided {
				f.Sessions[call.SessionID(strings.Clone(string(x.session)))] = x.seq
			}
			i++
		}
	}
	return f.Sessions, size - f.Size, nil
}

// saveSeqs writes the numbers, once the entries that they count are on disk.
func (l *Log) saveSeqs() error {
	l.mu.Lock()
	f := seqsFile{Size: l.seg.next, Sessions: maps.Clone(l.seqs)}
	l.mu.Unlock()
	if err := l.sync(f.Size); err != nil {
		return err
	}
	b, err := f.bytes()
	if err == nil {
		err = l.feed.store.Put(File{seqsName, b})
	}
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
