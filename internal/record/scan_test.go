package record

import (
	"testing"
	"time"

	"outvet/call"
)

func FuzzScannerAgreesWithTheDecoder(f *testing.F) {
	d := decided("s", 1)
	d.Seq, d.Target = 7, "/ü \"quoted\"\n"
	for _, r := range []*call.Record{d, closing(d), {Kind: call.Started, Time: time.Now(), Note: "x"}} {
		f.Add(appendRecord(nil, r))
	}
	for _, s := range []string{
		`{"kind":"start"}`, `{"kind":"start","kind":"stop"}`, `{"kind":"start"} `, `{"kind":"a","x":{"a":1,"a":2}}`,
		`{"id":"\u0041","kind":"start"}`, `{"kind":"x","n":-0.5}`, `{"kind":"x","n":01}`, `{"kind":"x","n":-}`, `{"kind":"x","n":1.}`,
		`{"kind":"x","seq":-0}`, `{"kind":"x","seq":1.5}`, `{"kind":"x","time":"2026-11-20T10:00:00,5Z"}`, "{\"kind\":\"x\xff\"}",
		`{"caller":{},"kind":"x"}`, `{"caller":null,"kind":"x"}`, `{"kind":"x","l":[[],{},[1,"a",true,null]]}`, `{}`, `{"kind":""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s scanner
		fast, ok := s.read(b)
		if !ok {
			return
		}
		var r factReader
		slow, err := r.decode(b)
		if err != nil || !fast.time.Equal(slow.time) {
			t.Fatalf("%q: taken as %+v, the decoder says %v, %+v", b, fast, err, slow)
		}
		fast.time, slow.time = time.Time{}, time.Time{}
		if fast != slow {
			t.Fatalf("%q: %+v, want %+v", b, fast, slow)
		}
	})
}

func TestScannerTakesWhatIsWritten(t *testing.T) {
	d := decided("s", 1)
	d.Seq, d.Target = 7, "/ü \"quoted\"\n"
	for _, r := range []*call.Record{d, closing(d), {Kind: call.Stopped, Time: time.Now().UTC()}} {
		var s scanner
		f, ok := s.read(appendRecord(nil, r))
		if !ok || f.kind != r.Kind || f.id != r.ID || f.seq != r.Seq || f.session != r.Caller.Session || !f.time.Equal(r.Time) {
			t.Errorf("%v %+v", ok, f)
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	entry := appendRecord(nil, decided("s", 1))
	var r factReader
	for _, x := range []struct {
		name string
		read func([]byte) (facts, error)
	}{{"scanner", r.read}, {"decoder", r.decode}} {
		b.Run(x.name, func(b *testing.B) {
			b.SetBytes(int64(len(entry)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.read(entry); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
