package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"golang.org/x/net/publicsuffix"

	"outvet/call"
)

// Bounds of expressions. A call with longer lists does not satisfy an allowing
// rule that looks at them.
const (
	costMax       = 100_000 // as CEL estimates, for the longest lists
	findingsMax   = 256
	provenanceMax = 32
	rolesMax      = 64
	textMax       = 2048 // typical bound of one text, for the estimate
)

// An expr is the compiled condition of when:. This file is the only one that
// knows the language it is written in.
type expr struct {
	text     string
	program  cel.Program
	late     bool // needs the payload: findings or call.sent
	findings bool
}

// variableTypes lists the variables, by the names of package call.
func variableTypes() map[string]*cel.Type {
	return map[string]*cel.Type{
		"call.id": cel.StringType, "call.protocol": cel.StringType, "call.method": cel.StringType,
		"call.path": cel.StringType, "call.host": cel.StringType, "call.port": cel.IntType,
		"call.scheme": cel.StringType, "call.sent": cel.IntType, "call.listener": cel.StringType,
		"call.grade":     cel.StringType,
		"caller.session": cel.StringType, "caller.type": cel.StringType, "caller.principal": cel.StringType,
		"caller.roles": cel.ListType(cel.StringType), "caller.agent": cel.StringType,
		"caller.tool": cel.StringType, "caller.tool_call": cel.StringType, "caller.purpose": cel.StringType,
		"caller.provenance": cel.ListType(cel.MapType(cel.StringType, cel.StringType)),
		"dest.category":     cel.StringType, "dest.trust": cel.StringType,
		"findings": cel.ListType(cel.MapType(cel.StringType, cel.DynType)),
	}
}

// fields of the elements of lists.
var (
	sourceFields  = []string{"source", "trust"}
	findingFields = []string{"kind", "part", "score"}
)

func newEnv() (*cel.Env, error) {
	opts := []cel.EnvOption{
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateComprehensionNestingLimit(2)),
		cel.ParserExpressionSizeLimit(16 << 10), cel.ParserRecursionLimit(64),
		cel.CrossTypeNumericComparisons(true),
		cel.Function("cidr", cel.Overload("cidr_text", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(celCIDR))),
		cel.Function("glob", cel.Overload("glob_text", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(func(s, pattern ref.Val) ref.Val {
				return types.Bool(glob(string(pattern.(types.String)), string(s.(types.String))))
			}))),
		cel.Function("etld1", cel.Overload("etld1_text", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(func(host ref.Val) ref.Val {
				name, err := publicsuffix.EffectiveTLDPlusOne(string(host.(types.String)))
				if err != nil {
					return types.NewErr("no registered domain")
				}
				return types.String(name)
			}))),
	}
	for name, t := range variableTypes() {
		opts = append(opts, cel.Variable(name, t))
	}
	return cel.NewEnv(opts...)
}

func celCIDR(host, prefix ref.Val) ref.Val {
	p, err := netip.ParsePrefix(string(prefix.(types.String)))
	a, ok := literal(string(host.(types.String)))
	if err != nil || !ok {
		return types.NewErr("not an address in a range")
	}
	return types.Bool(p.Contains(a))
}

// expr compiles one expression, or reports what is wrong with it.
func (b *builder) expr(src located[string]) *expr {
	if b.env == nil {
		env, err := newEnv()
		if err != nil {
			b.add(src.at, "when: %v", err)
			return nil
		}
		b.env = env
	}
	tree, issues := b.env.Compile(src.v)
	if issues != nil && issues.Err() != nil {
		for _, e := range issues.Errors() {
			b.add(src.at, "when: %s", explainIssue(e))
		}
		return nil
	}
	if tree.OutputType() != cel.BoolType {
		b.add(src.at, "when: the expression gives %s, not true or false", cel.FormatCELType(tree.OutputType()))
		return nil
	}
	x := &expr{text: src.v}
	if err := x.inspect(tree.NativeRep()); err != nil {
		b.add(src.at, "when: %v", err)
		return nil
	}
	estimate, err := b.env.EstimateCost(tree, sizes{})
	if err != nil || estimate.Max > costMax {
		b.add(src.at, "when: the expression may cost too much (%d, at most %d): loop over one list only", estimate.Max, costMax)
		return nil
	}
	if x.program, err = b.env.Program(tree, cel.EvalOptions(cel.OptOptimize)); err != nil {
		b.add(src.at, "when: %s", clip(oneLine(err.Error())))
		return nil
	}
	return x
}

// explainIssue says what CEL has against an expression.
func explainIssue(e *cel.Error) string {
	said, near := oneLine(e.Message), meantVariable(e.Message)
	if at := strings.Index(said, " (in container"); at >= 0 {
		said = said[:at]
	}
	if at := strings.Index(said, " (did you mean"); at >= 0 {
		said = said[:at]
	}
	if at := strings.Index(said, " expecting {"); at >= 0 {
		said = said[:at]
	}
	return fmt.Sprintf("%s, at character %d%s", shorten(said, 160), e.Location.Column()+1, near)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// meantVariable proposes a variable for one that is not declared.
func meantVariable(message string) string {
	_, rest, ok := strings.Cut(message, "undeclared reference to '")
	name, _, ok2 := strings.Cut(rest, "'")
	if !ok || !ok2 {
		return ""
	}
	var words []string
	for v := range variableTypes() {
		words = append(words, v)
	}
	slices.Sort(words)
	return meant(name, append(words, "cidr", "glob", "etld1"))
}

// inspect notes which variables the expression uses and checks the fields of
// list elements, which CEL takes for maps with any key.
func (x *expr) inspect(tree *ast.AST) (err error) {
	for _, r := range tree.ReferenceMap() {
		x.findings = x.findings || r.Name == "findings"
		x.late = x.late || r.Name == "findings" || r.Name == "call.sent"
	}
	source := cel.MapType(cel.StringType, cel.StringType)
	found := cel.MapType(cel.StringType, cel.DynType)
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.SelectKind || err != nil {
			return
		}
		field, of := e.AsSelect().FieldName(), tree.GetType(e.AsSelect().Operand().ID())
		fields := sourceFields
		switch {
		case of.IsExactType(found):
			fields = findingFields
		case !of.IsExactType(source):
			return
		}
		if !slices.Contains(fields, field) {
			err = fmt.Errorf("unknown field %s%s", quote(field), meant(field, fields))
		}
	}))
	return err
}

// sizes estimates how long lists and texts get.
type sizes struct{}

// EstimateCallCost implements cost.Estimator.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	path := n.Path()
	if len(path) == 0 {
		return nil
	}
	most := uint64(textMax)
	if len(path) == 1 || path[len(path)-1] != "@items" {
		switch strings.Join(path, ".") {
		case "findings":
			most = findingsMax
		case "caller.provenance":
			most = provenanceMax
		case "caller.roles":
			most = rolesMax
		}
	} else if len(path) > 1 && path[0] != "caller.roles" {
		most = uint64(len(findingFields))
	}
	if len(path) > 1 && slices.Contains([]string{"kind", "part", "source", "trust"}, path[len(path)-1]) {
		most = 64
	}
	return &cost.SizeEstimate{Max: most}
}

// eval evaluates the expression. What cannot be evaluated is unknown.
func (x *expr) eval(v *variables) truth {
	out, _, err := x.program.Eval(v)
	if err != nil {
		return unknown
	}
	b, ok := out.(types.Bool)
	if !ok {
		return unknown
	}
	return truthOf(bool(b))
}

// variables gives expressions the values of one call. A value that is not
// known, or only claimed, is not there: using it is an error, and that makes
// the condition unknown.
type variables struct {
	e *eval
	// lenient: findings count as complete although something is uninspected.
	lenient bool
	// strict: the rule holds, blocks or edits.
	strict bool
	// ahead: it is about connections that are still to come.
	ahead bool
}

func (v *variables) reset(e *eval) { v.e, v.lenient, v.strict, v.ahead = e, false, false, false }

// ask makes them those that the expression of r sees.
func (v *variables) ask(r *rule) {
	v.lenient, v.strict, v.ahead = r.uninspected == uninspectedAllow, r.strict, v.e.foresees(r)
}

// Parent implements cel.Activation.
func (v *variables) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (v *variables) ResolveName(name string) (any, bool) {
	c := v.e.c
	if v.ahead && strings.HasPrefix(name, "call.") && name != "call.host" && name != "call.listener" && name != "call.grade" {
		return nil, false
	}
	switch name {
	case "call.id":
		return text1(string(c.ID))
	case "call.protocol":
		return text1(c.Op.Protocol)
	case "call.method":
		return types.String(c.Op.Method), !v.e.unread
	case "call.path":
		switch v.e.path.kind {
		case pathNone:
			return types.String(""), true
		case pathClean:
			return types.String(v.e.path.plain), true
		}
		return nil, false
	case "call.host":
		return text1(v.e.host)
	case "call.port":
		return types.Int(c.Dest.Port), true
	case "call.scheme":
		return text1(c.Dest.Scheme)
	case "call.sent":
		if v.e.unread {
			return types.Int(0), v.strict && !v.e.head // what is not read is not held against it
		}
		return types.Int(c.Sent), c.Sent >= 0 && !v.e.head
	case "call.listener":
		return text1(c.Listener)
	case "call.grade":
		return text1(string(c.Grade))
	case "dest.category":
		return types.String(v.e.state.labels.category), true
	case "dest.trust":
		return types.String(v.e.state.labels.trust), true
	case "findings":
		return v.findings()
	}
	return v.caller(name)
}

func (v *variables) caller(name string) (any, bool) {
	who := &v.e.c.Caller
	switch name {
	case "caller.session":
		return attr(call.Attr{Value: string(who.Session), Mark: who.SessionMark})
	case "caller.type":
		return attr(who.Type)
	case "caller.principal":
		return attr(who.Principal)
	case "caller.agent":
		return attr(who.Agent)
	case "caller.tool":
		return attr(v.e.tool)
	case "caller.tool_call":
		return attr(who.ToolCall)
	case "caller.purpose":
		return attr(who.Purpose)
	case "caller.roles":
		return roles(who.Roles)
	case "caller.provenance":
		return provenance(who.Provenance)
	}
	return nil, false
}

func text1(s string) (any, bool) { return types.String(s), s != "" }

func attr(a call.Attr) (any, bool) {
	return types.String(a.Value), a.Value != "" && a.Mark > call.Claimed
}

// roles are those not merely claimed; if there are none, nothing is known.
func roles(all []call.Attr) (any, bool) {
	var out []string
	for _, r := range all {
		if r.Mark > call.Claimed {
			out = append(out, r.Value)
		}
	}
	return out, len(out) > 0 && len(out) <= rolesMax
}

// provenance is known only if all of it is: a claim could leave a source out.
func provenance(all []call.Source) (any, bool) {
	out := make([]map[string]string, len(all))
	for i, s := range all {
		if s.Mark == call.Claimed {
			return nil, false
		}
		out[i] = map[string]string{"source": s.Source, "trust": s.Trust}
	}
	return out, len(out) > 0 && len(out) <= provenanceMax
}

func (v *variables) findings() (any, bool) {
	d := v.e.d
	if v.e.head || v.e.hard && !v.lenient || v.e.unread && !v.strict || len(d.Findings) > findingsMax {
		return nil, false
	}
	out := make([]map[string]any, len(d.Findings))
	for i, f := range d.Findings {
		out[i] = map[string]any{"kind": f.Kind, "part": f.Part, "score": f.Score}
	}
	return out, true
}
