package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"
)

// lines gives f each line of r that is not empty, and returns the length of all.
func lines(r io.Reader, f func([]byte)) (int64, error) {
	in := bufio.NewReaderSize(r, 8<<10)
	n := int64(0)
	for {
		line, err := in.ReadSlice('\n')
		n += int64(len(line))
		if len(line) > 1 {
			f(line)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// A Stream is what came of one event stream.
type Stream struct {
	Events int
	Whole  bool // it ended with its last event
	First  time.Duration
	Delays []float64 // from the origin's write to our read, in microseconds
}

// Event is the n-th event of a stream, sent at t. The time is that of this
// machine: origin and client stand on it.
func Event(n int, t time.Time) []byte {
	return fmt.Appendf(nil, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word%d\"}}],\"t\":%d}\n\n", n, t.UnixNano())
}

// LastEvent ends a stream, as model providers do.
const LastEvent = "data: [DONE]\n\n"

// Stream sends the request and reads its answer as an event stream.
func (c *Client) Stream() (Stream, error) {
	var s Stream
	start := time.Now()
	c.event = func(line []byte) {
		now := time.Now()
		if bytes.HasPrefix(line, []byte("data: [DONE]")) {
			s.Whole = true
			return
		}
		_, rest, ok := bytes.Cut(line, []byte(`"t":`))
		end := bytes.IndexByte(rest, '}')
		if !ok || end < 0 {
			return
		}
		sent, err := strconv.ParseInt(string(rest[:end]), 10, 64)
		if err != nil {
			return
		}
		if s.Events == 0 {
			s.First = now.Sub(start)
		}
		s.Events++
		s.Delays = append(s.Delays, Micros(time.Duration(now.UnixNano()-sent)))
	}
	defer func() { c.event = nil }()
	err := c.Do()
	return s, err
}
