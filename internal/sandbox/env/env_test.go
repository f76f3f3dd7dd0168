package env

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// host is the environment of a developer, with what must not follow him.
var host = []string{
	"TERM=xterm-256color", "LANG=de_DE.UTF-8", "LC_TIME=C", "HOME=/home/u", "PATH=/usr/bin:/bin", "GIT_AUTHOR_NAME=U",
	"SECRET_TOKEN=s3cret", "AWS_SECRET_ACCESS_KEY=k", "LD_PRELOAD=/tmp/x.so", "SSH_AUTH_SOCK=/tmp/agent", "ANTHROPIC_API_KEY=sk-ant-api03-abcdefghijklmnopqrstuvwxyz",
	"https_proxy=http://p:3128", "HTTP_PROXY=http://u:pw@p:3128", "no_proxy=.corp", "Ftp_Proxy=x", "ANTHROPIC_BASE_URL=https://m.corp",
	"BASH_FUNC_ls%%=() { id; }", "OUTVET_POLICY=/p.yaml", "PATH=/evil", "=C:=x", "novalue",
}

func TestOnlyWhatIsListedPasses(t *testing.T) {
	basic := []string{"GIT_AUTHOR_NAME=U", "HOME=/home/u", "LANG=de_DE.UTF-8", "LC_TIME=C", "PATH=/usr/bin:/bin", "TERM=xterm-256color", "TMPDIR=/tmp"}
	for _, c := range []struct {
		name    string
		o       Options
		more    []string
		refused []string
	}{
		{name: "nothing asked"},
		{"session", Options{Session: "quiet-otter"}, []string{"OUTVET_SESSION=quiet-otter"}, nil},
		{"named", Options{Named: []string{"SECRET_TOKEN"}}, []string{"SECRET_TOKEN=s3cret"}, nil},
		{"given", Options{Named: []string{"DEBUG=a=b", "EMPTY="}}, []string{"DEBUG=a=b", "EMPTY="}, nil},
		{"named, not set", Options{Named: []string{"NOPE"}}, nil, []string{"NOPE"}},
		{"never, named", Options{Named: []string{"LD_PRELOAD", "LD_LIBRARY_PATH=/x", "SSH_AUTH_SOCK", "https_proxy", "All_Proxy=x", "OUTVET_SESSION=x"}}, nil,
			[]string{"LD_PRELOAD", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK", "https_proxy", "All_Proxy", "OUTVET_SESSION"}},
		{"never, of a preset", Options{Preset: []string{"LD_*", "LD_PRELOAD"}, Keys: []string{"SSH_AUTH_SOCK"}}, nil, []string{"LD_*", "LD_PRELOAD", "SSH_AUTH_SOCK"}},
		{"a star alone", Options{Preset: []string{"*"}}, nil, []string{"*"}},
		{"no name", Options{Named: []string{"BASH_FUNC_ls%%", "", "=x", "A B=1", "É=1"}}, nil, []string{`"BASH_FUNC_ls%%"`, `""`, `""`, `"A B"`, `"É"`}},
		{"preset", Options{Preset: []string{"ANTHROPIC_B*"}}, []string{"ANTHROPIC_BASE_URL=https://m.corp"}, nil},
		{"key", Options{Keys: []string{"ANTHROPIC_API_KEY", "NOT_SET"}}, []string{"ANTHROPIC_API_KEY=sk-ant-api03-abcdefghijklmnopqrstuvwxyz"}, nil},
		{"set wins", Options{Set: []string{"SSL_CERT_FILE=/ours", "NODE_OPTIONS=--x"}, Named: []string{"SSL_CERT_FILE=/theirs", "NODE_OPTIONS"}},
			[]string{"NODE_OPTIONS=--x", "SSL_CERT_FILE=/ours"}, []string{"SSL_CERT_FILE", "NODE_OPTIONS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := For(host, c.o)
			want := append(slices.Clone(basic), c.more...)
			slices.Sort(want)
			if d := cmp.Diff(want, e.Vars); d != "" {
				t.Errorf("the command gets (-want +got):\n%s", d)
			}
			var refused []string
			for _, r := range e.Refused {
				refused = append(refused, r.Name)
				if len(r.Why) < 20 {
					t.Errorf("the refusal of %s does not say why: %q", r.Name, r.Why)
				}
			}
			if d := cmp.Diff(c.refused, refused); d != "" {
				t.Errorf("refused (-want +got):\n%s", d)
			}
			if (e.Err() != nil) != (len(c.refused) > 0) {
				t.Errorf("Err() = %v", e.Err())
			}
		})
	}
}

func TestProxiesAreForOutvetOnly(t *testing.T) {
	e := For(host, Options{Preset: []string{"https_p*", "HTTP_*"}})
	want := []string{"https_proxy=http://p:3128", "HTTP_PROXY=http://u:pw@p:3128", "no_proxy=.corp", "Ftp_Proxy=x"}
	if d := cmp.Diff(want, e.Proxies); d != "" {
		t.Error(d)
	}
	if s := strings.ToUpper(strings.Join(e.Vars, "\n")); strings.Contains(s, "_PROXY") {
		t.Errorf("a proxy is in the sandbox:\n%s", s)
	}
}

func TestAKeyStaysOutsideBehindItsPlaceholder(t *testing.T) {
	const key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz"
	e := For(host, Options{Keys: []string{"ANTHROPIC_API_KEY"}, Placeholder: Placeholder})
	if strings.Contains(strings.Join(e.Vars, "\n"), key[13:]) {
		t.Error("the key is in the sandbox")
	}
	if len(e.Keys) != 1 || e.Keys[0].Value != key || !slices.Contains(e.Vars, "ANTHROPIC_API_KEY="+e.Keys[0].Placeholder) {
		t.Errorf("keys %+v do not fit the environment %q", e.Keys, e.Vars)
	}
	e = For(host, Options{Keys: []string{"ANTHROPIC_API_KEY"}, Named: []string{"ANTHROPIC_API_KEY"}, Placeholder: Placeholder})
	if len(e.Keys) != 0 || !slices.Contains(e.Vars, "ANTHROPIC_API_KEY="+key) {
		t.Error("a key that the user names is not what he has")
	}
}

func TestAPlaceholderTellsNothingButTheIssuer(t *testing.T) {
	for _, key := range []string{"sk-ant-api03-" + strings.Repeat("Zq9", 30), "ghp_" + strings.Repeat("Zq9", 12), "short", "", "Zq9-Zq9-Zq9-Zq9-Zq9-Zq9-Zq9-Zq9-Zq9-Zq9", strings.Repeat("Zq9", 5000)} {
		a, b := Placeholder("K", key), Placeholder("K", key)
		if a == b {
			t.Errorf("two placeholders of %q are equal: %q", key, a)
		}
		if len(a) < 32 || len(a) > 300 || strings.Contains(a, "Zq9") {
			t.Errorf("the placeholder of %.40q is %q", key, a)
		}
		if key != "" && len(key) >= 40 && len(key) < 200 && len(a) != len(key) {
			t.Errorf("the placeholder of a key of %d bytes has %d", len(key), len(a))
		}
		if f, _, _ := strings.Cut(a, "outvet-"); !strings.HasPrefix(key, f) {
			t.Errorf("the placeholder of %.40q begins %q", key, f)
		}
	}
}

func TestWhatAgentsNeedPasses(t *testing.T) {
	known := 0
	for _, name := range []string{"claude", "codex", "gemini", "copilot", "opencode", "aider", "bash"} {
		a := Of(name)
		if len(a.Keys) > 0 {
			known++
		}
		for _, n := range slices.Concat(a.Names, a.Keys) {
			if why := Reason(n); why != "" || !valid(n) {
				t.Errorf("%s: %s may not pass: %s", name, n, why)
			}
		}
		for _, n := range a.Names {
			if strings.HasSuffix(n, "_KEY") || strings.HasSuffix(n, "_TOKEN") || strings.HasSuffix(n, "_SECRET") || slices.Contains(a.Keys, n) {
				t.Errorf("%s: %s is a credential among settings", name, n)
			}
		}
	}
	if known != 6 {
		t.Errorf("%d of 6 agents have a key", known)
	}
}

func TestKeysThatDoNotPassAreNamed(t *testing.T) {
	from := []string{"ANTHROPIC_API_KEY=a", "OPENAI_API_KEY=b", "GEMINI_API_KEY=", "GITHUB_TOKENS=c"}
	got := Withheld(from, For(from, Options{Named: []string{"OPENAI_API_KEY"}}).Vars)
	if d := cmp.Diff([]string{"ANTHROPIC_API_KEY"}, got); d != "" {
		t.Error(d)
	}
}

// FuzzFor gives environments of any kind and holds the laws of the package
// documentation.
func FuzzFor(f *testing.F) {
	f.Add(strings.Join(host, "\n"), "SECRET_TOKEN\nLD_PRELOAD=x\nA=1", "ANTHROPIC_*\nLD_*\n*", "ANTHROPIC_API_KEY\nSSH_AUTH_SOCK", true)
	f.Add("LC_=\nLC_A=1\nLC_A=2\nHTTP_PROXY=a\nTERM", "TMPDIR=/\nhttps_PROXY=x", "", "TERM", false)
	f.Fuzz(func(t *testing.T, hosts, named, preset, keys string, placeholders bool) {
		o := Options{Session: "s", Named: strings.Split(named, "\n"), Preset: strings.Split(preset, "\n"), Keys: strings.Split(keys, "\n"), Set: []string{"SSL_CERT_FILE=/m"}}
		if placeholders {
			o.Placeholder = Placeholder
		}
		h := strings.Split(hosts, "\n")
		e := For(h, o)
		first := map[string]string{}
		for _, v := range h {
			n, value, ok := strings.Cut(v, "=")
			if _, again := first[n]; ok && !again && !strings.ContainsRune(value, 0) {
				first[n] = value
			}
		}
		fixed := map[string]string{"TMPDIR": "/tmp", "OUTVET_SESSION": "s", "SSL_CERT_FILE": "/m"}
		seen := map[string]bool{}
		for _, v := range e.Vars {
			n, value, ok := strings.Cut(v, "=")
			if !ok || !valid(n) || seen[n] || strings.ContainsRune(n, 0) {
				t.Fatalf("%q is in the environment", v)
			}
			seen[n] = true
			if want, ours := fixed[n]; ours {
				if value != want {
					t.Fatalf("%s is %q", n, value)
				}
				continue
			}
			if why := Reason(n); why != "" {
				t.Fatalf("%s passes, though %s", n, why)
			}
			ask := slices.ContainsFunc(o.Named, func(s string) bool { return s == n || strings.HasPrefix(s, n+"=") })
			if !within(general, n) && !within(o.Preset, n) && !slices.Contains(o.Keys, n) && !ask {
				t.Fatalf("%s is on no list", n)
			}
			kept := slices.ContainsFunc(e.Keys, func(k Key) bool { return k.Name == n && k.Placeholder == value })
			if value != first[n] && !kept && !slices.Contains(o.Named, n+"="+value) {
				t.Fatalf("%s has the value %q from nowhere", n, value)
			}
		}
		if !slices.IsSorted(e.Vars) {
			t.Fatal("the environment is not sorted")
		}
	})
}

func BenchmarkFor(b *testing.B) {
	for b.Loop() {
		For(host, Options{Session: "s", Preset: claude.Names, Keys: claude.Keys, Placeholder: Placeholder})
	}
}
