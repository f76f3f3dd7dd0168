package secret

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/payload"
)

// issued are made-up keys of issuers, most of them without a checksum.
var issued = []struct{ kind, key, home string }{
	{"anthropic-api-key", anthropicKey, "api.anthropic.com"},
	{"openai-api-key", "sk-" + "proj-" + strings.Repeat("Zq7Kd0aWx_", 8) + "T3Blbk" + "FJ" + strings.Repeat("p4Jd0aPqxR", 7), "api.openai.com"},
	{"openai-api-key", "sk-" + strings.Repeat("Zq7Kd0aWxs", 2) + "T3Blbk" + "FJ" + strings.Repeat("p4Jd0aPqxR", 2), "api.openai.com"},
	{"google-api-key", googleKey, "generativelanguage.googleapis.com"},
	{"groq-key", "gs" + "k_" + strings.Repeat("Zq7Kd0aWxs4u", 4) + "pQ9x", "api.groq.com"},
	{"xai-key", "x" + "ai-" + strings.Repeat("Zq7Kd0aWxsP4uJ1bTm9L", 4), "api.x.ai"},
	{"slack-token", "xox" + "b-" + "123456789012-1234567890123-" + "Zq7Kd0aWxsP4uJd0aPqxR4tU", "slack.com"},
	{"stripe-key", "sk_" + "live_" + "Zq7Kd0aWxsP4uJd0aPqxR4tUk2Lm9N1b", "api.stripe.com"},
	{"sendgrid-key", "S" + "G." + "Zq7Kd0aWxsP4uJd0aPqxR4" + "." + "Zq7Kd0aWxsP4uJd0aPqxR4tUk2Lm9N1bZq7Kd0aWxsP", "api.sendgrid.com"},
	{"github-pat", githubToken, "api.github.com"},
	{"github-fine-grained-pat", "github" + "_pat_11" + "Zq7Kd0aWxsP4uJd0aPqx" + "_" + "Zq7Kd0aWxsP4uJd0aPqxR4tUk2Lm9N1bZq7Kd0aWxsPZq7Kd0aWxsP4uJd", "api.github.com"},
	{"gitlab-pat", "gl" + "pat-" + "Zq7Kd0aWxsP4uJd0aPqx", "gitlab.com"},
	{"huggingface-token", "h" + "f_" + "ZqKdaWxsPuJdaPqxRtUkLmNbZqKdaWxsPu", "huggingface.co"},
}

// ways are the authentication positions in which a key is sent.
var ways = []struct{ header, before, after string }{
	{"Authorization", "Bearer ", ""},
	{"Authorization", "bearer ", ""},
	{"Authorization", "Bearer  ", ""},
	{"Authorization", "token ", ""},
	{"Authorization", "Token token=", ""},
	{"Authorization", "Bearer \"", "\""},
	{"Authorization", "", ""},
	{"Proxy-Authorization", "Bearer ", ""},
	{"X-Api-Key", "", ""},
	{"Api-Key", "", ""},
	{"X-Goog-Api-Key", "", ""},
	{"Private-Token", "", ""},
	{"X-Acme-Token", "", ""},
	{"X-Acme-Api-Key", "Bearer ", ""},
	{"Cookie", "sid=", ""},
	{"Cookie", "a=b; access_token=", "; c=d"},
}

func TestKeyOfAnIssuerIsACredentialAtHomeAndASecretElsewhere(t *testing.T) {
	in := newInspector(t, Options{})
	m := newEngine(t, in.patterns).m
	for _, k := range issued {
		for _, w := range ways {
			for _, d := range []struct {
				dest call.Dest
				want string
			}{
				{call.Dest{Host: k.home}, "credential/" + k.kind},
				{call.Dest{Host: "gateway.example", Credentials: []string{k.kind}}, "credential/" + k.kind},
				{call.Dest{Host: "evil.example"}, "secret/" + k.kind},
				{call.Dest{Host: k.home + ".evil.example"}, "secret/" + k.kind},
				{call.Dest{Host: strings.ReplaceAll(k.home, ".", "-") + ".example"}, "secret/" + k.kind},
				{call.Dest{Host: "api.mistral.ai"}, "secret/" + k.kind},
			} {
				msg := &payload.Message{Host: d.dest.Host, Target: "/v1", Header: http.Header{w.header: {w.before + k.key + w.after}}}
				got, _ := sent(t, in, m, d.dest, msg, "")
				if s := strings.Join(kinds(got), " "); s != d.want {
					t.Errorf("%s: %s%s…%s to %s: got %q, want %q", w.header, w.before, k.kind, w.after, d.dest.Host, s, d.want)
				}
			}
		}
		// As the user or the password of Basic authentication.
		for _, pair := range []string{k.key + ":", ":" + k.key, "x:" + k.key, k.key + ":x"} {
			for host, want := range map[string]string{k.home: "credential/" + k.kind, "evil.example": "secret/" + k.kind} {
				msg := &payload.Message{Host: host, Target: "/v1", Header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}}}
				got, _ := sent(t, in, m, call.Dest{Host: host}, msg, "")
				if s := kinds(got); len(s) != 2 || !slices.Contains(s, "credential/basic") || !slices.Contains(s, want) {
					t.Errorf("Basic with %s to %s: %q", k.kind, host, s)
				}
			}
		}
	}
}

func TestMarkedKeyIsFoundBehindAnyByte(t *testing.T) {
	in := newInspector(t, Options{})
	e := newEngine(t, in.patterns)
	marked := map[string]bool{"anthropic-api-key": true, "openai-api-key": true, "slack-token": true, "stripe-key": true, "github-pat": true, "github-fine-grained-pat": true, "gitlab-pat": true}
	for _, k := range issued {
		for _, before := range []string{"x", "X", "7", "_", "the key is", "\n3"} {
			p := fields("body", "a "+before+k.key+" b")
			got := strings.Join(kinds(look(t, in, e, "example.com", p)), " ")
			switch want := "secret/" + k.kind; {
			case marked[k.kind] && got != want:
				t.Errorf("%s behind %q: got %q", k.kind, before, got)
			case !marked[k.kind] && before == "x" && got != "":
				t.Errorf("%s behind %q: got %q: its beginning is one that chance makes", k.kind, before, got)
			}
		}
	}
	for _, innocent := range []string{
		"git checkout desk-admin-panel-redesign-2026-rollout",
		"task-proj-12-move-the-service-to-region-eu-2",
		"ask-or-v1-of-the-api",
		"xAKIA0000IOSFODNN7EXAMPLE",
	} {
		if got := kinds(look(t, in, e, "example.com", fields("body", innocent))); len(got) > 0 {
			t.Errorf("%q: %q", innocent, got)
		}
	}
}

func TestKeyInTheGuiseOfAJSONWebTokenIsASecret(t *testing.T) {
	in := newInspector(t, Options{})
	e := newEngine(t, in.patterns)
	head := jsonWebToken[:strings.LastIndexByte(jsonWebToken, '.')+1]
	for _, k := range issued {
		if k.kind != "anthropic-api-key" && k.kind != "github-fine-grained-pat" && k.kind != "gitlab-pat" && k.kind != "stripe-key" {
			continue
		}
		p := fields("header/authorization", "Bearer "+head+k.key)
		if got := kinds(look(t, in, e, "evil.example", p)); len(got) != 1 || got[0] != "secret/"+k.kind {
			t.Errorf("%s: %q", k.kind, got)
		}
	}
}

func TestBeginningsThatChanceDoesNotMake(t *testing.T) {
	for expr, want := range map[string]bool{
		`sk-ant-(?:api|sid)[0-9]{2}`:               true,
		`xox(?:b|p)-[0-9]{8}`:                      true,
		`(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{10}`:  true,
		`(?i:do[opr]_v1_)[0-9a-f]{64}`:             true,
		`sk-(?:proj-)?[0-9A-Za-z]{20}`:             false,
		`ghp_[0-9A-Za-z]{30}`:                      false,
		`AKIA[A-Z0-9]{16}`:                         false,
		`AIzaSyAbc`:                                false,
		`[0-9A-Za-z]{14}\.atlasv1\.`:               false,
		`(?:EAAA[0-9]{22}|sq0atp-[0-9A-Za-z]{22})`: false,
		`(?:[a-p][a-p][a-p]|[0-9])x-abcdef`:        false,
	} {
		if got := distinctive(expr); got != want {
			t.Errorf("%s: %v", expr, got)
		}
	}
}
