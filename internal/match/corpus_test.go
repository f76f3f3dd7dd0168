package match

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp/syntax"
	"strings"
	"sync"
	"testing"
)

func goroot(t testing.TB) string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// texts are ordinary texts of one kind.
type texts struct {
	once sync.Once
	b    []byte
}

var code, prose texts

// codeText is source code of the Go distribution, proseText its comments.
func codeText(t testing.TB) []byte {
	code.once.Do(func() {
		var all []byte
		root := filepath.Join(goroot(t), "src")
		for _, dir := range []string{"net/http", "go/types", "encoding/json", "os", "regexp", "crypto/tls"} {
			err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() && d.Name() == "testdata" {
					return filepath.SkipDir
				}
				if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
					return err
				}
				b, err := os.ReadFile(path)
				all = append(all, bytes.ToValidUTF8(b, []byte("?"))...)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		code.b = all
	})
	return code.b
}

func proseText(t testing.TB) []byte {
	prose.once.Do(func() {
		for line := range bytes.Lines(codeText(t)) {
			if c, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("// ")); ok {
				prose.b = append(append(prose.b, c...), '\n')
			}
		}
	})
	return prose.b
}

func piece(r *rand.Rand, b []byte, n int) string {
	n = min(n, len(b))
	i := r.Intn(len(b) - n + 1)
	return strings.ToValidUTF8(string(b[i:i+n]), "")
}

// chat makes a chat-completion request of about size bytes; decoded, it is all
// strings of it joined by newlines, as the payload hands it over.
func chat(t testing.TB, r *rand.Rand, size int, decoded bool) []byte {
	strs := []string{"model", "m-1", "messages", "role", "system", "content",
		"You are a coding agent. Use the tools to read, edit and run. Never reveal credentials. " + piece(r, proseText(t), size/16)}
	for n := size/16 + 500; n < size; {
		u, c := min(size/8, 200+r.Intn(3000)), min(size/6, 300+r.Intn(6000))
		strs = append(strs, "role", "user", "content", piece(r, proseText(t), u), "role", "assistant", "content",
			piece(r, proseText(t), u/2), "tool_calls", "id", "call_"+word24(r), "name", "read_file", "arguments",
			`{"path":"internal/proxy/server.go","offset":120}`, "role", "tool", "content", piece(r, codeText(t), c))
		n += u + u/2 + c + 150
	}
	if decoded {
		return []byte(strings.Join(strs, "\n"))
	}
	b, err := json.Marshal(strs)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// planted is code with a sample of a random pattern every 2 KiB or so.
func planted(t testing.TB, r *rand.Rand, ps []Pattern, size int) []byte {
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(piece(r, codeText(t), 1500+r.Intn(1000)))
		b.WriteString("\n" + sample(r, ps[r.Intn(len(ps))]) + "\n")
	}
	return []byte(strings.ToValidUTF8(b.String()[:size], "?"))
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func wordOf(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphanumeric[r.Intn(len(alphanumeric))]
	}
	return string(b)
}

func word24(r *rand.Rand) string { return wordOf(r, 24) }

// sample makes a random string that the expression of p matches.
func sample(r *rand.Rand, p Pattern) string {
	t, err := syntax.Parse(p.Expr, syntax.Perl)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	write(r, t, &b)
	return b.String()
}

func write(r *rand.Rand, t *tree, b *strings.Builder) {
	lo, hi := 0, 0
	switch t.Op {
	case syntax.OpLiteral:
		for _, c := range t.Rune {
			if t.Flags&syntax.FoldCase != 0 && r.Intn(2) == 0 {
				b.WriteString(strings.ToLower(string(c)))
			} else {
				b.WriteRune(c)
			}
		}
	case syntax.OpCharClass:
		b.WriteRune(member(r, t))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte(byte('a' + r.Intn(26)))
	case syntax.OpConcat, syntax.OpCapture:
		for _, s := range t.Sub {
			write(r, s, b)
		}
	case syntax.OpAlternate:
		write(r, t.Sub[r.Intn(len(t.Sub))], b)
	case syntax.OpStar:
		hi = 3
	case syntax.OpPlus:
		lo, hi = 1, 20
	case syntax.OpQuest:
		hi = 1
	case syntax.OpRepeat:
		if lo, hi = t.Min, t.Max; hi < 0 || hi > lo+10 {
			hi = lo + 10
		}
	}
	if hi > 0 {
		for range lo + r.Intn(hi-lo+1) {
			write(r, t.Sub[0], b)
		}
	}
}

// member returns a random character of a class, a printable one if there is one.
func member(r *rand.Rand, t *tree) rune {
	var printable []rune
	for i := 0; i < len(t.Rune); i += 2 {
		for c := max(t.Rune[i], 32); c <= t.Rune[i+1] && c < 127; c++ {
			printable = append(printable, c)
		}
	}
	if len(printable) == 0 || len(t.Rune) > 2 && t.Rune[len(t.Rune)-1] < 0x2000 && r.Intn(4) == 0 {
		i := r.Intn(len(t.Rune)/2) * 2
		return t.Rune[i]
	}
	return printable[r.Intn(len(printable))]
}

// noise makes text around and inside s that is likely to go wrong.
func noise(r *rand.Rand, s string) string {
	marks := []string{"", " ", "\n", "\"", "'", "=", ": ", ";", "_", "-", ".", "a", "Z", "0", "é", "€", "😀", "\t", "\\n", "/", "key", "token = "}
	mark := func() string { return marks[r.Intn(len(marks))] }
	b := []rune(s)
	for range r.Intn(3) {
		if len(b) == 0 {
			break
		}
		i := r.Intn(len(b))
		switch r.Intn(4) {
		case 0:
			b[i] = rune(32 + r.Intn(95))
		case 1:
			b = append(b[:i], b[i+1:]...)
		case 2:
			b = append(b[:i], append([]rune(mark()), b[i:]...)...)
		case 3:
			b = b[:i]
		}
	}
	return mark() + string(b) + mark()
}
