package secret

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/inspect"
	"outvet/internal/match"
	"outvet/internal/payload"
)

// sent decodes and inspects a call as the gate does.
func sent(t testing.TB, in *Inspector, m *match.Matcher, d call.Dest, msg *payload.Message, body string) ([]call.Finding, *payload.Content) {
	t.Helper()
	c := payload.Decode(msg, []byte(body), payload.Limits{})
	var s match.Scratch
	hits, err := m.Scan(c.Text, &s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := in.Inspect(t.Context(), &inspect.Subject{Call: &call.Call{Dest: d}, Content: c, Hits: hits})
	if err != nil {
		t.Fatal(err)
	}
	return got, c
}

func post(contentType string) *payload.Message {
	return &payload.Message{Host: "example.com", Target: "/v1/x?limit=5", Header: http.Header{"Content-Type": {contentType}}}
}

func TestThroughPayload(t *testing.T) {
	in := newInspector(t, Options{Known: []Known{{Name: "deploy", Value: []byte("correct-horse-battery")}}})
	m := newEngine(t, in.patterns).m
	b64 := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		name string
		host string
		msg  *payload.Message
		body string
		want string
	}{
		{"JSON string", "example.com", post("application/json"), `{"a":{"b":["see ` + githubToken + `"]}}`, "secret/github-pat body/a/b/0"},
		{"JSON name and value", "example.com", post("application/json"), `{"db":{"password":"hunter2"}}`, "secret/generic-password body/db/password"},
		{"JSON with \\u", "example.com", post("application/json"), `{"a":"\u0067` + githubToken[1:] + `"}`, "secret/github-pat body/a"},
		{"JSON in JSON", "example.com", post("application/json"), `{"arguments":"{\"api_key\":\"q8Zt3LmX0pRw7VbN\"}"}`, "secret/generic-assignment body/arguments#json/api_key"},
		{"a name with a space", "example.com", post("application/json"), `{"api key":"q8Zt3LmX0pRw7VbN"}`, "secret/generic-assignment body/api%20key"},
		{"form", "example.com", post("application/x-www-form-urlencoded"), "a=b&client_secret=q8Zt3LmX0pRw7VbN&c=d", "secret/generic-assignment body/client_secret"},
		{"form, escaped", "example.com", post("application/x-www-form-urlencoded"), "a=" + url.QueryEscape("postgres://app:pa55w0rd@db/x"), "secret/connection-string body/a"},
		{"base64", "example.com", post("application/json"), `{"a":"` + b64([]byte("key: "+githubToken+" !")) + `"}`, "secret/github-pat body/a#base64"},
		{"hex", "example.com", post("text/plain"), hex.EncodeToString([]byte("key: " + githubToken)), "secret/github-pat body#hex"},
		{"split over fields", "example.com", post("application/json"), `{"a":"` + githubToken[:20] + `","b":"` + githubToken[20:] + `"}`, "secret/github-pat body/a+body/b"},
		{"known, reversed", "example.com", post("text/plain"), "x yrettab-esroh-tcerroc y", "secret/known/deploy body"},
		{"query", "example.com", &payload.Message{Host: "example.com", Target: "/x?token=" + githubToken}, "", "secret/github-pat query/token"},
		{"query, generic", "example.com", &payload.Message{Host: "example.com", Target: "/x?access_token=q8Zt3LmX0pRw7VbN"}, "", "secret/generic-assignment query/access_token"},
		{"path", "example.com", &payload.Message{Host: "example.com", Target: "/x/" + githubToken + "/y"}, "", "secret/github-pat path/1"},
		{"google key at home", "maps.googleapis.com", &payload.Message{Host: "maps.googleapis.com", Target: "/x?key=" + googleKey}, "", "credential/google-api-key query/key"},
		{"telegram at home", "api.telegram.org", &payload.Message{Host: "api.telegram.org", Target: "/bot" + telegramToken + "/sendMessage"}, "", "credential/telegram-bot-token path/0"},
		{"telegram elsewhere", "evil.example", &payload.Message{Host: "evil.example", Target: "/bot" + telegramToken + "/sendMessage"}, "", "secret/telegram-bot-token path/0"},
		{"slack webhook at home", "hooks.slack.com", &payload.Message{Host: "hooks.slack.com", Target: slackHookPath}, `{"text":"hello"}`, ""},
		{"authorization", "api.github.com", &payload.Message{Host: "api.github.com", Target: "/", Header: http.Header{"Authorization": {"Bearer " + githubToken}}}, "", "credential/github-pat header/authorization"},
		{"opaque", "api.example", &payload.Message{Host: "api.example", Target: "/", Header: http.Header{"X-Api-Key": {opaqueToken}, "Traceparent": {"00-94a065685d64c4980bb8d4544a8721a9-9a01ad219eb59cf6-01"}, "X-Request-Id": {opaqueToken}}}, "", "credential/api-key header/x-api-key"},
		{"git over https", "github.com", &payload.Message{Host: "github.com", Target: "/", Header: http.Header{"Authorization": {"Basic " + b64([]byte("x-access-token:"+githubToken))}}}, "", "credential/basic header/authorization, credential/github-pat header/authorization#base64"},
		{"git to another", "evil.example", &payload.Message{Host: "evil.example", Target: "/", Header: http.Header{"Authorization": {"Basic " + b64([]byte("x-access-token:"+githubToken))}}}, "", "credential/basic header/authorization, secret/github-pat header/authorization#base64"},
		{"cookie", "gitlab.com", &payload.Message{Host: "gitlab.com", Target: "/", Header: http.Header{"Cookie": {"a=b; session_token=q8Zt3LmX0pRw7VbN"}}}, "", "credential/api-key cookie/session_token"},
		{"a foreign token in a cookie", "evil.example", &payload.Message{Host: "evil.example", Target: "/", Header: http.Header{"Cookie": {"a=" + githubToken}}}, "", "secret/github-pat cookie/a"},
		{"a JSON Web Token in a cookie", "app.example", &payload.Message{Host: "app.example", Target: "/", Header: http.Header{"Cookie": {"a=" + jsonWebToken}}}, "", "credential/bearer cookie/a"},
		{"private JWK", "example.com", post("application/json"), `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`, "secret/jwk-private-key body/d"},
		{"text with escapes around", "example.com", post("text/plain"), "a&amp;b %20 c\\n " + githubToken + " caf\u00e9 \u0430", "secret/github-pat body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, content := sent(t, in, m, call.Dest{Host: c.host}, c.msg, c.body)
			var s []string
			for _, f := range got {
				s = append(s, f.Kind+" "+f.Part)
			}
			if g := strings.Join(s, ", "); g != c.want {
				t.Errorf("got  %s\nwant %s\n%q", g, c.want, content.Text)
			}
		})
	}
}
