package proxy

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowClientsAreLetGo gives clients that stop within a handshake, or before
// their first byte, as long as the head of a request may take.
func TestSlowClientsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		s.start.Do(s.setUp)
		for _, begin := range []string{"", "\x05", "\x05\x02\x00", "\x05\x01\x00\x05\x01\x00\x03\x09a.exa"} {
			client, server := net.Pipe()
			start := time.Now()
			s.slots <- struct{}{}
			go func() { s.follow(s.serveFront(server, nil, nil), nil) }()
			go func() {
				for i := range begin {
					io.WriteString(client, begin[i:i+1])
					time.Sleep(headTime / 20)
				}
			}()
			if b, err := io.ReadAll(client); err != nil || len(b) > 2 {
				t.Errorf("%q was answered with %q, %v", begin, b, err)
			}
			if d := time.Since(start); d > idleTime+headTime {
				t.Errorf("%q was waited for %v", begin, d)
			}
			client.Close()
			synctest.Wait()
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
