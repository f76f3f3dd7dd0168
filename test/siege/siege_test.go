// Package siege attacks the real binary as a whole: hostile HTTP, servers and
// clients that break off anywhere, crashes, a full disk, a log that somebody
// changed, and a command line in the hands of a newcomer.
//
// What is known not to hold stands in open, with the reason; the suite passes
// with it, and fails when it begins to hold, so that the list is kept true.
package siege

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// open is what does not hold yet: name of the check, and why it matters.
var open = map[string]string{
	"answer/raw bytes in the target":                     "bytes beyond ASCII in a target go out as they are (RFC 3986 has none)",
	"hostile requests leave as strict HTTP/1.1":          "the same",
	"answer/chunk size with 0x":                          "a client's bad chunk is told as a fault of outvet, 403, not as 400",
	"answer/chunk size beyond":                           "the same",
	"answer/chunk extension with LF":                     "the same",
	"answer/chunk longer than said":                      "the same",
	"answer/CONNECT userinfo":                            "CONNECT a@host:443 is taken for a host of that name",
	"two requests after cl and te":                       "RFC 9112, 6.1: the connection must end after a request with both",
	"two requests after te and cl":                       "the same",
	"gone clients do not keep serve from ending":         "gate: a call whose client goes within a chunked body waits for ever, unrecorded",
	"a POST beside bodies that do not come":              "announced bytes take the memory of all sessions before they come",
	"slow client of ok.example":                          "250 ms after CONNECT a silent tunnel is taken for a raw connection and closed if that is not allowed",
	"slow client of no.example":                          "the same",
	"empty line before a request":                        "a request behind an empty line is relayed raw, past rules on method and path",
	"odd requests leave as strict HTTP/1.1":              "the same",
	"no secret in the record as caller.agent.value":      "User-Agent is recorded as the agent before anything is redacted",
	"no secret in the record as method":                  "a method may be any token, is not inspected and is recorded",
	"no secret in the record as host":                    "the host of a tunnel in which nothing was asked is not inspected",
	"no secret in the record as target":                  "the target of a tunnel repeats the host that is redacted beside it",
	"no secret leaves":                                   "names of header fields and methods are not inspected",
	"api/odd method":                                     "a check takes any text for a method",
	"no secret of a check in the record as session":      "what a check says of its caller is recorded as it is",
	"no secret of a check in the record as agent":        "the same",
	"no secret of a check in the record as session_type": "the same",
	"no secret of a check in the record as principal":    "the same",
	"no secret of a check in the record as purpose":      "the same",
	"no secret of a check in the record as tool":         "names and IDs of tool calls, which a model chooses, are recorded as they are",
	"no secret of a check in the record as call":         "the same",
	"json/policy schema":                                 "has no --json",
	"full output/--help":                                 "an error of writing help is not noticed",
}

// hold checks one promise. A promise in open may be broken.
func hold(t *testing.T, name string, ok bool, format string, args ...any) {
	t.Helper()
	why, isOpen := open[name]
	switch {
	case ok && isOpen:
		t.Errorf("%s holds now: take it out of open", name)
	case !ok && isOpen:
		t.Logf("open: %s: %s (%s)", name, fmt.Sprintf(format, args...), why)
	case !ok:
		t.Errorf("%s: %s", name, fmt.Sprintf(format, args...))
	}
}

// binary is where TestMain built outvet.
var binary string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "outvet-siege")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "outvet")
	cmd := exec.Command("go", "build", "-o", binary, "outvet/cmd/outvet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	return m.Run()
}
