package answer

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"outvet/call"
)

// A message is what is to be said, whatever the dialect. Its strings are
// printable; only phrase is sure to be ASCII.
type message struct {
	id        call.ID
	policy    bool // said by policy, not by the network
	status    int  // where the dialect has no other
	title     string
	line      string // all of it in one line: MSG of the dialects
	detail    string
	phrase    string
	code      string
	rule      string
	errorType string // of RFC 9209
	retry     bool
	findings  []string
}

// Bounds of what is quoted, in bytes.
const (
	phraseMax = 120
	reasonMax = 600
	hostMax   = 80
	pathMax   = 120
	ruleMax   = 80
)

func refusal(d *call.Decision, c *call.Call) message {
	m := message{id: c.ID, policy: true, status: http.StatusForbidden, title: "Blocked by egress policy",
		code: clean(codeOf(d), ruleMax), rule: clean(d.Rule, ruleMax), errorType: "http_request_denied", findings: kinds(d.Findings)}
	why := sentence(d, c)
	id := m.id.Short()
	switch m.code {
	case "approval_pending":
		m.title = "Waiting for approval"
		m.detail = fmt.Sprintf("This request was not sent: %s. Nobody can be asked yet; repeating it will give the same result. Id %s.",
			strings.TrimSuffix(why, "."), id)
		m.line = m.detail
	case "approval_refused":
		m.detail = fmt.Sprintf("Declined by reviewer: %q. Id %s.", why, id)
		m.line = "Blocked by egress policy. " + m.detail
	case "approval_expired":
		m.detail = "Nobody decided in time; the request was not sent. Id " + id + "."
		m.line = "Blocked by egress policy. " + m.detail
	case "fault":
		m.errorType = "proxy_internal_error"
		m.detail = strings.TrimSuffix(why, ".") + ". Id " + id + "."
		m.line = "Blocked by egress policy: " + m.detail
	default:
		m.detail = fmt.Sprintf("This request was not sent. %s. Retrying or using another tool, DNS or proxy will give the same result. Id %s.",
			strings.TrimSuffix(why, "."), id)
		m.line = fmt.Sprintf("Blocked by egress policy: %s (rule %s). Not retryable. Id %s.", strings.TrimSuffix(short(d, c, why), "."), m.rule, id)
	}
	m.phrase = phrase(m.title, gist(m.code, c), id)
	return m
}

// codeOf returns the code of a refusal, also where policy gave none.
func codeOf(d *call.Decision) string {
	switch {
	case d.Code != "":
		return d.Code
	case d.Verdict == call.Hold:
		return "approval_pending"
	case d.Rule == call.RuleQuarantine:
		return "quarantined"
	case d.Rule == call.RuleKill:
		return "killed"
	case d.Rule == call.RuleFault:
		return "fault"
	}
	return "destination_not_allowed"
}

// sentence returns why the call was refused, for the detail.
func sentence(d *call.Decision, c *call.Call) string {
	if d.Reason == "" {
		return fmt.Sprintf("Policy does not allow %s to %s in this session", clean(c.Op.Method, 20), clean(c.Dest.Host, hostMax))
	}
	return clean(d.Reason, reasonMax)
}

// short returns the same for the one line of the dialects, where the request
// is named too: programs print the line without its context.
func short(d *call.Decision, c *call.Call, why string) string {
	what := clean(c.Op.Method, 20) + " " + clean(c.Dest.Host, hostMax)
	if len(d.Findings) == 0 { // else the path may hold what was found
		what += clean(c.Op.Target, pathMax)
	}
	if d.Reason == "" || d.Rule == call.RuleDefault {
		return what + " is not allowed in this session"
	}
	return what + ": " + why
}

// gist is the heart of the reason phrase.
func gist(code string, c *call.Call) string {
	call := ascii(clean(c.Op.Method, 20) + " " + clean(c.Dest.Host, hostMax))
	switch code {
	case "secret_found":
		return "secret found in " + call
	case "personal_data_found":
		return "personal data found in " + call
	case "quarantined":
		return "this session is quarantined"
	case "killed":
		return "a person stopped all calls"
	case "fault":
		return "outvet could not inspect " + call
	case "approval_pending":
		return call
	case "approval_refused":
		return call + " declined by reviewer"
	}
	return call + " not allowed"
}

// phrase joins the parts of a reason phrase and keeps it within its bound.
func phrase(title, gist, id string) string {
	tail := ""
	if id != "" {
		tail = " (id " + id + ")"
	}
	return cut(ascii(title+": "+gist), phraseMax-len(tail)) + tail
}

func trouble(p Problem, c *call.Call) message {
	m := message{status: p.Status, title: clean(p.Title, reasonMax), code: clean(p.Code, ruleMax), errorType: p.Error, retry: p.Retry}
	detail := strings.TrimSuffix(clean(p.Detail, reasonMax), ".")
	m.detail = detail + "."
	id := ""
	if c != nil {
		m.id = c.ID
		id = m.id.Short()
		m.detail += " Id " + id + "."
	}
	m.line = m.title + ": " + m.detail
	m.phrase = phrase(m.title, detail, id)
	return m
}

// kinds returns the kinds found, each once, in order.
func kinds(found []call.Finding) []string {
	var out []string
	for i := range found {
		if k := clean(found[i].Kind, ruleMax); !slices.Contains(out, k) && len(out) < 16 {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// proxyStatus returns the value of the field Proxy-Status.
func (m *message) proxyStatus() string {
	s := "outvet"
	if m.errorType != "" {
		s += "; error=" + m.errorType
	}
	var details string
	if m.policy {
		details = "rule=" + m.rule + " id=" + m.id.Short()
	} else if m.id != "" {
		details = "id=" + m.id.Short()
	}
	if details != "" {
		s += "; details=" + quoted(details)
	}
	return s
}
