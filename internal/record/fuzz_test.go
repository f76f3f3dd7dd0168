package record

import (
	"bytes"
	"encoding/json"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func FuzzFrames(f *testing.F) {
	whole := appendSegmentHead(nil, 7, 42)
	chain := uint32(42)
	for _, e := range []string{"{}", "", `{"kind":"start"}`} {
		whole, chain = appendFrame(whole, []byte(e), chain)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, chain, err := readSegmentHead(b)
		if err != nil {
			return
		}
		// Whatever is read is written the same.
		again := appendSegmentHead(nil, first, chain)
		rest := b[segmentHead:]
		for {
			entry, n, next, err := nextFrame(rest, chain)
			if err != nil {
				if err == errShort && len(rest) >= frameHead+maxEntry {
					t.Fatal("short, with all there can be")
				}
				break
			}
			again, chain = appendFrame(again, entry, chain)
			if chain != next {
				t.Fatal("chain")
			}
			rest = rest[n:]
		}
		if !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatal("not the same bytes")
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add(appendBundle(appendBundle(nil, []byte("{}")), nil))
	f.Add([]byte{0, 5, 1})
	f.Add(make([]byte, 600))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := splitBundle(b)
		var again []byte
		for _, e := range list {
			again = appendBundle(again, e)
		}
		if len(list) > tileWidth || !bytes.HasPrefix(b, again) || err == nil && len(again) != len(b) {
			t.Fatal(len(list), err)
		}
	})
}

func FuzzHistory(f *testing.F) {
	private, public, err := newKey("example.com/log")
	if err != nil {
		f.Fatal(err)
	}
	signer, _ := note.NewSigner(private)
	k := &key{signer, public}
	a, _ := k.sign(1, [32]byte{1})
	b, _ := k.sign(2, [32]byte{2})
	f.Add(bytes.Join([][]byte{a.raw, b.raw, nil}, []byte("\n")))
	f.Add(a.raw)
	v, _ := note.NewVerifier(public)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, rest, err := splitHistory(b)
		if err != nil {
			return
		}
		var again []byte
		for i := range list {
			list[i].check(v)
			again = append(append(again, list[i].raw...), '\n')
		}
		if !bytes.Equal(append(again, rest...), b) {
			t.Fatal("not the same bytes")
		}
	})
}

func FuzzProof(f *testing.F) {
	private, public, err := newKey("example.com/log")
	if err != nil {
		f.Fatal(err)
	}
	signer, _ := note.NewSigner(private)
	k := &key{signer, public}
	var tr tree
	tr.append(leafHash([]byte("\x00{}")), nil)
	c, _ := k.sign(1, tr.root())
	good := append([]byte(proofHeader+"\nextra e30=\nindex 0\n\n"), c.raw...)
	if err := VerifyProof(good, nil, public); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if err != nil {
			return
		}
		// Nothing else is proved than what was signed.
		if p.Verify(nil, public) == nil && string(p.Entry) != "{}" {
			t.Fatalf("%q", p.Entry)
		}
	})
}

func FuzzFacts(f *testing.F) {
	f.Add([]byte(`{"caller":{"session":"s"},"id":"x","kind":"decided","seq":3,"time":"2026-11-20T10:00:00Z"}`))
	f.Add([]byte(`{"kind":"\u0061","kind":1}`))
	f.Add([]byte(`[1` + "\x1f"))
	var r factReader
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := r.read(b)
		if err != nil {
			return
		}
		var v struct {
			Kind, ID string
			Seq      uint64
			Caller   struct{ Session string }
		}
		if !json.Valid(b) {
			t.Fatalf("%q is no JSON", b)
		}
		if json.Unmarshal(b, &v) == nil && bytes.Count(bytes.ToLower(b), []byte(`kind`)) == 1 && !bytes.Contains(b, []byte(`\`)) && string(x.kind) != v.Kind {
			t.Fatalf("%q: kind %q, %q", b, x.kind, v.Kind)
		}
	})
}
