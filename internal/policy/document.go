package policy

import (
	"net/netip"
	"time"

	"go.yaml.in/yaml/v4"
)

// What a policy file says, before names are resolved and rules compiled. The
// keys that fill these types are in keys.go.

type document struct {
	origin
	mode, fallback string
	include        []located[string]
	delegate       []located[string]
	destinations   []named[destinationDoc]
	rules          []ruleDoc
	tools          []named[toolDoc]
	sessionTypes   []named[sessionTypeDoc]
	budgets        []budgetDoc
	secrets        []secretDoc
	tests          []testDoc
}

// An origin is where an object stands, and its keys.
type origin struct {
	file string
	node *yaml.Node
}

// at returns the place of a key of the object, or of the object.
func (o origin) at(name string) place {
	if o.node == nil {
		return place{file: o.file}
	}
	for i := 0; i+1 < len(o.node.Content); i += 2 {
		if k := o.node.Content[i]; k.Value == name {
			return place{o.file, k.Line, k.Column}
		}
	}
	return place{o.file, o.node.Line, o.node.Column}
}

type destinationDoc struct {
	origin
	broken          bool // an error was told
	hosts           []hostPattern
	cidrs           []netip.Prefix
	ports           []uint16
	category, trust string
	credentials     []string
}

// A toDoc is one alternative of to:. With category or trust, both must hold.
type toDoc struct {
	hosts        []hostPattern
	cidrs        []netip.Prefix
	destinations []located[string]
	categories   []string
	trusts       []string
}

type findingDoc struct {
	kinds []string
	part  string
	score float64
}

type toolCond struct{ names, classes []string }

type callerCond struct{ principals, roles, purposes []string }

type approversDoc struct {
	groups, users []string
	count         int64
	timeout       time.Duration
	escalate      []string
}

type header struct{ name, value string }

type ruleDoc struct {
	origin
	broken     bool // an error was told
	name       string
	to         []toDoc
	protocols  []string
	methods    []string
	paths      []pathPattern
	ports      []uint16
	schemes    []string
	tool       *toolCond
	sessions   []string
	agents     []string
	caller     *callerCond
	finding    *findingDoc
	when       located[string]
	verdict    string
	tls        string
	redact     string
	strip      []string
	set        []header
	quarantine bool

	uninspected string
	approvers   *approversDoc
	mode        string
	reason      string

	irreversible, quiet bool
}

type toolDoc struct {
	origin
	class, endpoint, arguments string
}

type sessionTypeDoc struct {
	origin
	fallback string
	budgets  map[string]int64
}

type budgetDoc struct {
	origin
	name, per, count, over string
	limit                  int64
}

type secretDoc struct {
	origin
	name, env, file, list string
	home                  []hostPattern
}

type testDoc struct {
	origin
	broken  bool   // an error was told
	want    string // allow, hold or block
	request [2]string
	body    string
	headers []header
	sess    string
	agent   string
	tool    string
	who     string
	roles   []string
	rule    string
	mode    string
	name    string
}
