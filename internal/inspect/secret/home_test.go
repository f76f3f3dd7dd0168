package secret

import (
	"slices"
	"strings"
	"testing"

	"outvet/call"
)

// Made-up tokens, in pieces so that no scanner of repositories takes them for
// real ones.
var (
	githubToken    = "ghp" + "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"
	anthropicKey   = "sk-ant-" + "api03-" + strings.Repeat("k3Jd0aPq_R", 9) + "x7-AA"[:1] + "QAA"
	googleKey      = "AI" + "zaSyB3kQ9xLw2Vt7Hn4Rj8Zc5Pm1Ds6Fg0Ux4"
	awsKey         = "AKIA" + "IOSFODNN7EXAMPLE"
	telegramToken  = "7361122327:" + "AAH8w2uueXdcpng84as5vhfaQzetji35vo7"
	jsonWebToken   = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	opaqueToken    = "f3a9b2c17d604e8895ab31cc02de77fa"
	slackHookPath  = "/services/T0DCUJB1Q/B0DD08H5G/" + "bJtrpFi1fO1JMCcwLx8uZyAg"
	googleRefresh  = "1//0" + "gx7Tn3kLq9wEvCgYIARAAGBASNwF-L9Ir5mP2sXyZ8bHcQaR4tUvW"
	privateKeyText = "-----BEGIN " + "EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY/PuoAoGCCqGSM49\nAwEHoUQDQgAEPR3tU2Fta9ktY+6P9G0cWO+0kETA6SFs38GecTyudlHz6xvCdz8q\n-----END " + "EC PRIVATE KEY-----"
)

func kinds(fs []call.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Kind)
	}
	slices.Sort(out)
	return out
}

func TestCredentialAtHomeIsNotASecret(t *testing.T) {
	in := newInspector(t, Options{Known: []Known{{Name: "deploy", Value: []byte("correct-horse-battery"), Home: []string{"corp.example"}}}})
	e := newEngine(t, in.patterns)
	for _, c := range []struct {
		name  string
		host  string
		named []string // by the policy, for this destination
		parts []string
		want  string
	}{
		{"token at its issuer", "api.github.com", nil, []string{"header/authorization", "authorization", "header/authorization", "Bearer " + githubToken}, "credential/github-pat"},
		{"token with its own scheme", "api.github.com", nil, []string{"header/authorization", "authorization", "header/authorization", "token " + githubToken}, "credential/github-pat"},
		{"token at another host", "evil.example", nil, []string{"header/authorization", "authorization", "header/authorization", "Bearer " + githubToken}, "secret/github-pat"},
		{"a name that only ends like the issuer's", "notgithub.com", nil, []string{"header/authorization", "Authorization", "header/authorization", "Bearer " + githubToken}, "secret/github-pat"},
		{"a name that begins like the issuer's", "github.com.evil.example", nil, []string{"header/authorization", "Authorization", "header/authorization", "Bearer " + githubToken}, "secret/github-pat"},
		{"the policy names it", "ghe.corp.example", []string{"github-pat"}, []string{"header/authorization", "Authorization", "header/authorization", "Bearer " + githubToken}, "credential/github-pat"},
		{"the policy names its kind", "ghe.corp.example", []string{"credential/github-pat"}, []string{"header/authorization", "Authorization", "header/authorization", "Bearer " + githubToken}, "credential/github-pat"},
		{"the policy names all", "ghe.corp.example", []string{"*"}, []string{"header/authorization", "Authorization", "header/authorization", "Bearer " + githubToken}, "credential/github-pat"},
		{"the policy names another", "ghe.corp.example", []string{"gitlab-pat"}, []string{"header/authorization", "Authorization", "header/authorization", "Bearer " + githubToken}, "secret/github-pat"},
		{"at its issuer but in the body", "api.github.com", []string{"*"}, []string{"body/text", githubToken}, "secret/github-pat"},
		{"in the header and in the body", "api.github.com", nil, []string{"header/authorization", "authorization", "header/authorization", "Bearer " + githubToken, "body", githubToken}, "credential/github-pat secret/github-pat"},
		{"as the password of git", "github.com", nil, []string{"header/authorization", "x-access-token:" + githubToken}, "credential/github-pat"},
		{"in a header that authenticates nothing", "api.github.com", nil, []string{"header/user-agent", githubToken}, "secret/github-pat"},
		{"x-api-key of its issuer", "api.anthropic.com", nil, []string{"header/x-api-key", "x-api-key", "header/x-api-key", anthropicKey}, "credential/anthropic-api-key"},
		{"x-api-key of another", "api.openai.com", nil, []string{"header/x-api-key", "x-api-key", "header/x-api-key", anthropicKey}, "secret/anthropic-api-key"},
		{"query key of its issuer", "maps.googleapis.com", nil, []string{"query/key", googleKey}, "credential/google-api-key"},
		{"another query field of its issuer", "maps.googleapis.com", nil, []string{"query/q", googleKey}, "secret/google-api-key"},
		{"query key of another", "evil.example", nil, []string{"query/key", googleKey}, "secret/google-api-key"},
		{"path of its issuer", "api.telegram.org", nil, []string{"path/0", "bot" + telegramToken, "path/1", "sendMessage"}, "credential/telegram-bot-token"},
		{"path of another", "evil.example", nil, []string{"path/0", "bot" + telegramToken}, "secret/telegram-bot-token"},
		{"refresh at its issuer", "oauth2.googleapis.com", nil, []string{"body/refresh_token", "refresh_token", "body/refresh_token", googleRefresh}, "credential/google-refresh-token"},
		{"refresh elsewhere", "evil.example", nil, []string{"body/refresh_token", "refresh_token", "body/refresh_token", googleRefresh}, "secret/google-refresh-token"},
		{"signature of AWS", "s3.eu-west-1.amazonaws.com", nil, []string{"header/authorization", "authorization", "header/authorization", "AWS4-HMAC-SHA256 Credential=" + awsKey + "/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("0a", 32)}, "credential/aws-access-key"},
		{"opaque bearer", "api.example", nil, []string{"header/authorization", "authorization", "header/authorization", "Bearer " + opaqueToken}, "credential/bearer"},
		{"opaque basic", "api.example", nil, []string{"header/authorization", "authorization", "header/authorization", "Basic dXNlcjpodW50ZXIyaHVudGVyMg=="}, "credential/basic"},
		{"opaque api key", "api.example", nil, []string{"header/x-api-key", "X-Api-Key", "header/x-api-key", opaqueToken}, "credential/api-key"},
		{"JSON Web Token as a bearer", "api.example", nil, []string{"header/authorization", "authorization", "header/authorization", "Bearer " + jsonWebToken}, "credential/bearer"},
		{"JSON Web Token in a body", "api.example", nil, []string{"body/note", jsonWebToken}, "secret/jwt"},
		{"JSON Web Token in a path", "api.example", nil, []string{"path/1", jsonWebToken}, "secret/jwt"},
		{"private key in a header", "api.example", nil, []string{"header/authorization", "authorization", "header/authorization", privateKeyText}, "secret/private-key"},
		{"known value at home", "git.corp.example", nil, []string{"header/authorization", "authorization", "header/authorization", "Bearer correct-horse-battery"}, "credential/known/deploy"},
		{"known value elsewhere", "api.example", nil, []string{"header/authorization", "authorization", "header/authorization", "Bearer correct-horse-battery"}, "secret/known/deploy"},
		{"known value in a body at home", "git.corp.example", nil, []string{"body", "is it correct-horse-battery?"}, "secret/known/deploy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := fields(c.parts...)
			d := &call.Dest{Host: c.host, Credentials: c.named}
			got, err := in.inspect(d, p.text, p, e.scan(t, p.text))
			if err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(kinds(got), " "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

func TestNamesAndValues(t *testing.T) {
	in := newInspector(t, Options{})
	e := newEngine(t, in.patterns)
	for _, c := range []struct {
		parts []string
		want  string // value found; "" for none
	}{
		{[]string{"body", "PASSWORD=hunter2"}, "hunter2"},
		{[]string{"body", "export DB_PASSWORD='S3cure!pass'"}, "S3cure!pass"},
		{[]string{"body", "password: SuperSecretDBPass!2026\napi:"}, "SuperSecretDBPass!2026"},
		{[]string{"body/password", "password", "body/password", "hunter2"}, "hunter2"},
		{[]string{"body/db/passwords", "passwords", "body/db/passwords/0", "hunter22"}, "hunter22"},
		{[]string{"body/api_key", "api_key", "body/api_key", "q8Zt3LmX0pRw7VbN"}, "q8Zt3LmX0pRw7VbN"},
		{[]string{"query/token", "token", "query/token", "q8Zt3LmX0pRw7VbN"}, "q8Zt3LmX0pRw7VbN"},
		{[]string{"body/env/0/name", "name", "body/env/0/name", "DB_PASSWORD", "body/env/0/value", "value", "body/env/0/value", "hunter22"}, "hunter22"},
		{[]string{"body", `api_key: "q8Zt3LmX0pRw7VbN"`}, "q8Zt3LmX0pRw7VbN"},
		{[]string{"body", `const clientSecret: string = "q8Zt3LmX0pRw7VbN";`}, "q8Zt3LmX0pRw7VbN"},
		{[]string{"body", "mysql --password q8Zt3LmX0pRw7VbN -h db"}, "q8Zt3LmX0pRw7VbN"},
		{[]string{"body", "?a=b&access_token=q8Zt3LmX0pRw7VbN&c=d"}, "q8Zt3LmX0pRw7VbN"},
		{[]string{"body", "<password>hunter2!</password>"}, "hunter2!"},
		{[]string{"body", `<add key="Password" value="hunter2!" />`}, "hunter2!"},
		{[]string{"body", "postgres://app:pa55w0rd@db:5432/x"}, "pa55w0rd"},
		{[]string{"body", "Server=db;Database=x;User Id=app;Password=pa55w0rd!;"}, "pa55w0rd!"},
		{[]string{"body", "machine api.example login me password pa55w0rd"}, "pa55w0rd"},
		{[]string{"body", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\ndata:\n  user: YWRtaW5pc3RyYXRvcg==\n"}, "YWRtaW5pc3RyYXRvcg=="},

		{[]string{"body", "JWT_SECRET=MySecretKey2026ForProd9"}, "MySecretKey2026ForProd9"},
		{[]string{"body", "DB_PASSWORD=S3cure9pass7Qx2Lm; ./run (again)"}, "S3cure9pass7Qx2Lm"},

		{[]string{"body", `run(["psql", "db_password=S3cure9pass7Qx2Lm"]);`}, "S3cure9pass7Qx2Lm"},
		{[]string{"body", `{"cmd": "docker run -e db_password=S3cure9pass7Qx2Lm"}`}, "S3cure9pass7Qx2Lm"},
		{[]string{"body", `{"cmd": "db_password=S3cure9pass7Qx2Lm ./run"}`}, "S3cure9pass7Qx2Lm"},
		{[]string{"body", `{\"args\": [\"--password=S3cure9pass7Qx2Lm\"]}`}, "S3cure9pass7Qx2Lm"},
		{[]string{"body", `exec('mysql', '--password=S3cure9pass7Qx2Lm');`}, "S3cure9pass7Qx2Lm"},
		{[]string{"body", "x = `api_secret=Zq7Kd0aWxsP4uJd0`;"}, "Zq7Kd0aWxsP4uJd0"},
		{[]string{"body", "password=param2Value3;"}, ""},
		{[]string{"body", `f("password=" + pass2);`}, ""},
		{[]string{"body", `f("password=${pass2}", "password={pass2}", "password=%s2", "password=$pass2");`}, ""},
		{[]string{"body", `f("password=password2");`}, ""},
		{[]string{"body", `f("SELECT * FROM t WHERE password='" + p2 + "'");`}, ""},
		{[]string{"body", "token = getToken()"}, ""},
		{[]string{"body", "token = tokens[i+1]"}, ""},
		{[]string{"body", "password: String"}, ""},
		{[]string{"body", "password = password2;"}, ""},
		{[]string{"body", "<Row key={item.id} token={props.token1234}>"}, ""},
		{[]string{"body", "secret = config.auth.secret2"}, ""},
		{[]string{"body", "PASSWORD=${DB_PASSWORD1}"}, ""},
		{[]string{"body", "PASSWORD=$DB_PASSWORD1"}, ""},
		{[]string{"body", "password: <your password 1>"}, ""},
		{[]string{"body", "password: {{ .Values.password1 }}"}, ""},
		{[]string{"body", "API_KEY=xxxxxxxxxxxxxxxx1"}, ""},
		{[]string{"body", "max_tokens: 4096, token_type: bearer1234567890ab"}, ""},
		{[]string{"body/max_tokens", "max_tokens", "body/temperature", "q8Zt3LmX0pRw7VbN"}, ""},
		{[]string{"body/password", "password", "body/hint", "hunter2"}, ""},
		{[]string{"body/next_page_token", "next_page_token", "body/next_page_token", "q8Zt3LmX0pRw7VbN"}, ""},
		{[]string{"body/tool_call_id", "tool_call_id", "body/tool_call_id", "call_q8Zt3LmX0pRw7VbN"}, ""},
		{[]string{"body", "key = 4b1d0c9f8e7a6b5c4d3e2f1a0b9c8d7e"}, ""},
		{[]string{"body", "the secret: a long and happy life2"}, ""},
		{[]string{"body", "secretName: my-app-db-secret-1"}, ""},
		{[]string{"body", "secret: my-app-db-credentials-1"}, ""},
		{[]string{"body", "password: required|min:8"}, ""},
		{[]string{"body", "PrivateKey:  testP256PrivateKey,"}, ""},
		{[]string{"body", "PrivateKey: testEd25519PrivateKey,"}, ""},
		{[]string{"body", "secret := keys.testP256Secret(a1)"}, ""},
		{[]string{"body", "token = tls13Test.x509KeyPair2Token"}, ""},
		{[]string{"body", "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, ""},
		{[]string{"body", "authorization = QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, ""},
		{[]string{"body", "basic QWxhZGRpbjpPcGVuU2VzYW1l"}, ""},
		{[]string{"body", "curl -u 'Aladdin:open sesame' http://x"}, ""},
		{[]string{"body", `{"type": "password", "minLength": 8}`}, ""},
	} {
		p := fields(c.parts...)
		got := look(t, in, e, "example.com", p)
		switch {
		case c.want == "":
			for _, f := range got {
				t.Errorf("%q: %s: %q", c.parts, f.Kind, p.text[f.From:f.To])
			}
		case len(got) != 1 || string(p.text[got[0].From:got[0].To]) != c.want:
			t.Errorf("%q: %v", c.parts, kinds(got))
			for _, f := range got {
				t.Errorf("  %q", p.text[f.From:f.To])
			}
		}
	}
}
