package secret

// Bounds of what is read around a word. Names and gaps longer than these are
// not those of an assignment.
const (
	maxName  = 96
	maxGap   = 12
	maxValue = 4096
)

// An assignment is a name and the value given to it, as spans of a text.
type assignment struct {
	name, value span
	quoted      bool // the value stood in quotes
	element     bool // the value stood in an XML element
	data        bool // the value is a field of its own, not a word in a text
	statement   bool // the line goes on as program code does
	literal     bool // NAME=value, as shells write it, or "name=value": the value stands for itself
}

type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// nameAround returns the name that the word stands in. A name does not leave
// the part.
func nameAround(text []byte, part, word span) span {
	n := word
	for n.from > part.from && n.len() < maxName && isNameByte(text[n.from-1]) {
		n.from--
	}
	for n.to < part.to && n.len() < maxName && isNameByte(text[n.to]) {
		n.to++
	}
	return n
}

func isNameByte(b byte) bool { return isWordByte(b) || b == '-' || b == '.' }

func isWordByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_'
}

// assigned reads what follows a name in a text: closing marks, an operator of
// any of the usual languages, opening marks, and the value.
func assigned(text []byte, part, name span) (assignment, bool) {
	a := assignment{name: name}
	r := reader{text: text[:part.to], pos: name.to}
	a.element = r.at('>')
	closed := r.skip("\"'`)]\\", 4)
	spaced := r.skip(" \t", maxGap)
	bare := r.pos == name.to
	a.literal = bare && r.at('=') && capitals(text[name.from:name.to])
	option := hasPrefix(text[name.from:name.to], "--") && (spaced > 0 || r.at('='))
	r.skipType()
	if !r.operator(part, name, closed > 0) && !option {
		return a, false
	}
	a.quoted = r.open()
	r.scheme()
	if a.quoted {
		a.value = r.untilQuote()
	} else {
		a.value = r.untilGap()
	}
	if !a.quoted {
		if v, ok := r.typed(a.value); ok {
			return v.of(a.name), true
		}
	}
	a.literal = a.literal || bare && !a.quoted && r.inString(part, name)
	if a.element && !closes(r.text[r.pos:]) {
		return a, false
	}
	a.statement = r.statement()
	return a, a.value.len() > 0
}

// closes reports whether b begins with the end of an XML element.
func closes(b []byte) bool {
	i := 0
	for i < len(b) && i < 64 && inSet(" \t\r\n\"'", b[i]) {
		i++
	}
	return hasPrefix(b[i:], "</") || hasPrefix(b[i:], "<!")
}

// inString reports whether the assignment that begins with name and was just
// read stands in the quotes of one string, at its begin or its end.
func (r *reader) inString(part, name span) bool {
	const quotes = "\"'`"
	if name.from > part.from && inSet(quotes, r.text[name.from-1]) {
		return true
	}
	i := r.pos
	for i < len(r.text) && i-r.pos < 4 && r.text[i] == '\\' {
		i++
	}
	return i < len(r.text) && inSet(quotes, r.text[i])
}

// capitals reports whether a name has letters and all of them are capitals.
func capitals(name []byte) bool {
	c := count(name)
	return c.upper > 0 && c.lower == 0
}

func (a assignment) of(name span) assignment { a.name = name; return a }

// A reader goes through a text once.
type reader struct {
	text  []byte
	pos   int
	quote byte
}

func (r *reader) at(b byte) bool { return r.pos < len(r.text) && r.text[r.pos] == b }

// skip passes up to limit bytes of set and returns their number.
func (r *reader) skip(set string, limit int) int {
	n := 0
	for n < limit && r.pos < len(r.text) && inSet(set, r.text[r.pos]) {
		r.pos++
		n++
	}
	return n
}

func inSet(set string, b byte) bool {
	for i := range len(set) {
		if set[i] == b {
			return true
		}
	}
	return false
}

// skipType passes the type of a declaration: var token string = "…".
func (r *reader) skipType() {
	const longest = 12
	i := r.pos
	for i < len(r.text) && i-r.pos < longest && (isWordByte(r.text[i]) || inSet("[]*&", r.text[i])) {
		i++
	}
	if i == r.pos {
		return
	}
	j := i
	for j < len(r.text) && j-i < maxGap && r.text[j] == ' ' {
		j++
	}
	if j > i && j < len(r.text) && r.text[j] == '=' {
		r.pos = j
	}
}

// operator passes an operator that assigns, and the space after it.
func (r *reader) operator(part, name span, closed bool) bool {
	from := r.pos
	n := r.skip(":=?|.>+,-", 4)
	if n == 0 {
		return r.attribute(closed)
	}
	op := r.text[from:r.pos]
	switch {
	case op[n-1] == '-': // = -value: the sign belongs to the value
		r.pos--
		n--
		op = op[:n]
	}
	var ok bool
	switch s := string(op); s {
	case ",":
		r.skip(" \t", maxGap)
		return closed && inSet("\"'`\\", r.text[name.to]) && r.pos < len(r.text) && inSet("\"'`", r.text[r.pos])
	case ">":
		if name.from > part.from && r.text[name.from-1] == '<' {
			r.skip(" \t\r\n", 64)
			return true
		}
	case "||", "||=", "->":
		ok = true
	default:
		for _, b := range op {
			ok = ok || b == '=' || b == ':'
		}
	}
	r.skip(" \t", maxGap)
	return ok
}

// attribute passes value= after a quoted key, as in <add key="password"
// value="…"/> and {name="x_token" value="…"}.
func (r *reader) attribute(closed bool) bool {
	const value = "value"
	if !closed || len(r.text)-r.pos <= len(value) || !hasFoldPrefix(r.text[r.pos:], value) {
		return false
	}
	r.pos += len(value)
	r.skip(" \t", maxGap)
	if r.skip("=:", 1) == 0 {
		return false
	}
	r.skip(" \t", maxGap)
	return true
}

// open passes what stands before the value proper and reports whether a quote
// was opened: "x", \"x\", b'x', @"x", `x`, f"x".
func (r *reader) open() bool {
	i := r.pos
	for i < len(r.text) && i-r.pos < 2 && inSet("\\brfu@$", r.text[i]) {
		i++
	}
	if i < len(r.text) && inSet("\"'`", r.text[i]) {
		if i > r.pos && r.text[i-1] == '\\' {
			r.quote = '\\'
		} else {
			r.quote = r.text[i]
		}
		r.pos = i + 1
		return true
	}
	return false
}

// scheme passes the word that HTTP puts before a credential.
func (r *reader) scheme() {
	for _, s := range [...]string{"bearer ", "basic ", "token ", "apikey ", "sso-key "} {
		if hasFoldPrefix(r.text[r.pos:], s) {
			r.pos += len(s)
			return
		}
	}
}

func (r *reader) untilQuote() span {
	v := span{r.pos, r.pos}
	for v.to < len(r.text) && v.len() < maxValue {
		b := r.text[v.to]
		if b == r.quote || b == '\n' && r.quote != '`' {
			break
		}
		v.to++
	}
	r.pos = v.to
	return v
}

// endsValue has the bytes that end a value which is not in quotes.
var endsValue = func() (t [256]bool) {
	for _, b := range []byte(" \t\r\n\"'`&,;<>\\") {
		t[b] = true
	}
	return t
}()

func (r *reader) untilGap() span {
	v := span{r.pos, r.pos}
	for v.to < len(r.text) && v.len() < maxValue && !endsValue[r.text[v.to]] {
		v.to++
	}
	r.pos = v.to
	for v.to > v.from && inSet(")]}.:", r.text[v.to-1]) {
		v.to--
	}
	return v
}

// typed reads on when what stood after a colon was the type of a declaration:
// token: str = "…".
func (r *reader) typed(v span) (assignment, bool) {
	if v.len() == 0 || v.len() > 12 || r.pos != v.to {
		return assignment{}, false
	}
	save := *r
	r.skip(" \t", maxGap)
	if r.skip("=", 1) == 0 {
		*r = save
		return assignment{}, false
	}
	r.skip(" \t", maxGap)
	var a assignment
	if a.quoted = r.open(); a.quoted {
		a.value = r.untilQuote()
	} else {
		a.value = r.untilGap()
	}
	a.statement = r.statement()
	return a, a.value.len() > 0
}

// statement reports whether the line goes on as code does.
func (r *reader) statement() bool {
	for i := r.pos; i < len(r.text) && i < r.pos+80 && r.text[i] != '\n'; i++ {
		if inSet("();{}", r.text[i]) {
			return true
		}
	}
	return false
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

// hasFoldPrefix is hasPrefix in any case of ASCII letters; s is in lower case.
func hasFoldPrefix(b []byte, s string) bool {
	if len(b) < len(s) {
		return false
	}
	for i := range len(s) {
		if lower(b[i]) != s[i] {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b | 0x20
	}
	return b
}
