package operate

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scrape returns what /metrics says to a collector that has the token in a file.
func scrape(t *testing.T, s *served, state string) string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(state, "token"))
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("GET", "http://"+s.Console+"/metrics", nil)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s %v %s", res.Status, err, b)
	}
	return string(b)
}

func TestMetricsTellWhatHappened(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := start{state: state, args: newOrigin(t, ok).args()}.serve(t)
	c := client(t, s.Proxy, state)
	post := func(agent, body string) {
		req, _ := http.NewRequest("POST", "https://example.com/x", strings.NewReader(body))
		req.Header.Set("User-Agent", agent)
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	for range 3 {
		post("claude-cli/2.1 (external, cli)", "hello, here is some text")
	}
	post("made-up-"+state, "AKIA"+"IOSFODNN7EXAMPLE is a key")
	distrust(t, s.Proxy)
	eventually(t, "all is counted", func() bool {
		text := scrape(t, s, state)
		for _, want := range []string{
			`outvet_decisions_total{agent="claude",rule="default",verdict="allow"} 3`,
			`outvet_decisions_total{agent="unknown",rule="no secrets out",verdict="block"} 1`,
			`outvet_request_duration_seconds_count{phase="upstream"} 3`,
			`outvet_tls_distrust_total{client="curl"} 1`,
			"outvet_record_lag_entries 0\n", "outvet_calls_open 0\n", "outvet_killed 0\n",
		} {
			if !strings.Contains(text, want) {
				return false
			}
		}
		return regexp.MustCompile(`(?m)^outvet_inspect_bytes_total [1-9]`).MatchString(text)
	})
	text := scrape(t, s, state)
	for _, never := range []string{"example.com", "made-up", state} {
		if strings.Contains(text, never) {
			t.Errorf("the metrics say %q", never)
		}
	}
	// What is documented is there.
	doc, err := os.ReadFile("../../doc/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(outvet_[a-z_]+)").FindAllStringSubmatch(string(doc), -1)
	for _, m := range names {
		if !strings.Contains(text, "# TYPE "+m[1]+" ") {
			t.Errorf("doc/operating.md names %s, which there is not", m[1])
		}
	}
	if len(names) < 9 {
		t.Errorf("doc/operating.md names %d metrics", len(names))
	}
	s.signal(t, syscall.SIGTERM, 20*time.Second)
}

func TestMetricsWantTheTokenUnlessTheyAreOpen(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want int
	}{{nil, 401}, {[]string{"--metrics-open"}, 200}} {
		s := start{state: filepath.Join(t.TempDir(), "state"), args: tc.args}.serve(t)
		res, err := http.Get("http://" + s.Console + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != tc.want {
			t.Errorf("%v: %s", tc.args, res.Status)
		}
	}
}
