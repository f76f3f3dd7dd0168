package proxy

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"outvet/call"
	"outvet/internal/agent"
)

// nameMax bounds the name of a session and of an agent, in bytes.
const nameMax = 128

// callerAt says who calls from the address peer and names its session name, ""
// for none.
func callerAt(peer, name string) call.Caller {
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = host
	}
	who := call.Caller{Session: call.SessionID(peer), SessionMark: call.Observed}
	if name != "" {
		who.Session, who.SessionMark, who.Parent = call.SessionID(name), call.Claimed, who.Session
	}
	return who
}

// session returns the user name of Basic credentials, "" if there is none that
// can name a session. An address cannot: it names what was observed.
func session(field string) string {
	scheme, cred, _ := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, "basic") {
		return ""
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(cred))
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(string(b), ":")
	return sessionName(name)
}

// sessionName returns name if it can name a session, or "".
func sessionName(name string) string {
	if _, err := netip.ParseAddr(name); err == nil || len(name) > nameMax || !printable(name) {
		return ""
	}
	return name
}

// claims sets what the header of a request says of its agent, if nobody saw which
// it is, and of the session in which that is.
func claims(who *call.Caller, h http.Header) {
	product := said(h)
	if who.Agent.Mark == call.Claimed {
		who.Agent = product
	}
	if s := agent.ByProduct(product.Value).Session(h); s != "" && len(s) <= nameMax && printable(s) {
		who.Conversation = call.Attr{Value: s}
	}
}

// said returns what the request says its program is: the product of its
// User-Agent, or the Originator that Codex names itself by.
func said(h http.Header) call.Attr {
	name := h.Get("Originator")
	if name == "" {
		name, _, _ = strings.Cut(h.Get("User-Agent"), " ")
	}
	if len(name) > nameMax || !printable(name) {
		return call.Attr{}
	}
	return call.Attr{Value: name}
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
