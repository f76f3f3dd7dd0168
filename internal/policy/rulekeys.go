package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

func ruleShape() shape[ruleDoc] {
	keys := append(conditionKeys(), effectKeys()...)
	return object(func(d *ruleDoc, r *reader, n *yaml.Node) { d.origin = origin{r.file, n} }, keys...)
}

// conditionKeys are the keys that say which calls a rule matches.
func conditionKeys() []key[ruleDoc] {
	return []key[ruleDoc]{
		is("name", "Name of the rule, unique in its layer. Decisions carry it.", parsed(schema{"maxLength": 100}, parseName), func(d *ruleDoc, v string) { d.name = v }).must(),
		is("to", "Where the call goes: hosts, @destinations, or maps of hosts, cidrs, destinations, category, trust.", toShape(),
			func(d *ruleDoc, v []toDoc) { d.to = v }),
		is("protocol", "Protocol of the call.", many(word("http", "ws", "grpc", "connect", "tcp", "tls", "udp", "dns", "mcp")),
			func(d *ruleDoc, v []string) { d.protocols = v }),
		is("method", "Method: GET, POST, tools/call, …", many(parsed(schema{"pattern": "^[!-~]+$"}, parseMethod)),
			func(d *ruleDoc, v []string) { d.methods = v }),
		is("path", "Path: * for one segment or a part of one, ** for any number, {name} for one.", many(parsed(schema{"pattern": "^/"}, parsePath)),
			func(d *ruleDoc, v []pathPattern) { d.paths = v }),
		is("port", "Port.", many(portShape()), func(d *ruleDoc, v []uint16) { d.ports = v }),
		is("scheme", "Scheme.", many(word("http", "https", "ws", "wss", "tcp", "tls", "dns")), func(d *ruleDoc, v []string) { d.schemes = v }),
		is("tool", "Tool that makes the call, by name or class.", toolCondShape(), func(d *ruleDoc, v *toolCond) { d.tool = v }),
		is("session", "Type of the session.", many(text()), func(d *ruleDoc, v []string) { d.sessions = v }),
		is("agent", "Agent; * for any run of characters.", many(text()), func(d *ruleDoc, v []string) { d.agents = v }),
		is("caller", "Who is calling.", pointer(object(nil,
			is("principal", "On whose authority.", many(text()), func(d *callerCond, v []string) { d.principals = v }),
			is("role", "One of the principal's roles.", many(text()), func(d *callerCond, v []string) { d.roles = v }),
			is("purpose", "Declared purpose.", many(text()), func(d *callerCond, v []string) { d.purposes = v }),
		)), func(d *ruleDoc, v *callerCond) { d.caller = v }),
		is("finding", "What an inspector must have found.", findingShape(), func(d *ruleDoc, v *findingDoc) { d.finding = v }),
		is("when", "Expression in CEL over call, caller, dest and findings.", where(text()), func(d *ruleDoc, v located[string]) { d.when = v }),
	}
}

// effectKeys are the keys that say what a rule does.
func effectKeys() []key[ruleDoc] {
	headerName := parsed(schema{"pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}, parseHeader)
	return []key[ruleDoc]{
		is("verdict", "Without it the rule only edits and grants nothing.", verdictWord(), func(d *ruleDoc, v string) { d.verdict = v }),
		is("tls", "passthrough: TLS to the hosts of to: passes unread, for clients that accept no other certificate than the host's own.", word("passthrough"),
			func(d *ruleDoc, v string) { d.tls = v }),
		is("redact", "Edit what was found out of the call.", redactShape(), func(d *ruleDoc, v string) { d.redact = v }),
		is("strip_headers", "Headers to remove.", many(headerName), func(d *ruleDoc, v []string) { d.strip = v }),
		is("set_headers", "Headers to set.", headersShape(), func(d *ruleDoc, v []header) { d.set = v }),
		is("quarantine", "Stop the whole session.", flag(), func(d *ruleDoc, v bool) { d.quarantine = v }),
		is("uninspected", "What to do if a part of the call could not be inspected whole.", verdictWord(), func(d *ruleDoc, v string) { d.uninspected = v }),
		is("approvers", "Who decides a hold.", approversShape(), func(d *ruleDoc, v *approversDoc) { d.approvers = v }),
		is("mode", "enforce or observe, for this rule alone.", word("enforce", "observe"), func(d *ruleDoc, v string) { d.mode = v }),
		is("reason", "One sentence for agent and user.", parsed(schema{"maxLength": 300}, parseReason), func(d *ruleDoc, v string) { d.reason = v }),
		is("irreversible", "The call cannot be taken back: record it durably first.", flag(), func(d *ruleDoc, v bool) { d.irreversible = v }),
		is("quiet", "Refuse without telling the user each time.", flag(), func(d *ruleDoc, v bool) { d.quiet = v }),
	}
}

func redactShape() shape[string] {
	plain := word("mask", "remove")
	return shape[string]{schema{"enum": []string{"mask", "remove", "pseudonym"}}, func(r *reader, n *yaml.Node) (string, bool) {
		if scalar(n, "!!str") && n.Value == "pseudonym" {
			r.fail(n, "redact: pseudonym is not available yet, use mask")
			return "", false
		}
		return plain.read(r, n)
	}}
}

func headersShape() shape[[]header] {
	value := parsed(schema{"pattern": "^[ -~]*$"}, func(s string) (string, error) {
		for _, c := range []byte(s) {
			if c < ' ' || c > '~' {
				return "", fmt.Errorf("%s is not a header's value: printable ASCII only", quote(s))
			}
		}
		return s, nil
	})
	m := byName(value)
	return shape[[]header]{m.schema, func(r *reader, n *yaml.Node) ([]header, bool) {
		all, good := m.read(r, n)
		var out []header
		for _, h := range all {
			canonical, err := parseHeader(h.name)
			if err != nil {
				r.add(h.at, "%v", err)
				good = false
			}
			out = append(out, header{canonical, h.v})
		}
		return out, good
	}}
}

// parseHeader reads the name of a header field and returns it in lower case.
func parseHeader(s string) (string, error) {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return "", fmt.Errorf("%s is not the name of a header", quote(s))
		}
	}
	name := strings.ToLower(s)
	if slices.Contains([]string{"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade"}, name) {
		return "", fmt.Errorf("header %s belongs to the connection and cannot be edited", quote(s))
	}
	return name, nil
}

// parseMethod writes the methods of HTTP in capitals and leaves others alone.
func parseMethod(s string) (string, error) {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return "", fmt.Errorf("%s is not a method", quote(s))
		}
	}
	if s == "*" {
		return "", fmt.Errorf("method \"*\": leave method: away for any method")
	}
	if up := strings.ToUpper(s); slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}, up) {
		return up, nil
	}
	return s, nil
}

// parseName reads the name of a rule: it stands in records and in answers.
func parseName(s string) (string, error) {
	if len(s) > 100 || strings.TrimSpace(s) != s {
		return "", fmt.Errorf("name %s: at most 100 bytes, no spaces around it", quote(s))
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f || c == '"' || c == '\\' {
			return "", fmt.Errorf("name %s: one line without quotes and backslashes", quote(s))
		}
	}
	return s, nil
}

func parseReason(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > 300 {
		return "", fmt.Errorf("the reason is longer than 300 bytes")
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			return "", fmt.Errorf("the reason is one line")
		}
	}
	return s, nil
}

func testShape() shape[testDoc] {
	request := parsed(schema{"pattern": "^[!-~]+ [a-z]+://"}, parseRequest)
	want := func(verdict string) func(*testDoc, [2]string) {
		return func(d *testDoc, v [2]string) {
			if d.want == "" {
				d.want, d.request = verdict, v
			} else {
				d.want = "two"
			}
		}
	}
	s := object(func(d *testDoc, r *reader, n *yaml.Node) { d.origin = origin{r.file, n} },
		is("allow", "METHOD URL of a request that must be allowed.", request, want("allow")),
		is("hold", "METHOD URL of a request that must be held.", request, want("hold")),
		is("block", "METHOD URL of a request that must be blocked.", request, want("block")),
		is("body", "Its body.", text(), func(d *testDoc, v string) { d.body = v }),
		is("headers", "Its headers.", headersShape(), func(d *testDoc, v []header) { d.headers = v }),
		is("session_type", "Type of the session it is made in.", text(), func(d *testDoc, v string) { d.sess = v }),
		is("agent", "Agent that makes it.", text(), func(d *testDoc, v string) { d.agent = v }),
		is("tool", "Tool that makes it.", text(), func(d *testDoc, v string) { d.tool = v }),
		is("principal", "On whose authority.", text(), func(d *testDoc, v string) { d.who = v }),
		is("roles", "Roles of the principal.", many(text()), func(d *testDoc, v []string) { d.roles = v }),
		is("rule", "Rule that must decide.", text(), func(d *testDoc, v string) { d.rule = v }),
		is("mode", "Whether the decision must be enforced or only observed.", word("enforce", "observe"), func(d *testDoc, v string) { d.mode = v }),
		is("name", "Name of the test.", text(), func(d *testDoc, v string) { d.name = v }),
	)
	return shape[testDoc]{s.schema, func(r *reader, n *yaml.Node) (testDoc, bool) {
		d, ok := s.read(r, n)
		if ok && (d.want == "" || d.want == "two") {
			r.fail(n, "a test has exactly one of allow, hold, block: METHOD URL")
			return d, false
		}
		return d, ok
	}}
}

func parseRequest(s string) (out [2]string, err error) {
	method, target, ok := strings.Cut(s, " ")
	if ok {
		var u *url.URL
		u, err = url.Parse(target)
		ok = err == nil && u.Scheme != "" && u.Host != ""
	}
	if !ok || method == "" {
		return out, fmt.Errorf("%s is not METHOD URL, as in GET https://example.com/", quote(s))
	}
	if method, err = parseMethod(method); err != nil {
		return out, err
	}
	return [2]string{method, target}, nil
}
