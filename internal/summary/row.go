package summary

import (
	"strings"

	"outvet/call"
	"outvet/internal/agent"
)

// A Kind says how a person sees the calls of a row.
type Kind string

// The kinds of rows.
const (
	Model     Kind = "model"
	Telemetry Kind = "telemetry"
	Git       Kind = "git"
	Packages  Kind = "packages"
	Names     Kind = "dns"
	Tunnel    Kind = "tunnel"
	Other     Kind = "other"
)

// A Row is the calls to one destination, by one chain of programs, with one
// verdict.
type Row struct {
	Kind        Kind         `json:"kind"`
	Destination string       `json:"destination"`
	Host        string       `json:"host,omitempty"` // of the first call
	Category    string       `json:"category,omitempty"`
	Calls       int          `json:"calls"`
	Up          int64        `json:"up"`
	Down        int64        `json:"down"`
	By          string       `json:"by,omitempty"`
	ByMark      call.Mark    `json:"by_mark"`
	Verdict     call.Verdict `json:"verdict"` // as decided
	Observed    bool         `json:"observed,omitempty"`
	Edited      bool         `json:"edited,omitempty"`
	Rule        string       `json:"rule,omitempty"` // of the first call
	Finding     string       `json:"finding,omitempty"`
	Would       call.Verdict `json:"would"` // what another policy, or enforcing, would decide
}

// rank orders rows as they are shown.
func (r *Row) rank() int {
	switch {
	case r.Kind == Model && r.Verdict == call.Allow:
		return 0
	case r.Kind == Telemetry:
		return 1
	case r.Verdict == call.Allow:
		return 2
	case r.Observed:
		return 3
	case r.Verdict == call.Hold:
		return 4
	}
	return 5
}

// inference are ends of the paths of models.
var inference = []string{"/v1/messages", "/chat/completions", "/responses", "/v1/embeddings", "/completions"}

func isInference(path string) bool {
	for _, p := range inference {
		if strings.HasSuffix(path, p) {
			return true
		}
	}
	return strings.Contains(path, "enerateContent")
}

func kindOf(d *call.Record, dec *call.Decision) Kind {
	path, _, _ := strings.Cut(d.Target, "?")
	switch {
	case d.Category == "telemetry" || dec.Quiet:
		return Telemetry
	case d.Protocol == "dns":
		return Names
	case d.Protocol == "tcp" || d.Protocol == "tls" || d.Protocol == "connect":
		return Tunnel
	case isInference(path):
		return Model
	case strings.HasSuffix(path, "/info/refs") || strings.HasSuffix(path, "/git-upload-pack") || strings.HasSuffix(path, "/git-receive-pack"):
		return Git
	case packagesOf(d.Host) != "" && (d.Method == "GET" || d.Method == "HEAD"):
		return Packages
	}
	return Other
}

// packages are what registries hold.
var packages = []struct{ host, what string }{
	{"registry.npmjs.org", "npm packages"}, {"registry.yarnpkg.com", "npm packages"},
	{"pypi.org", "pip packages"}, {"files.pythonhosted.org", "pip packages"},
	{"proxy.golang.org", "go modules"}, {"sum.golang.org", "go modules"},
	{"index.crates.io", "cargo crates"}, {"static.crates.io", "cargo crates"}, {"crates.io", "cargo crates"},
}

func packagesOf(host string) string {
	for _, p := range packages {
		if p.host == host {
			return p.what
		}
	}
	return ""
}

// destination names where a call went, as a person sees it.
func destination(d *call.Record, dec *call.Decision, k Kind) string {
	path, _, _ := strings.Cut(d.Target, "?")
	refused := dec.Verdict != call.Allow
	switch k {
	case Telemetry:
		return d.Host + " telemetry"
	case Names:
		if refused {
			return "dns " + d.Method + " " + d.Target
		}
		return "dns"
	case Tunnel:
		what := " (raw)"
		switch d.Protocol {
		case "tls":
			what = " (TLS unread)"
		case "connect":
			what = " (nothing asked)"
		}
		return d.Host + what
	case Model:
		return d.Host + " " + path
	case Git:
		if strings.HasSuffix(path, "/git-receive-pack") {
			return d.Host + " (git push)"
		}
		return d.Host + " (git)"
	case Packages:
		return packagesOf(d.Host)
	}
	switch {
	case d.Host == "": // a tool
		return d.Method + " " + d.Target
	case refused:
		return d.Host + " " + d.Method + " " + path
	case d.Protocol == "ws":
		return d.Host + " (WebSocket)"
	case d.Method != "GET" && d.Method != "HEAD":
		return d.Host + " " + d.Method
	}
	return d.Host
}

// by says who made a call: the chain of programs, or else what its program claims
// to be.
func by(who *call.Caller) string {
	if who.Process.Value != "" {
		return who.Process.Value
	}
	if a := agent.ByProduct(who.Agent.Value); a != nil {
		return a.Name
	}
	product, _, _ := strings.Cut(who.Agent.Value, "/")
	return product
}

// found says what was found in a refused call, and where.
func found(dec *call.Decision) string {
	if dec.Code != "" && !strings.HasSuffix(dec.Code, "_found") {
		return ""
	}
	for _, f := range dec.Findings {
		if strings.HasPrefix(f.Kind, "credential/") {
			continue // at home
		}
		where, _, _ := strings.Cut(f.Part, "/")
		if where == "" {
			return f.Kind
		}
		return f.Kind + " in " + where
	}
	return ""
}
