package env

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options say what passes besides the general list. The zero value adds only
// TMPDIR.
type Options struct {
	Session string   // becomes OUTVET_SESSION, by which an outvet inside knows where it is; "" sets none
	Preset  []string // names of the agent's preset; one may end in a star
	Keys    []string // names of API keys that the preset gives
	Named   []string // what the user named: NAME or NAME=VALUE
	Set     []string // NAME=VALUE, ours: the trust kit and the like; the last of a name counts
	TempDir string   // "" is /tmp

	// Placeholder makes what stands for the key of that name and value inside.
	// Without it the keys pass as they are.
	Placeholder func(name, value string) string
}

// An Environment is what the command gets, and what was kept from it.
type Environment struct {
	Vars    []string  // NAME=VALUE, sorted
	Refused []Refusal // what was named and does not pass, in the order of naming
	Proxies []string  // the *_PROXY of the host, for outvet's own way upstream
	Keys    []Key     // the keys that were replaced by a placeholder
}

// A Key is a credential that stays outside. Where the placeholder leaves the
// sandbox in an authentication position of the service that the preset names, the
// value takes its place.
type Key struct{ Name, Placeholder, Value string }

// A Refusal says that what a user or preset named does not pass.
type Refusal struct{ Name, Why string }

func (r Refusal) Error() string { return fmt.Sprintf("--env %s: %s", r.Name, r.Why) }

// Err returns the refusals as one error, or nil.
func (e Environment) Err() error {
	if len(e.Refused) == 0 {
		return nil
	}
	var lines []string
	for _, r := range e.Refused {
		lines = append(lines, r.Error())
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}

// For returns the environment of a command that is started from host.
func For(host []string, o Options) Environment {
	b := builder{from: map[string]string{}, out: map[string]string{}}
	for _, v := range host {
		name, value, ok := strings.Cut(v, "=")
		if _, again := b.from[name]; !ok || again || !valid(name) || strings.ContainsRune(value, 0) {
			continue
		}
		b.from[name] = value
		if strings.HasSuffix(strings.ToUpper(name), proxySuffix) {
			b.Proxies = append(b.Proxies, v)
		}
	}
	for name, value := range b.from {
		if (within(general, name) || within(o.Preset, name)) && Reason(name) == "" {
			b.out[name] = value
		}
	}
	b.preset(o)
	set := map[string]string{"TMPDIR": "/tmp"}
	if o.TempDir != "" {
		set["TMPDIR"] = o.TempDir
	}
	if o.Session != "" {
		set["OUTVET_SESSION"] = o.Session
	}
	for _, v := range o.Set {
		if name, value, ok := strings.Cut(v, "="); ok && valid(name) {
			set[name] = value
		}
	}
	for _, n := range o.Named {
		b.named(n, set)
	}
	maps.Copy(b.out, set)
	for name, value := range b.out {
		b.Vars = append(b.Vars, name+"="+value)
	}
	slices.Sort(b.Vars)
	return b.Environment
}

type builder struct {
	Environment
	from, out map[string]string
}

func (b *builder) refuse(name, why string) {
	b.Refused = append(b.Refused, Refusal{name, why})
}

// preset takes in the keys, and refuses what a preset may not name.
func (b *builder) preset(o Options) {
	for _, n := range slices.Concat(o.Preset, o.Keys) {
		stem := strings.TrimSuffix(n, "*")
		if !valid(stem) {
			b.refuse(n, "the preset names it, and it is no name of a variable")
		} else if why := Reason(n); why != "" {
			b.refuse(n, "the preset names it, but "+why)
		}
	}
	for _, name := range o.Keys {
		value, ok := b.from[name]
		if !ok || value == "" || Reason(name) != "" {
			continue
		}
		if o.Placeholder != nil {
			k := Key{name, o.Placeholder(name, value), value}
			b.Keys = append(b.Keys, k)
			value = k.Placeholder
		}
		b.out[name] = value
	}
}

// named takes in what the user named.
func (b *builder) named(n string, set map[string]string) {
	name, value, given := strings.Cut(n, "=")
	_, ours := set[name]
	switch why := Reason(name); {
	case !valid(name):
		b.refuse(fmt.Sprintf("%q", name), "it is no name of a variable")
		return
	case ours:
		b.refuse(name, "outvet sets it itself, so that programs find their way in the sandbox; "+
			"a file of certificates that it names outside is part of what is trusted inside")
		return
	case why != "":
		b.refuse(name, why)
		return
	case strings.ContainsRune(n, 0):
		b.refuse(name, "its value has a zero byte")
		return
	}
	if !given {
		if value, given = b.from[name]; !given {
			b.refuse(name, "it is not set here; give it a value with --env "+name+"=VALUE")
			return
		}
	}
	b.Keys = slices.DeleteFunc(b.Keys, func(k Key) bool { return k.Name == name }) // the user wants it inside
	b.out[name] = value
}
