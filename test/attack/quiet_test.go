package attack

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/gate"
)

var corpus = flag.String("corpus", "", "folder of recorded traffic that must pass, as *.jsonl; see TestCorpusPasses")

// models are where agents send their conversations, with their own key.
var models = []homed{
	{"anthropic", anthropicKey, "https://api.anthropic.com/v1/messages?beta=true", [2]string{"X-Api-Key", "%s"}},
	{"openai", openaiKey, "https://api.openai.com/v1/responses", [2]string{"Authorization", "Bearer %s"}},
	{"google", googleKey, "https://generativelanguage.googleapis.com/v1beta/models/x:generateContent", [2]string{"X-Goog-Api-Key", "%s"}},
}

// quiet reports what is wrong with the passage of r, which is innocent.
func quiet(t testing.TB, g *gate.Gate, r request) string {
	t.Helper()
	s := send(t, g, r)
	for _, f := range s.Findings {
		if isSecret(f) {
			return say(s.Decision)
		}
	}
	switch {
	case s.Verdict != call.Allow || len(s.Uninspected) > 0 || len(s.Edits) > 0:
		return say(s.Decision)
	case !bytes.Equal(s.body, []byte(r.Body)):
		return "the body was changed"
	}
	return ""
}

// alarms are those that are known to be false, with what raises them. A name is
// that of what is sent and where to.
var alarms = map[string]string{}

// expect reports an alarm that is not known, and a known one that does not come.
func expect(t *testing.T, name, why string) {
	t.Helper()
	reason, listed := alarms[name]
	switch {
	case why != "" && !listed:
		t.Errorf("%s: %.300s", name, why)
	case why == "" && listed:
		t.Errorf("%s passes now: take it off the list (%s)", name, reason)
	}
}

// passes holds that text may be told to a model: as a message, as the result
// of a tool, as a diff.
func passes(t *testing.T, g *gate.Gate, name, text string) {
	t.Helper()
	diff := "--- a/x\n+++ b/x\n@@ -1 +1 @@\n+" + strings.ReplaceAll(text, "\n", "\n+")
	for i, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":` + quoted(text) + `}]}`,
		`{"model":"m","input":[{"type":"function_call_output","call_id":"call_9","output":` + quoted(`{"stdout":`+quoted(text)+`}`) + `}]}`,
		`{"contents":[{"role":"user","parts":[{"text":` + quoted(diff) + `}]}]}`,
	} {
		m := models[i]
		expect(t, name+" to "+m.name, quiet(t, g, m.send(m.url, body)))
	}
}

func TestSourceOfGoPasses(t *testing.T) {
	g := newGate(t, "balanced")
	var files []string
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("skipped, because go does not say where its source is: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ".go") {
			files = append(files, p)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Skipf("no source of Go here: %v", err)
	}
	n := 200
	if *full {
		n = 3000
	}
	r := rand.New(rand.NewPCG(1, 2))
	n /= sampleOf(8)
	alarmed := 0
	for range n {
		f := files[r.IntN(len(files))]
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(root, f)
		m := models[0]
		if why := quiet(t, g, m.send(m.url, `{"model":"m","messages":[{"role":"user","content":`+quoted(string(text))+`}]}`)); why != "" {
			alarmed++
			t.Logf("%s: %.300s", name, why)
		}
	}
	// Tests of Go hold keys and passwords, so that a few must not pass.
	if alarmed > 1+n/200 {
		t.Errorf("%d of %d files did not pass", alarmed, n)
	}
}

// sampleOf is by how much a test does less under the race detector.
func sampleOf(n int) int {
	if raceEnabled || testing.Short() {
		return n
	}
	return 1
}

func TestWhatLooksRandomPasses(t *testing.T) {
	g := newGate(t, "balanced")
	r := rand.New(rand.NewPCG(3, 4))
	raw := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	many := func(n int, line func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(line(i))
		}
		return b.String()
	}
	uuid := func(int) string {
		b := raw(16)
		return fmt.Sprintf("%x-%x-4%x-%x-%x\n", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	for name, text := range map[string]string{
		"names of keys":           "\t{\n\t\tCertificate: cert,\n\t\tPrivateKey:  testP256PrivateKey,\n\t},\n\tPrivateKey: testEd25519PrivateKey,\n",
		"example of RFC 7617":     "// Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n",
		"line of 200 backslashes": "x = " + strings.Repeat(`\`, 200) + "\n",
		"usage log of 900 KB": many(9000, func(i int) string {
			return fmt.Sprintf("{\"event\":\"call\",\"input_tokens\":%d,\"output_tokens\":%d,\"cache_read_input_tokens\":%d,\"max_tokens\":4096}\n", i, i*2, i*3)
		}),
		"workflow of 512 KB": many(4500, func(i int) string {
			return fmt.Sprintf("SECRET_NAME_%d: ${{ secrets.NAME_%d }}\n  token: ${{ secrets.GITHUB_TOKEN }}\n  password: ${{ secrets.PW }}\n", i, i)
		}),
		"uuids": many(400, uuid),
		"git log": many(100, func(i int) string {
			return fmt.Sprintf("commit %x\nAuthor: Mia <mia@example.com>\nDate:   Mon Nov %d 10:00:00 2026 +0100\n\n    fix the %dth thing\n\n", raw(20), i%28+1, i)
		}),
		"git rebase": many(100, func(i int) string { return fmt.Sprintf("pick %x change %d\n", raw(4), i) }),
		"git index":  many(100, func(int) string { return fmt.Sprintf("index %x..%x 100644\n", raw(4), raw(4)) }),
		"package-lock": many(100, func(i int) string {
			return fmt.Sprintf("    \"node_modules/p%d\": {\n      \"version\": \"1.%d.0\",\n      \"resolved\": \"https://registry.npmjs.org/p%d/-/p%d-1.%d.0.tgz\",\n      \"integrity\": \"sha512-%s\",\n      \"license\": \"MIT\"\n    },\n", i, i, i, i, i, std64(string(raw(64))))
		}),
		"yarn.lock": many(60, func(i int) string {
			return fmt.Sprintf("p%d@^1:\n  resolved \"https://x/p#%x\"\n  integrity sha1-%s\n\n", i, raw(20), std64(string(raw(20))))
		}),
		"go.sum": many(100, func(i int) string {
			return fmt.Sprintf("example.com/m%d v1.2.%d h1:%s\n", i, i, std64(string(raw(32))))
		}),
		"Cargo.lock": many(100, func(i int) string {
			return fmt.Sprintf("[[package]]\nname = \"p%d\"\nversion = \"0.1.0\"\nchecksum = \"%x\"\n\n", i, raw(32))
		}),
		"sha256sum": many(100, func(i int) string { return fmt.Sprintf("%x  file-%d.tar.gz\n", raw(32), i) }),
		"docker":    many(40, func(int) string { return fmt.Sprintf("FROM alpine@sha256:%x\n", raw(32)) }),
		"sri": many(40, func(int) string {
			return fmt.Sprintf("<script src=\"/a.js\" integrity=\"sha384-%s\" nonce=\"%s\"></script>\n", std64(string(raw(48))), std64(string(raw(16))))
		}),
		"trace": many(100, func(int) string {
			return fmt.Sprintf("traceparent: 00-%x-%x-01 request_id=req_%s\n", raw(16), raw(8), random(r.Uint64(), 24, alnum))
		}),
		"model ids": many(100, func(int) string {
			return fmt.Sprintf("msg_01%s toolu_01%s call_%s chatcmpl-%s resp_%x fc_%x\n", random(r.Uint64(), 22, alnum), random(r.Uint64(), 22, alnum), random(r.Uint64(), 24, alnum), random(r.Uint64(), 29, alnum), raw(24), raw(24))
		}),
		"hexdump":     many(200, func(i int) string { return fmt.Sprintf("%08x  % x  |................|\n", i*16, raw(16)) }),
		"certificate": "-----BEGIN CERTIFICATE-----\n" + lines(64, "\n", std64(string(raw(900)))) + "\n-----END CERTIFICATE-----\n",
		"public key":  "-----BEGIN PUBLIC KEY-----\n" + lines(64, "\n", std64(string(raw(294)))) + "\n-----END PUBLIC KEY-----\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + url64(string(raw(31))) + " mia@host\n",
		"signature":   "-----BEGIN PGP SIGNATURE-----\n\n" + lines(64, "\n", std64(string(raw(500)))) + "\n=x7Qf\n-----END PGP SIGNATURE-----\n",
		"minified": many(800, func(i int) string {
			return fmt.Sprintf("function %s(e,t){var n=t.token||e.key;return n&&n.secret?%s[n.password]:void 0}", random(r.Uint64(), 2, alnum[10:]), random(r.Uint64(), 3, alnum[10:]))
		}),
		"code about secrets": "token := os.Getenv(\"GITHUB_TOKEN\")\nif password == \"\" { return errors.New(\"password is required\") }\ncfg.APIKey = viper.GetString(\"api_key\")\nconst tokenLength = 4096\nAuthorization: Bearer $TOKEN\nAuthorization: Bearer <your-api-key>\npostgres://user:password@localhost:5432/db\npassword: ${DB_PASSWORD}\nsecretKeyRef: {name: db, key: password}\nghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nsk-ant-api03-...\nAKIAXXXXXXXXXXXXXXXX\n",
		"escapes":            strings.Repeat(`\u00e9\n\t\"caf\u00e9\" %20%C3%A9 &eacute;&#233; \x1b[31m`, 300),
		"languages":          strings.Repeat("Привет мир, как дела? Γειά σου Κόσμε. 你好世界。こんにちは。안녕하세요. مرحبا بالعالم 🙂👩‍👩‍👧‍👦 naïve café\u00ad", 100),
	} {
		passes(t, g, name, text)
	}
}

func TestImagesPass(t *testing.T) {
	g := newGate(t, "balanced")
	r := rand.New(rand.NewPCG(5, 6))
	for _, mb := range []int{1, 5} {
		if raceEnabled || testing.Short() {
			mb = 1
		}
		image := make([]byte, mb<<20*3/4)
		for i := range image {
			image[i] = byte(r.Uint32())
		}
		copy(image, "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
		data := base64.StdEncoding.EncodeToString(image)
		for i, body := range []string{
			`{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + data + `"}}]}]}`,
			`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,` + data + `"}]}]}`,
			`{"contents":[{"parts":[{"inline_data":{"mime_type":"image/png","data":"` + data + `"}}]}]}`,
		} {
			m := models[i]
			expect(t, fmt.Sprintf("image of %d MB to %s", mb, m.name), quiet(t, g, m.send(m.url, body)))
		}
		expect(t, fmt.Sprintf("image of %d MB as it is", mb), quiet(t, g, post("image/png", string(image))))
	}
}

// TestCorpusPasses reads lines of JSON: of an object with payload, its url and
// body are sent; of one with text, the text; of any other, the line itself as
// arguments of a tool.
func TestCorpusPasses(t *testing.T) {
	dir := *corpus
	if dir == "" {
		dir = "testdata"
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, "balanced")
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(f)
		s.Buffer(nil, 64<<20)
		n := 0
		for ; s.Scan(); n++ {
			recorded(t, g, fmt.Sprintf("%s:%d", filepath.Base(name), n+1), s.Text())
		}
		f.Close()
		t.Logf("%s: %d", filepath.Base(name), n)
	}
}

func recorded(t *testing.T, g *gate.Gate, name, line string) {
	var v struct {
		Text    string
		Payload struct {
			Method, URL, Body string
			ContentType       string `json:"content_type"`
			Headers           map[string]string
		}
	}
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	switch {
	case v.Payload.URL != "":
		r := request{Method: v.Payload.Method, URL: v.Payload.URL, Body: v.Payload.Body}
		for n, h := range v.Payload.Headers {
			r.Header = append(r.Header, [2]string{n, h})
		}
		r.Header = append(r.Header, [2]string{"Content-Type", v.Payload.ContentType})
		for _, m := range models {
			if hostOf(m.url) == hostOf(r.URL) {
				r.Header = append(r.Header, [2]string{m.header[0], strings.Replace(m.header[1], "%s", m.key, 1)})
			}
		}
		if why := quiet(t, g, r); why != "" {
			t.Errorf("%s: %.300s", name, why)
		}
	case v.Text != "":
		passes(t, g, name, v.Text)
	default:
		m := models[0]
		if why := quiet(t, g, m.send(m.url, `{"model":"m","messages":[{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"x","input":`+line+`}]},{"role":"user","content":`+quoted(line)+`}]}`)); why != "" {
			t.Errorf("%s: %.300s", name, why)
		}
	}
}
