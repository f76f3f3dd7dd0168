package answer

import (
	"fmt"
	"net/http"
	"strings"
)

// gitService returns the service that git asks for with its POST, "" if it is
// none: of the answer to such a request git shows only what its protocol says.
func (q *question) gitService() string {
	if !strings.HasPrefix(q.agent, "git/") || q.r.Method != http.MethodPost {
		return ""
	}
	service, ok := strings.CutPrefix(q.kind, "application/x-git-")
	if service, ok2 := strings.CutSuffix(service, "-request"); ok && ok2 && (service == "upload-pack" || service == "receive-pack") {
		return service
	}
	return ""
}

// lineMax is what a line of the protocol may hold here; git's own bound is 65516.
const lineMax = 1000

// gitService answers a POST of fetch or push by a line of the pack protocol
// (gitprotocol-pack(5)), with success as its status: git shows nothing of another.
func gitService(q *question, m *message) speech {
	if !m.policy {
		return text(q, m)
	}
	said := m.line[:min(len(m.line), lineMax)]
	line := "ERR " + said + "\n" // shown as "remote error: …"
	if q.gitService() == "receive-pack" {
		line = "\x03" + said // the band of errors, shown as "remote: …"
	}
	return speech{status: http.StatusOK, kind: "application/x-git-" + q.gitService() + "-result",
		body: fmt.Appendf(nil, "%04x%s0000", 4+len(line), line)}
}
