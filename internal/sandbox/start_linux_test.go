package sandbox

import (
	"context"
	"os"
	"os/exec"
	"testing"
)

// BenchmarkStart is what a command waits for, beside what it costs to start this
// program at all.
func BenchmarkStart(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command("/proc/self/exe", "-test.run=^$")
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, m := range []Mode{Overlay, Strict, Open} {
		b.Run(string(m), func(b *testing.B) {
			p := newPlace(b, callers[0])
			for b.Loop() {
				s, err := Run(context.Background(), Config{Command: []string{"true"}, Env: os.Environ(), Workspace: p.workspace, State: p.state, Files: m})
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Go(); err != nil {
					b.Fatal(err)
				}
				if e, err := s.Wait(); err != nil || e.Code != 0 {
					b.Fatal(e, err)
				}
				s.Close()
			}
		})
	}
}
