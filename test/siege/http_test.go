package siege

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An exchange is what came back for raw bytes.
type exchange struct {
	status []int // of the answers, 1xx left out
	bodies []string
	closed bool // the connection ended, else it was left idle
	rest   []byte
}

// send writes raw bytes to addr and reads answers until the connection ends, or
// nothing comes for patience, or an eighth of it once something has come.
func send(t *testing.T, addr string, raw []byte, patience time.Duration) exchange {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return talk(c, raw, patience)
}

func talk(c net.Conn, raw []byte, patience time.Duration) exchange {
	go c.Write(raw)
	var all bytes.Buffer
	var x exchange
	buf := make([]byte, 32<<10)
	for {
		wait := patience
		if all.Len() > 0 {
			wait = patience / 8
		}
		c.SetReadDeadline(time.Now().Add(wait))
		n, err := c.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			ne, ok := err.(net.Error)
			x.closed = !(ok && ne.Timeout())
			break
		}
		if all.Len() > 1<<20 {
			break
		}
	}
	r := bufio.NewReader(&all)
	method := "GET"
	if bytes.HasPrefix(raw, []byte("HEAD")) {
		method = "HEAD"
	}
	for {
		if _, err := r.Peek(1); err != nil {
			return x
		}
		left := r.Buffered()
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			x.rest = []byte(fmt.Sprintf("%d bytes: %v", left, err))
			return x
		}
		b, _ := io.ReadAll(res.Body)
		if res.StatusCode >= 200 {
			x.status = append(x.status, res.StatusCode)
			x.bodies = append(x.bodies, string(b))
		}
	}
}

// connect opens a tunnel.
func connect(proxy, hostport string) (net.Conn, error) {
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", hostport, hostport)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	head := make([]byte, 0, 256)
	one := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err = c.Read(one); err != nil {
			break
		}
		head = append(head, one[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		c.Close()
		return nil, fmt.Errorf("CONNECT %s: %w after %q", hostport, err, head)
	}
	c.SetReadDeadline(time.Time{})
	return c, nil
}

// hostile are requests to the proxy port. H stands for the host, which is
// another for each, so that what comes of it can be told apart. Every one may
// lead to at most one request at the origin.
var hostile = []struct {
	name, raw string
	want      []int // of one of these statuses is the first answer; 0: none but the end
	origin    int   // requests that arrive
}{
	{"plain", "GET http://H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 1},
	{"cl and te", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET http://H/smuggled HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"te and cl", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\nGET http://H/smuggled HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"two lengths that differ", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: 1\r\nContent-Length: 5\r\n\r\nabcde", []int{400}, 0},
	{"two lengths that agree", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", []int{400}, 0},
	{"length with a plus", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: +5\r\n\r\nabcde", []int{400}, 0},
	{"length in a list", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: 5, 5\r\n\r\nabcde", []int{400}, 0},
	{"length negative", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: -5\r\n\r\nabcde", []int{400}, 0},
	{"length beyond 64 bit", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: 18446744073709551620\r\n\r\nabcde", []int{400}, 0},
	{"length empty", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: \r\n\r\nabcde", []int{400}, 0},
	{"te xchunked", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", []int{400, 501}, 0},
	{"te with tab", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", []int{400, 501, 200}, -1},
	{"te with vertical tab", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", []int{400, 501}, 0},
	{"te twice", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", []int{400, 501}, 0},
	{"te identity and cl", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", []int{400, 501}, 0},
	{"te chunked, gzip", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", []int{400, 501}, 0},
	{"te in HTTP/1.0", "POST http://H/x HTTP/1.0\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}, 0},
	{"space before colon", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", []int{400}, 0},
	{"space before the first field", "POST http://H/x HTTP/1.1\r\n Host: H\r\n\r\n", []int{400}, 0},
	{"folded field", "POST http://H/x HTTP/1.1\r\nHost: H\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", []int{400}, 0},
	{"folded coding", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", []int{400}, 0},
	{"bare LF", "GET http://H/x HTTP/1.1\nHost: H\n\n", []int{400}, 0},
	{"bare CR in a field", "GET http://H/x HTTP/1.1\r\nHost: H\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n", []int{400}, 0},
	{"NUL in a field", "GET http://H/x HTTP/1.1\r\nHost: H\r\nX: a\x00b\r\n\r\n", []int{400}, 0},
	{"NUL in a name", "GET http://H/x HTTP/1.1\r\nHost: H\r\nX\x00: ab\r\n\r\n", []int{400}, 0},
	{"NUL in the target", "GET http://H/x\x00y HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"raw bytes in the target", "GET http://H/x\xffy HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"no colon", "GET http://H/x HTTP/1.1\r\nHost: H\r\nnonsense\r\n\r\n", []int{400}, 0},
	{"chunk size with junk", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n", []int{200, 400}, -1},
	{"chunk size with 0x", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", []int{400}, 0},
	{"chunk size beyond", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n", []int{400}, 0},
	{"chunk extension with LF", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n3;\nxx\r\nabc\r\n0\r\n\r\n", []int{400}, 0},
	{"chunk longer than said", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", []int{400}, 0},
	{"trailer", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n", []int{200}, 1},
	{"trailer that frames", "POST http://H/x HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 7\r\n\r\n", []int{400}, 0},
	{"no host", "GET http://H/x HTTP/1.1\r\n\r\n", []int{400}, 0},
	{"two hosts", "GET http://H/x HTTP/1.1\r\nHost: H\r\nHost: evil.example\r\n\r\n", []int{400}, 0},
	{"host of another", "GET http://H/x HTTP/1.1\r\nHost: blocked.example\r\n\r\n", []int{421}, 0},
	{"CONNECT with a host of another", "CONNECT H:443 HTTP/1.1\r\nHost: blocked.example\r\n\r\n", []int{421}, 0},
	{"origin form", "GET /x HTTP/1.1\r\nHost: H\r\n\r\n", []int{200, 400}, 0},
	{"userinfo", "GET http://blocked.example@H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"port 0", "GET http://H:0/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"port 65616", "GET http://H:65616/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"port letters", "GET http://H:8x/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"port empty", "GET http://H:/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{200, 400}, -1},
	{"trailing dot of the blocked", "GET http://blocked.example./x HTTP/1.1\r\nHost: blocked.example.\r\n\r\n", []int{403}, 0},
	{"capitals of the blocked", "GET http://BLOCKED.Example/x HTTP/1.1\r\nHost: blocked.example\r\n\r\n", []int{403}, 0},
	{"full width of the blocked", "GET http://ｂlocked.example/x HTTP/1.1\r\nHost: blocked.example\r\n\r\n", []int{403, 400}, 0},
	{"percent of the blocked", "GET http://%62locked.example/x HTTP/1.1\r\nHost: blocked.example\r\n\r\n", []int{403, 400}, 0},
	{"two trailing dots", "GET http://blocked.example../x HTTP/1.1\r\nHost: blocked.example\r\n\r\n", []int{403, 400}, 0},
	{"zone", "GET http://[fe80::1%25eth0]/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{403, 400}, 0},
	{"backslash", "GET http://H\\@blocked.example/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"ftp", "GET ftp://H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"two spaces", "GET  http://H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"space in the target", "GET http://H/x y HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"space in the method", "G ET http://H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"bad method", "G(T http://H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"unknown method", "FROB http://H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 1},
	{"method in lower case", "get http://H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{200, 400}, -1},
	{"trace", "TRACE http://H/x HTTP/1.1\r\nHost: H\r\nX-Key: 1\r\n\r\n", []int{200, 403, 405}, -1},
	{"options star", "OPTIONS * HTTP/1.1\r\nHost: H\r\n\r\n", []int{200, 400}, 0},
	{"options of a host", "OPTIONS http://H HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 1},
	{"head", "HEAD http://H/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 1},
	{"HTTP/1.0", "GET http://H/x HTTP/1.0\r\n\r\n", []int{200}, 1},
	{"HTTP/0.9", "GET http://H/x\r\n\r\n", []int{400}, 0},
	{"HTTP/1.2", "GET http://H/x HTTP/1.2\r\nHost: H\r\n\r\n", []int{505}, 0},
	{"HTTP/2.0 in text", "GET http://H/x HTTP/2.0\r\nHost: H\r\n\r\n", []int{400, 505}, 0},
	{"h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", []int{400, 505}, 0},
	{"TLS to the port", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", []int{0, 400}, 0},
	{"junk", "\x00\x01\x02\x03\r\n\r\n", []int{0, 400}, 0},
	{"head too large", "GET http://H/x HTTP/1.1\r\nHost: H\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", []int{431, 0}, 0},
	{"ten thousand fields", "GET http://H/x HTTP/1.1\r\nHost: H\r\n" + strings.Repeat("X: y\r\n", 10000) + "\r\n", []int{431, 200}, -1},
	{"line too long", "GET http://H/" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: H\r\n\r\n", []int{414, 431, 0}, 0},
	{"upgrade to a WebSocket", "GET http://H/x HTTP/1.1\r\nHost: H\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", []int{200}, 1},
	{"upgrade to h2c", "GET http://H/x HTTP/1.1\r\nHost: H\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", []int{200}, 1},
	{"expect nonsense", "POST http://H/x HTTP/1.1\r\nHost: H\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\na", []int{417, 200}, -1},
	{"expect continue", "POST http://H/x HTTP/1.1\r\nHost: H\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", []int{200}, 1},
	{"connection names host", "GET http://H/x HTTP/1.1\r\nHost: H\r\nConnection: Host, X-A\r\nX-A: 1\r\n\r\n", []int{200, 400}, -1},
	{"connection names length", "POST http://H/x HTTP/1.1\r\nHost: H\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabc", []int{200, 400}, -1},
	{"max-forwards", "GET http://H/x HTTP/1.1\r\nHost: H\r\nMax-Forwards: 0\r\n\r\n", []int{200}, 1},
	{"fragment", "GET http://H/x#y HTTP/1.1\r\nHost: H\r\n\r\n", []int{200, 400}, -1},
	{"empty path with query", "GET http://H?a=b HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 1},
	{"double slash", "GET http://H//blocked.example/x HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 1},
	{"dot segments", "GET http://H/a/../b/%2e%2e/c HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 1},
	{"bad percent", "GET http://H/%zz HTTP/1.1\r\nHost: H\r\n\r\n", []int{400, 200}, -1},
	{"field name with LF in percent", "GET http://H/%0d%0aX:y HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 1},
	{"CONNECT nothing", "CONNECT  HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT without port", "CONNECT H HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT port 0", "CONNECT H:0 HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT absolute", "CONNECT http://H/ HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT userinfo", "CONNECT a@H:443 HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT path", "CONNECT /H:443 HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT spaces", "CONNECT H :443 HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT zone", "CONNECT [fe80::1%25lo]:443 HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT with a body", "CONNECT H:80 HTTP/1.1\r\nHost: H:80\r\nContent-Length: 4\r\n\r\nabcdGET / HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"CONNECT in chunks", "CONNECT H:80 HTTP/1.1\r\nHost: H:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: H\r\n\r\n", []int{400}, 0},
	{"pipelined", "GET http://H/1 HTTP/1.1\r\nHost: H\r\n\r\nGET http://H/2 HTTP/1.1\r\nHost: H\r\n\r\n", []int{200}, 2},
	{"pipelined after a block", "GET http://blocked.example/1 HTTP/1.1\r\nHost: blocked.example\r\n\r\nGET http://H/2 HTTP/1.1\r\nHost: H\r\n\r\n", []int{403}, -1},
	{"blocked body is no request", "POST http://blocked.example/1 HTTP/1.1\r\nHost: blocked.example\r\nContent-Length: 43\r\n\r\nGET http://H/smuggled HTTP/1.1\r\nHost: H\r\n\r\n", []int{403}, 0},
	{"GET with body", "GET http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: 4\r\n\r\nabcd", []int{200}, 1},
	{"body shorter than said", "POST http://H/x HTTP/1.1\r\nHost: H\r\nContent-Length: 40\r\n\r\nabcd", []int{0, 400}, 0},
}

var placeholder = regexp.MustCompile(`\bH\b`)

func TestHostileRequestsReachNobody(t *testing.T) {
	t.Parallel()
	dir := newState(t, allowing)
	web := newStrict(t)
	s := serve(t, dir, to("", "80", web.port)...)
	answers := make([]exchange, len(hostile))
	each(len(hostile), func(i int) {
		raw := placeholder.ReplaceAllString(hostile[i].raw, fmt.Sprintf("h%d.example", i))
		answers[i] = send(t, s.Proxy, []byte(raw), 6*time.Second)
	})
	s.alive()
	s.stop()
	by := calls(t, dir, "")
	for i, h := range hostile {
		host := fmt.Sprintf("h%d.example", i)
		x, got := answers[i], web.of(host)
		first := 0
		if len(x.status) > 0 {
			first = x.status[0]
		}
		hold(t, "answer/"+h.name, slices.Contains(h.want, first), "answered %v %.200q closed=%v rest=%s, want one of %v", x.status, x.bodies, x.closed, x.rest, h.want)
		if h.origin >= 0 {
			hold(t, "arrives/"+h.name, len(got) == h.origin, "%d requests arrived: %v", len(got), got)
		}
		hold(t, "records/"+h.name, len(by[host]) >= len(got), "%d requests arrived, %d calls recorded", len(got), len(by[host]))
		if h.name != "pipelined" {
			hold(t, "two requests after "+h.name, len(got) < 2, "%d requests arrived: %v", len(got), got)
		}
		if h.origin > 0 || slices.Equal(h.want, []int{200}) {
			hold(t, "bodies/"+h.name, len(x.bodies) > 0, "no answer")
		}
	}
	if got := web.of("blocked.example"); len(got) > 0 {
		t.Errorf("the blocked host got %v", got)
	}
	hold(t, "hostile requests leave as strict HTTP/1.1", len(web.faults) == 0, "%q", web.faults)
	paired(t, dir)
	verified(t, dir)
}

// each runs f for 0 to n-1, some at a time.
func each(n int, f func(int)) {
	var all sync.WaitGroup
	next := make(chan int)
	for range min(n, 16) {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}
