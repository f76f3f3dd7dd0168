package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

func TestChatIsJSONOfTheSizeAsked(t *testing.T) {
	for _, size := range []int{1 << 10, 4 << 10, 64 << 10, 1 << 20} {
		b := Chat(size)
		if len(b) != size || !json.Valid(b) {
			t.Errorf("%d bytes were asked, %d came, valid %v", size, len(b), json.Valid(b))
		}
		if !bytes.Equal(b, Chat(size)) {
			t.Errorf("%d bytes are not the same each time", size)
		}
	}
	if n := len(Reply()); n < 1100 || n > 1300 || !json.Valid(Reply()) {
		t.Errorf("the reply has %d bytes", n)
	}
}

func TestConversationKeepsWhatWasSaid(t *testing.T) {
	c := NewConversation(5, 20_000)
	before := c.Body()
	for _, n := range []int{4 << 10, 700, 64 << 10} {
		c.Grow(n)
		after := c.Body()
		if len(after) != len(before)+n || !json.Valid(after) {
			t.Fatalf("grew by %d instead of %d, valid %v", len(after)-len(before), n, json.Valid(after))
		}
		if same := len(before) - len(ending); !bytes.Equal(after[:same], before[:same]) {
			t.Fatal("what was said before has changed")
		}
		before = after
	}
	if other := NewConversation(6, 20_000).Body(); bytes.Equal(other, NewConversation(5, 20_000).Body()) {
		t.Error("two conversations are the same")
	}
}

func TestMedianAndPercentiles(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3}
	for p, want := range map[float64]float64{0: 1, 50: 3, 75: 4, 90: 4.6, 100: 5} {
		if got := Percentile(v, p); math.Abs(got-want) > 1e-9 {
			t.Errorf("p%v is %v, want %v", p, got, want)
		}
	}
	if v[0] != 5 {
		t.Error("the values were sorted in place")
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("nothing has a median")
	}
}

// A round in which the whole machine was ten times slower must not count.
func TestComparisonsAreTakenInsideTheRound(t *testing.T) {
	var r Rounds
	for _, slow := range []float64{1, 10, 1, 10, 10} {
		r = append(r, []Sample{
			{N: 1, CPU: 30 * slow, Latencies: []float64{150 + 1000*slow, 140 + 1000*slow, math.NaN()}},
			{N: 1, CPU: 20 * slow, Latencies: []float64{100 + 1000*slow, 100 + 1000*slow, 7}},
		})
	}
	if got := Median(r.Ratios(0, 1, CPU)); got != 1.5 {
		t.Errorf("the ratio is %v, want 1.5", got)
	}
	if p0, p100 := r.Added(0, 1, 0), r.Added(0, 1, 100); p0 != 40 || p100 != 50 {
		t.Errorf("added %v to %v, want 40 to 50", p0, p100)
	}
}

func TestFailuresAreCountedAndNamed(t *testing.T) {
	r := Rounds{{{N: 3}, {N: 3, Errors: 1, Err: errors.New("cut")}}}
	err := r.Err([]Contender{{Route: Route{Name: "a"}}, {Route: Route{Name: "b"}}})
	if err == nil || !strings.Contains(err.Error(), "b: 1 of 3") || !strings.Contains(err.Error(), "cut") {
		t.Errorf("the error says %v", err)
	}
}

// read gives answer to a client.
func read(answer string) (*Client, error) {
	c := &Client{job: Job{Method: "POST", Path: "/", Body: []byte("12345")}, sink: make([]byte, 64), in: bufio.NewReader(strings.NewReader(answer))}
	_, err := c.answer()
	return c, err
}

func TestClientTakesWholeAnswersOnly(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, x := range map[string]struct {
		answer string
		length int64 // -1: an error
	}{
		"length":               {ok + "Content-Length: 5\r\n\r\nhello", 5},
		"short":                {ok + "Content-Length: 5\r\n\r\nhell", -1},
		"chunks":               {ok + "transfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 5},
		"chunks with trailer":  {ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", 3},
		"chunks cut":           {ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", -1},
		"chunks without end":   {ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", -1},
		"until the end":        {ok + "\r\nhello", 5},
		"refused":              {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", -1},
		"origin read less":     {ok + "X-Body-Len: 4\r\nContent-Length: 0\r\n\r\n", -1},
		"origin read all":      {ok + "X-Body-Len: 5\r\nContent-Length: 0\r\n\r\n", 0},
		"no answer":            {"", -1},
		"a status of no digit": {"HTTP/1.1 abc\r\n\r\n", -1},
	} {
		c, err := read(x.answer)
		if (err != nil) != (x.length < 0) || err == nil && c.Length != x.length {
			t.Errorf("%s: %d bytes, %v; want %d", name, c.Length, err, x.length)
		}
	}
}

// FuzzAnswer holds the client against net/http: what both take whole has the
// same length.
func FuzzAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n")
	f.Add("HTTP/1.1 200 OK\r\n\r\nhello")
	f.Fuzz(func(t *testing.T, answer string) {
		c, err := read(answer)
		if err != nil {
			return
		}
		req, _ := http.NewRequest("POST", "http://x/", nil)
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), req)
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if err == nil && n != c.Length {
			t.Errorf("%d bytes, net/http reads %d", c.Length, n)
		}
	})
}
