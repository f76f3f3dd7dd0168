package answer_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/answer"
)

const id = call.ID("01JD0ABCDEFGHJ9K7Q2M")

func blocked() (*call.Decision, *call.Call) {
	return &call.Decision{Verdict: call.Block, Rule: "default", Code: "destination_not_allowed"},
		&call.Call{ID: id, Dest: call.Dest{Scheme: "https", Host: "api.x.com", Port: 443},
			Op: call.Op{Protocol: "http", Method: "POST", Target: "/v1/y"}}
}

// request builds a request from "METHOD URL" and header lines.
func request(line string, header ...string) *http.Request {
	method, url, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, url, nil)
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Add(k, v)
	}
	return r
}

func TestTheFirstDialectThatFitsIsUsed(t *testing.T) {
	const msg = `Blocked by egress policy: POST api.x.com/v1/y is not allowed in this session (rule default). Not retryable. Id 9K7Q2M.`
	for _, tc := range []struct {
		name   string
		r      *http.Request
		body   string
		status int
		kind   string
		want   string
	}{
		{"git", request("GET https://h/x", "User-Agent: git/2.51"), "", 403, "text/plain; charset=utf-8", msg + "\n"},
		{"git fetch", request("POST https://h/x/git-upload-pack", "User-Agent: git/2.51", "Content-Type: application/x-git-upload-pack-request"), "", 200,
			"application/x-git-upload-pack-result", "ERR " + msg + "\n0000"},
		{"git push", request("POST https://h/x/git-receive-pack", "User-Agent: git/2.51", "Content-Type: application/x-git-receive-pack-request"), "", 200,
			"application/x-git-receive-pack-result", "\x03" + msg + "0000"},
		{"go module", request("GET https://h/m/@v/list", "User-Agent: Go-http-client/2.0"), "", 403, "text/plain; charset=utf-8", msg + "\n"},
		{"go get", request("GET https://h/m?go-get=1", "User-Agent: Go-http-client/1.1"), "", 403, "text/plain; charset=utf-8", msg + "\n"},
		{"a Go program", request("GET https://h/m", "User-Agent: Go-http-client/1.1"), "", 403, "application/problem+json", `"code":"destination_not_allowed"`},
		{"npm", request("GET https://h/left-pad", "User-Agent: npm/10.1.0 node/v20"), "", 403, "application/json", `{"error":"` + msg + `"}`},
		{"registry", request("GET https://h/v2/library/x/manifests/1"), "", 403, "application/json", `{"errors":[{"code":"DENIED","message":"` + msg + `"}]}`},
		{"Anthropic", request("POST https://h/v1/messages?beta=true"), "", 400, "application/json", `{"error":{"message":"` + msg + `","type":"invalid_request_error"},"type":"error"}`},
		{"OpenAI responses", request("POST https://h/v1/responses"), "", 400, "application/json", `"code":"outvet_blocked"`},
		{"OpenAI chat", request("POST https://h/v1/chat/completions"), "", 400, "application/json", `"type":"invalid_request_error"`},
		{"Gemini", request("POST https://h/v1beta/models/g:streamGenerateContent"), "", 403, "application/json", `"status":"PERMISSION_DENIED"`},
		{"MCP tool", request("POST https://h/mcp", "Content-Type: application/json"), `{"method":"tools/call","params":{},"jsonrpc":"2.0","id":7}`, 200, "application/json", `{"id":7,"jsonrpc":"2.0","result":{"content":[{"text":"` + msg + `","type":"text"}],"isError":true}}`},
		{"MCP tool, new era", request("POST https://h/mcp", "Content-Type: application/json", "Mcp-Protocol-Version: 2026-07-28"), `{"jsonrpc":"2.0","id":"a","method":"tools/call"}`, 200, "application/json", `"resultType":"complete"`},
		{"other JSON-RPC", request("POST https://h/rpc", "Content-Type: application/json"), `{"jsonrpc":"2.0","id":"x\n","method":"eth_call"}`, 403, "application/json", `"id":"x\n","jsonrpc"`},
		{"JSON-RPC cut off", request("POST https://h/rpc", "Content-Type: application/json"), `{"jsonrpc":"2.0","method":"tools/call","params":{"a`, 403, "application/json", `"id":null`},
		{"GraphQL", request("POST https://h/graphql", "Content-Type: application/json"), `{"query":"{a}"}`, 403, "application/json", `"OUTVET_BLOCKED"`},
		{"S3", request("PUT https://b.s3.eu-central-1.amazonaws.com/k"), "", 403, "application/xml", "<Code>AccessDenied</Code><Message>" + msg + "</Message>"},
		{"S3 elsewhere", request("PUT https://minio.example/k", "X-Amz-Date: 1"), "", 403, "application/xml", "AccessDenied"},
		{"browser", request("GET https://h/", "Accept: text/html,*/*;q=0.8"), "", 403, "text/html; charset=utf-8", "<title>Blocked by egress policy</title>"},
		{"curl", request("GET https://h/", "Accept: */*"), "", 403, "application/problem+json", `"instance":"urn:outvet:call:` + string(id) + `"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, c := blocked()
			a := answer.For(tc.r, []byte(tc.body), d, c)
			if a.Status != tc.status || a.Header.Get("Content-Type") != tc.kind || !strings.Contains(string(a.Body), tc.want) {
				t.Errorf("got %d %s %s\nwant %d %s … %s", a.Status, a.Header.Get("Content-Type"), a.Body, tc.status, tc.kind, tc.want)
			}
		})
	}
}

func TestGRPCIsAnsweredByHeadersAlone(t *testing.T) {
	d, c := blocked()
	d.Rule, d.Reason = "r", "naïve 100%"
	a := answer.For(request("POST https://h/pkg.S/M", "Content-Type: application/grpc+proto"), nil, d, c)
	if a.Status != 200 || a.Header.Get("Grpc-Status") != "7" || a.Body != nil || a.Header["Content-Length"] != nil {
		t.Errorf("got %+v", a)
	}
	if m := a.Header.Get("Grpc-Message"); !strings.Contains(m, "na%C3%AFve 100%25") {
		t.Errorf("grpc-message %q", m)
	}
}

func TestTheHeaderTellsWhoRefusedAndNotToRetry(t *testing.T) {
	d, c := blocked()
	a := answer.For(request("POST https://api.x.com/v1/y"), nil, d, c)
	for k, want := range map[string]string{
		"Outvet-Call": "9K7Q2M", "X-Should-Retry": "false", "Retry-After": "",
		"Proxy-Status": `outvet; error=http_request_denied; details="rule=default id=9K7Q2M"`,
	} {
		if got := a.Header.Get(k); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
	if want := "Blocked by egress policy: POST api.x.com not allowed (id 9K7Q2M)"; a.Reason != want {
		t.Errorf("reason phrase %q, want %q", a.Reason, want)
	}
}

func TestTheDetailIsOneActionableSentencePerFact(t *testing.T) {
	for _, tc := range []struct {
		d    call.Decision
		want string
	}{
		{call.Decision{Verdict: call.Block, Rule: "default"}, "This request was not sent. Policy does not allow POST to api.x.com in this session. Retrying or using another tool, DNS or proxy will give the same result. Id 9K7Q2M."},
		{call.Decision{Verdict: call.Block, Rule: "r", Reason: "No uploads here."}, "This request was not sent. No uploads here. Retrying or using another tool, DNS or proxy will give the same result. Id 9K7Q2M."},
		{call.Decision{Verdict: call.Hold, Rule: "r", Reason: "x"}, "This request was not sent: x. Nobody can be asked yet; repeating it will give the same result. Id 9K7Q2M."},
		{call.Decision{Verdict: call.Block, Code: "approval_refused", Reason: "use the staging key"}, `Declined by reviewer: "use the staging key". Id 9K7Q2M.`},
		{call.Decision{Verdict: call.Block, Rule: "fault", Code: "fault", Reason: "outvet could not inspect the request. It was not sent."}, "outvet could not inspect the request. It was not sent. Id 9K7Q2M."},
	} {
		_, c := blocked()
		a := answer.For(request("POST https://api.x.com/v1/y"), nil, &tc.d, c)
		var doc struct {
			Detail    string
			Retryable bool
			Code      string
		}
		if err := json.Unmarshal(a.Body, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Detail != tc.want {
			t.Errorf("detail %q\nwant   %q", doc.Detail, tc.want)
		}
		if held := tc.d.Verdict == call.Hold; doc.Retryable || (doc.Code == "approval_pending") != held || a.Status != 403 {
			t.Errorf("held %v, told %+v with status %d", held, doc, a.Status)
		}
	}
}

func TestAPathThatMayHoldASecretIsNotRepeated(t *testing.T) {
	d, c := blocked()
	d.Rule, d.Reason = "no-secrets-out", "It carries a secret."
	d.Findings = []call.Finding{{Kind: "secret/x"}, {Kind: "secret/a"}, {Kind: "secret/x"}}
	c.Op.Target = "/t/hunter2"
	for _, r := range []*http.Request{request("GET https://h/", "User-Agent: git/2"), request("GET https://h/")} {
		a := answer.For(r, nil, d, c)
		if all := a.Reason + string(a.Body); strings.Contains(all, "hunter2") {
			t.Errorf("answer repeats the path: %s", all)
		}
	}
	if a := answer.For(request("GET https://h/"), nil, d, c); !strings.Contains(string(a.Body), `"findings":["secret/a","secret/x"]`) {
		t.Errorf("findings are not told: %s", a.Body)
	}
}

func TestAFaultDoesNotLookLikePolicy(t *testing.T) {
	_, c := blocked()
	p := answer.Problem{Status: 502, Title: "Upstream connection failed", Detail: "api.x.com:443 refused the connection", Code: "connection_refused", Error: "connection_refused", Retry: true}
	for _, r := range []*http.Request{
		request("POST https://h/v1/messages"), request("GET https://h/", "User-Agent: git/2"), request("GET https://h/"),
		request("GET https://h/", "Accept: text/html"), request("POST https://h/v1/responses"),
	} {
		a := answer.Fault(r, nil, p, c)
		if a.Status != 502 || strings.Contains(a.Reason+string(a.Body), "policy") || a.Header.Get("Outvet-Call") != "9K7Q2M" {
			t.Errorf("%d %s %s", a.Status, a.Reason, a.Body)
		}
	}
	if a := answer.Fault(request("GET https://h/"), nil, p, nil); a.Header["Outvet-Call"] != nil || a.Header.Get("Proxy-Status") != "outvet; error=connection_refused" {
		t.Errorf("without a call: %+v", a)
	}
	g := answer.Fault(request("POST https://h/p.S/M", "Content-Type: application/grpc"), nil, p, c)
	if g.Header.Get("Grpc-Status") != "14" {
		t.Errorf("gRPC: %v", g.Header)
	}
}

func TestHEADHasNoBody(t *testing.T) {
	d, c := blocked()
	a := answer.For(request("HEAD https://h/"), nil, d, c)
	if a.Body != nil || a.Header.Get("Content-Length") == "" {
		t.Errorf("got %+v", a)
	}
}

func TestStripRemovesWhatOnlyWeMaySay(t *testing.T) {
	h := http.Header{
		"Outvet-Call": {"X"}, "outvet-edits": {"3"}, "X-Other": {"1"},
		"Proxy-Status": {`cdn; details="a, outvet", outvet; error=http_request_denied`, `"Outvet"; error=x, ok`, `x", outvet; error=y`},
	}
	answer.Strip(h)
	if len(h) != 2 || strings.Join(h["Proxy-Status"], "|") != `cdn; details="a, outvet"|ok` {
		t.Errorf("left: %q", h)
	}
	h = http.Header{"Proxy-Status": {"outvet"}}
	if answer.Strip(h); len(h) != 0 {
		t.Errorf("left: %q", h)
	}
}
