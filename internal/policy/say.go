package policy

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"outvet/call"
)

// sentence returns what agent and user are told. It never says how to change
// the policy, and it repeats nothing of the call that could itself be what
// must not be told: a host is shortened where its labels look like data.
func (e *eval) sentence(v voice, code, own string) string {
	var b strings.Builder
	what, to := e.what(), e.where()
	switch {
	case v.verdict == call.Hold:
		b.WriteString("Policy lets a person decide about " + what + " to " + to + ".")
	case code == codeQuarantined:
		b.WriteString("Policy stops this session because of " + what + " to " + to + ".")
	case v.why == whyUninspected:
		b.WriteString("Policy does not allow " + what + " to " + to + " because a part of it could not be inspected as a whole.")
	case v.why == whyFinding:
		b.WriteString("Policy does not allow " + what + " to " + to + " because it contains " + plainKind(v.kind) + ".")
	case code == codeTool:
		b.WriteString("Policy does not allow this tool call in this session.")
	default:
		b.WriteString("Policy does not allow " + what + " to " + to + " in this session.")
	}
	if own != "" {
		b.WriteString(" " + own)
	}
	return b.String()
}

// what names the act: the method if it is an ordinary word.
func (e *eval) what() string {
	m := e.c.Op.Method
	if m == "" || len(m) > 20 {
		return "a request"
	}
	for _, c := range []byte(m) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '/' && c != '_' && c != '-' {
			return "a request"
		}
	}
	return m
}

// where names the host.
func (e *eval) where() string {
	if e.host == "" {
		return "this destination"
	}
	for i := range e.d.Findings {
		if p := e.d.Findings[i].Part; p == "host" || strings.HasPrefix(p, "host/") {
			return "this destination"
		}
	}
	if e.addr.IsValid() || ordinaryHost(e.host) {
		return e.host
	}
	if name, err := publicsuffix.EffectiveTLDPlusOne(e.host); err == nil && ordinaryHost(name) {
		return "a name below " + name
	}
	return "this destination"
}

// ordinaryHost reports whether a name looks like words, not like data that is
// carried in it.
func ordinaryHost(host string) bool {
	if len(host) > 80 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		digits := 0
		for _, c := range []byte(label) {
			if '0' <= c && c <= '9' {
				digits++
			}
		}
		if len(label) > 24 || len(label) >= 12 && digits >= 3 && strings.Count(label, "-") < 2 {
			return false
		}
	}
	return true
}

// plainKind says a kind of finding in words.
func plainKind(kind string) string {
	segment, rest, _ := strings.Cut(kind, "/")
	switch segment {
	case "secret", "credential":
		return "a " + segment + " (" + rest + ")"
	case "personal":
		return "personal data (" + rest + ")"
	case "dns":
		if rest == "doh" {
			return "DNS over HTTPS"
		}
		return "what names of hosts should not carry (" + rest + ")"
	}
	return "what it must not (" + kind + ")"
}
