package process

import (
	"path"
	"slices"
	"strings"

	"outvet/internal/agent"
)

// nameMax bounds a name, in bytes.
const nameMax = 32

// A runner is a program that runs scripts.
type runner struct {
	names []string
	value []string // options that are followed by their value
	last  []string // options after which no script follows
	words []string // that may stand before the script
}

// runners is never written.
var runners = [...]runner{
	{names: []string{"node", "nodejs"}, value: []string{"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"}, last: []string{"-e", "-p", "--eval", "--print", "-"}},
	{names: []string{"bun", "deno"}, value: []string{"-r", "--preload", "-c", "--config"}, last: []string{"-e", "-p", "eval", "repl", "-"}, words: []string{"run", "x", "exec"}},
	{names: []string{"python", "pypy"}, value: []string{"-W", "-X"}, last: []string{"-c", "-"}},
	{names: []string{"ruby", "perl", "php"}, value: []string{"-r", "-I"}, last: []string{"-e", "-E", "-"}},
	{names: []string{"sh", "bash", "dash", "zsh", "fish", "ksh"}, value: []string{"-o", "-O", "--rcfile", "--init-file"}, last: []string{"-c", "-s", "-"}},
}

// many are programs that are what their first word says.
var many = []string{"busybox", "toybox", "coreutils"}

func runnerOf(base string) *runner {
	plain := strings.TrimRight(base, "0123456789.-")
	for i := range runners {
		if slices.Contains(runners[i].names, plain) {
			return &runners[i]
		}
	}
	return nil
}

// name returns what people call a process that executes exe ("" if that cannot be
// seen) with argv, and calls itself comm.
func name(exe, comm string, argv []string) (name string, who *agent.Agent, seen bool) {
	exe = strings.TrimSuffix(exe, " (deleted)")
	base := path.Base(exe)
	if exe == "" {
		return clean(comm), agent.ByProgram(comm), false
	}
	if slices.Contains(many, base) && len(argv) > 0 {
		return clean(path.Base(argv[0])), agent.ByProgram(argv[0]), true
	}
	r := runnerOf(base)
	if r == nil {
		if who := agent.ByProgram(exe); who != nil {
			return who.Name, who, true
		}
		return clean(base), nil, true
	}
	if s := r.script(argv); s != "" {
		if who := agent.ByProgram(s); who != nil {
			return who.Name, who, true
		}
		return clean(scriptName(s)), nil, true
	}
	plain := strings.TrimRight(base, "0123456789.-")
	if t := title(argv); t != "" {
		if who := agent.ByProgram(t); who != nil && runnerOf(t) == nil {
			return who.Name, who, true
		}
	}
	return clean(plain), agent.ByProgram(plain), true
}

// script returns the script that argv names, the module of python -m, or "".
func (r *runner) script(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	for i := 1; i < len(argv); i++ {
		a := argv[i]
		switch {
		case slices.Contains(r.last, a):
			return ""
		case a == "-m" && slices.Contains(r.names, "python"):
			if i+1 < len(argv) {
				return argv[i+1]
			}
			return ""
		case slices.Contains(r.value, a):
			i++
		case slices.Contains(r.names, "bash") && strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.ContainsAny(a, "cs"):
			return "" // -lc: a command, no script
		case strings.HasPrefix(a, "-"):
		case a == "" || slices.Contains(r.words, a):
		default:
			return a
		}
	}
	return ""
}

// plainFiles are names of scripts that say nothing: the folder says more.
var plainFiles = []string{"index", "main", "__main__", "cli", "run", "bin", "start", "server", "app"}

// scriptName returns the name of a script: its file's, or its package's.
func scriptName(s string) string {
	base := path.Base(s)
	for _, ext := range []string{".js", ".mjs", ".cjs", ".ts", ".py", ".pyc", ".rb", ".pl"} {
		base = strings.TrimSuffix(base, ext)
	}
	if !slices.Contains(plainFiles, base) {
		return base
	}
	if i := strings.LastIndex(s, "node_modules/"); i >= 0 {
		pkg, rest, _ := strings.Cut(s[i+len("node_modules/"):], "/")
		if strings.HasPrefix(pkg, "@") {
			pkg, _, _ = strings.Cut(rest, "/")
		}
		return pkg
	}
	for dir := path.Dir(s); ; dir = path.Dir(dir) {
		switch d := path.Base(dir); d {
		case ".", "/", "..":
			return base
		case "dist", "lib", "src", "bin", "build", "out":
		default:
			return d
		}
	}
}

// title returns the first word of what a program wrote in the place of its command
// line.
func title(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	t, _, _ := strings.Cut(argv[0], " ")
	return path.Base(strings.TrimPrefix(t, "-"))
}

// clean returns s as a name.
func clean(s string) string {
	if len(s) > nameMax {
		s = s[:nameMax]
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case c == ' ' || c == '\t':
			b[i] = '_'
		case c < ' ' || c > '~' || c == '<' || c == '>':
			b[i] = '?'
		}
	}
	if len(b) == 0 {
		return "?"
	}
	return string(b)
}
