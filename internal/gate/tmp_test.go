package gate
import ("testing";"os";"strings";"io";"outvet/call")
func BenchmarkReal(b *testing.B) {
	for _, n := range []string{"4k","64k","1m"} {
		raw, err := os.ReadFile("/tmp/bench/corpus/chat-"+n+".json"); if err!=nil { b.Skip(err) }
		body := string(raw)
		b.Run(n, func(b *testing.B){
			g, log := newGate(b, strings.Replace(rulesText, "default: block", "default: allow", 1), inspectors(b))
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				c, m := request(b, "POST", "https://ok.example/v1/messages", strings.NewReader(body), int64(len(body)))
				p := g.Open(b.Context(), c, m)
				if p.Verdict != call.Allow { b.Fatal(p.Reason) }
				io.Copy(io.Discard, m.Body)
				p.Close(call.Outcome{Status: 200})
				log.rs = log.rs[:0]
			}
		})
	}
}
