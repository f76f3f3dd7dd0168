package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// The keys of the policy language. The loader and the JSON Schema are both
// made from these tables; there is no other list of keys.

func documentShape() shape[document] {
	return object(func(d *document, r *reader, n *yaml.Node) { d.origin = origin{r.file, n} },
		is("version", "Version of the policy language: 1.", version(), func(*document, string) {}).must(),
		is("mode", "enforce acts on decisions; observe only records them.", word("enforce", "observe"),
			func(d *document, v string) { d.mode = v }),
		is("default", "Verdict on what no rule decides.", verdictWord(), func(d *document, v string) { d.fallback = v }),
		is("include", "Policy files to merge into this one, relative to it; preset:NAME for a shipped one.",
			many(where(text())), func(d *document, v []located[string]) { d.include = v }),
		is("delegate", "Rules and destinations (with @) whose verdict inner layers may replace.",
			many(where(text())), func(d *document, v []located[string]) { d.delegate = v }),
		is("destinations", "Named sets of destinations, for use as @name in rules.", byName(marked(destinationShape(), func(d *destinationDoc) { d.broken = true })),
			func(d *document, v []named[destinationDoc]) { d.destinations = v }),
		is("rules", "All rules that match a call count; the strictest verdict wins.", list(marked(ruleShape(), func(d *ruleDoc) { d.broken = true })),
			func(d *document, v []ruleDoc) { d.rules = v }),
		is("tools", "What an agent may call, and how.", byName(toolShape()), func(d *document, v []named[toolDoc]) { d.tools = v }),
		is("session_types", "What differs by the type of the session.", byName(sessionTypeShape()),
			func(d *document, v []named[sessionTypeDoc]) { d.sessionTypes = v }),
		is("budgets", "Ceilings per session. Read but not enforced yet.", list(budgetShape()),
			func(d *document, v []budgetDoc) { d.budgets = v }),
		is("secrets", "Values that must not leave.", list(secretShape()), func(d *document, v []secretDoc) { d.secrets = v }),
		is("tests", "Requests and the verdict expected. A policy whose tests fail does not load.", list(marked(testShape(), func(d *testDoc) { d.broken = true })),
			func(d *document, v []testDoc) { d.tests = v }),
	)
}

func version() shape[string] {
	return shape[string]{schema{"const": 1}, func(r *reader, n *yaml.Node) (string, bool) {
		if scalar(n, "!!int") && n.Value == "1" {
			return "1", true
		}
		r.fail(n, "this program reads version 1, got %s", got(n))
		return "", false
	}}
}

func verdictWord() shape[string] { return word("allow", "hold", "block") }

func hostShape() shape[hostPattern] {
	return parsed(schema{"description": "api.example.com, *.example.com for all names below, an address, or *"}, parseHost)
}

func portShape() shape[uint16] {
	n := whole(1, 65535)
	return shape[uint16]{n.schema, func(r *reader, node *yaml.Node) (uint16, bool) {
		v, ok := n.read(r, node)
		return uint16(v), ok
	}}
}

func trustWord() shape[string] { return word("internal", "first_party", "third_party", "unknown") }

// labelShape is a category: one of the shipped table's or one's own.
func labelShape() shape[string] {
	return parsed(schema{"pattern": "^[a-z][a-z0-9_]*$"}, func(s string) (string, error) {
		for i, c := range s {
			if ('a' > c || c > 'z') && (i == 0 || c != '_' && ('0' > c || c > '9')) {
				return "", fmt.Errorf("category %s: use lower-case letters, digits and _", quote(s))
			}
		}
		return s, nil
	})
}

func destinationShape() shape[destinationDoc] {
	return object(func(d *destinationDoc, r *reader, n *yaml.Node) { d.origin = origin{r.file, n} },
		is("hosts", "Hosts: exact, *.example.com for all names below, an address, or *.", many(hostShape()),
			func(d *destinationDoc, v []hostPattern) { d.hosts = v }),
		is("cidrs", "Ranges of addresses.", many(parsed(nil, parseCIDR)),
			func(d *destinationDoc, v []netip.Prefix) { d.cidrs = v }),
		is("ports", "Ports; any if not given.", many(portShape()), func(d *destinationDoc, v []uint16) { d.ports = v }),
		is("category", "What kind of place it is: model, code_hosting, registry, paste, tunnel, …", labelShape(),
			func(d *destinationDoc, v string) { d.category = v }),
		is("trust", "Who runs it.", trustWord(), func(d *destinationDoc, v string) { d.trust = v }),
		is("credentials", "Kinds of credentials that are at home here.", many(text()),
			func(d *destinationDoc, v []string) { d.credentials = v }),
	)
}

func toShape() shape[[]toDoc] {
	plain := parsed(schema{"description": "a host, or @name of a destination"}, func(s string) (toDoc, error) {
		h, err := parseHost(s)
		return toDoc{hosts: []hostPattern{h}}, err
	})
	name := shape[toDoc]{plain.schema, func(r *reader, n *yaml.Node) (toDoc, bool) {
		if scalar(n, "!!str") && strings.HasPrefix(n.Value, "@") {
			return toDoc{destinations: []located[string]{{n.Value[1:], r.place(n)}}}, true
		}
		return plain.read(r, n)
	}}
	mapped := object(nil,
		is("hosts", "Any of these hosts.", many(hostShape()), func(d *toDoc, v []hostPattern) { d.hosts = v }),
		is("cidrs", "Any of these ranges of addresses.", many(parsed(nil, parseCIDR)),
			func(d *toDoc, v []netip.Prefix) { d.cidrs = v }),
		is("destinations", "Any of these named destinations.", many(where(text())), func(d *toDoc, v []located[string]) {
			for i := range v {
				v[i].v = strings.TrimPrefix(v[i].v, "@")
			}
			d.destinations = v
		}),
		is("category", "And one of these categories; unknown for none.", many(labelShape()), func(d *toDoc, v []string) { d.categories = v }),
		is("trust", "And one of these trusts.", many(trustWord()), func(d *toDoc, v []string) { d.trusts = v }),
	)
	filled := shape[toDoc]{mapped.schema, func(r *reader, n *yaml.Node) (toDoc, bool) {
		v, ok := mapped.read(r, n)
		if ok && len(n.Content) == 0 {
			r.fail(n, "the map is empty")
			return v, false
		}
		return v, ok
	}}
	return many(either(name, filled))
}

func toolCondShape() shape[*toolCond] {
	return pointer(either(names(func(v []string) toolCond { return toolCond{names: v} }), object(nil,
		is("name", "Names of tools; * for any run of characters.", many(text()), func(d *toolCond, v []string) { d.names = v }),
		is("class", "Classes, as given under tools:.", many(classWord()), func(d *toolCond, v []string) { d.classes = v }),
	)))
}

func classWord() shape[string] {
	return word("read_only", "internal_write", "external_api", "notification", "code_execution")
}

// names is one text or a list of them, where a map would say more.
func names[V any](of func([]string) V) shape[V] {
	m := many(text())
	return shape[V]{m.schema, func(r *reader, n *yaml.Node) (V, bool) {
		v, ok := m.read(r, n)
		return of(v), ok
	}}
}

func pointer[V any](of shape[V]) shape[*V] {
	return shape[*V]{of.schema, func(r *reader, n *yaml.Node) (*V, bool) {
		v, ok := of.read(r, n)
		return &v, ok
	}}
}

func findingShape() shape[*findingDoc] {
	return pointer(either(names(func(v []string) findingDoc { return findingDoc{kinds: v} }), object(nil,
		is("kind", "Kinds of findings, such as secret/*; * for any run of characters.", many(text()),
			func(d *findingDoc, v []string) { d.kinds = v }).must(),
		is("score", "Least score that counts.", fraction(), func(d *findingDoc, v float64) { d.score = v }),
		is("part", "Part where it must stand, such as body/*.", text(), func(d *findingDoc, v string) { d.part = v }),
	)))
}

func approversShape() shape[*approversDoc] {
	return pointer(object(nil,
		is("groups", "Groups of which any member may decide.", many(text()), func(d *approversDoc, v []string) { d.groups = v }),
		is("users", "Users who may decide.", many(text()), func(d *approversDoc, v []string) { d.users = v }),
		is("count", "How many must agree; 1 if not given.", whole(1, 16), func(d *approversDoc, v int64) { d.count = v }),
		is("timeout", "How long to wait, such as 5m; then the call is refused.", durationShape(),
			func(d *approversDoc, v time.Duration) { d.timeout = v }),
		is("escalate", "Groups asked when half of the time is over.", many(text()), func(d *approversDoc, v []string) { d.escalate = v }),
	))
}

func durationShape() shape[time.Duration] {
	return parsed(schema{"pattern": "^([0-9]+(ms|s|m|h))+$"}, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d > 7*24*time.Hour {
			return 0, fmt.Errorf("%s is not a duration such as 30s, 5m or 2h, at most 168h", quote(s))
		}
		return d, nil
	})
}

func toolShape() shape[toolDoc] {
	return object(func(d *toolDoc, r *reader, n *yaml.Node) { d.origin = origin{r.file, n} },
		is("class", "What the tool does.", classWord(), func(d *toolDoc, v string) { d.class = v }),
		is("endpoint", "The request that the tool makes. Read but not enforced yet.", parsed(nil, func(s string) (string, error) {
			if m, rest, ok := strings.Cut(s, " "); !ok || m == "" || rest == "" || strings.Contains(rest, " ") {
				return "", fmt.Errorf("endpoint %s is not METHOD host/path", quote(s))
			}
			return s, nil
		}), func(d *toolDoc, v string) { d.endpoint = v }),
		is("arguments", "JSON Schema of its arguments. Read but not enforced yet.", text(), func(d *toolDoc, v string) { d.arguments = v }),
	)
}

func sessionTypeShape() shape[sessionTypeDoc] {
	n := byName(whole(0, 1<<53))
	return object(func(d *sessionTypeDoc, r *reader, n *yaml.Node) { d.origin = origin{r.file, n} },
		is("default", "Verdict on what no rule decides, in sessions of this type.", verdictWord(),
			func(d *sessionTypeDoc, v string) { d.fallback = v }),
		is("budgets", "Ceilings by what is counted. Read but not enforced yet.", n, func(d *sessionTypeDoc, v []named[int64]) {
			d.budgets = map[string]int64{}
			for _, one := range v {
				d.budgets[one.name] = one.v
			}
		}),
	)
}

func budgetShape() shape[budgetDoc] {
	return object(func(d *budgetDoc, r *reader, n *yaml.Node) { d.origin = origin{r.file, n} },
		is("name", "Its name.", text(), func(d *budgetDoc, v string) { d.name = v }).must(),
		is("per", "What has its own count.", word("session", "principal", "agent", "tool", "destination"), func(d *budgetDoc, v string) { d.per = v }),
		is("count", "What is counted.", word("destinations", "requests", "bytes", "unexplained_bytes", "tokens"), func(d *budgetDoc, v string) { d.count = v }).must(),
		is("limit", "The ceiling.", whole(0, 1<<53), func(d *budgetDoc, v int64) { d.limit = v }).must(),
		is("over", "What happens above it.", word("flag", "hold", "block", "quarantine"), func(d *budgetDoc, v string) { d.over = v }),
	)
}

func secretShape() shape[secretDoc] {
	return object(func(d *secretDoc, r *reader, n *yaml.Node) { d.origin = origin{r.file, n} },
		is("name", "Name under which it is reported.", text(), func(d *secretDoc, v string) { d.name = v }).must(),
		is("env", "Environment variable that holds it.", text(), func(d *secretDoc, v string) { d.env = v }),
		is("file", "File whose content it is.", text(), func(d *secretDoc, v string) { d.file = v }),
		is("list", "File with one on each line.", text(), func(d *secretDoc, v string) { d.list = v }),
		is("home", "Hosts where it may stand in an authentication position.", many(hostShape()), func(d *secretDoc, v []hostPattern) { d.home = v }),
	)
}
