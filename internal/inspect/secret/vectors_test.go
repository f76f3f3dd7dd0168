package secret

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"outvet/call"
	"outvet/internal/match"
	"outvet/internal/payload"
)

type vector struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Kind  string `json:"kind"`
	Text  string `json:"text"`
	B64   []byte `json:"text_b64"`
	Value []byte `json:"secret_b64"`
}

// otherwise are rows that their corpus calls negatives of one rule and that we
// report all the same, with the reason.
var otherwise = map[string]string{
	"gl/anthropic-api-key/fp2":                   "the admin key of the same issuer",
	"gl/cloudflare-global-api-key/fp0":           "an API token of the same issuer",
	"gl/cloudflare-global-api-key/fp1":           "an API token of the same issuer",
	"gl/cloudflare-global-api-key/fp2":           "an API token of the same issuer",
	"gl/cloudflare-global-api-key/fp3":           "an origin CA key of the same issuer",
	"gl/cloudflare-global-api-key/fp4":           "an origin CA key of the same issuer",
	"gl/cloudflare-origin-ca-key/fp0":            "a global key of the same issuer",
	"gl/cloudflare-origin-ca-key/fp1":            "a global key of the same issuer",
	"gl/cloudflare-origin-ca-key/fp2":            "a global key of the same issuer",
	"gl/cloudflare-origin-ca-key/fp3":            "an API token of the same issuer",
	"gl/cloudflare-origin-ca-key/fp4":            "an API token of the same issuer",
	"gl/cloudflare-origin-ca-key/fp5":            "an API token of the same issuer",
	"gl/curl-auth-header/fp8":                    "a JSON Web Token sent as authorization",
	"gl/mailchimp-api-key/fp0":                   "a random value named token",
	"gl/cisco-meraki-api-key/fp1":                "a random value named api-key",
	"gl/cisco-meraki-api-key/fp3":                "a random value named token",
	"gl/settlemint-application-access-token/fp0": "a random value named token",
	"gl/stripe-access-token/fp0":                 "a random value named token",
	"gl/telegram-bot-api-token/fp0":              "a random value named token",
	"gl/telegram-bot-api-token/fp1":              "a random value named token",
	"gl/telegram-bot-api-token/fp5":              "a random value named token",
	"gl/telegram-bot-api-token/fp6":              "a random value named token",
	"gl/telegram-bot-api-token/fp7":              "a random value named token",
	"gl/telegram-bot-api-token/fp8":              "a random value named token",
	"gl/telegram-bot-api-token/fp9":              "a random value named token",
	"gl/telegram-bot-api-token/fp10":             "a random value named token",
	"gl/generic-api-key/fp46":                    "a random value named apiKey",
}

// TestVectorsOfGitleaks: of 390 positives 390 are found, 389 of them with the
// span of the secret; of 273 negatives none is reported but the 27 above, each
// of which is a secret of another rule or a random value with a name that says
// so.
func TestVectorsOfGitleaks(t *testing.T) {
	in := newInspector(t, Options{})
	m := newEngine(t, in.patterns).m
	var positive, found, spanned, negative, reported int
	corpus(t, "gitleaks-vectors", func(line []byte) {
		v := parse[vector](t, line)
		got, c := sent(t, in, m, call.Dest{Host: "example.com"}, post("text/plain"), string(v.B64))
		switch {
		case v.Label == "block":
			positive++
			if len(got) == 0 {
				t.Errorf("%s: not found: %.200q", v.ID, v.B64)
				return
			}
			found++
			for _, f := range got {
				if overlap(c.Text[f.From:f.To], bytes.TrimSpace(v.Value)) {
					spanned++
					break
				}
			}
		case len(got) > 0:
			negative++
			if reported++; otherwise[v.ID] == "" {
				t.Errorf("%s: reported as %v: %.200q", v.ID, kinds(got), v.B64)
			}
		default:
			negative++
			if otherwise[v.ID] != "" {
				t.Errorf("%s: no longer reported; take it off the list", v.ID)
			}
		}
	})
	t.Logf("found %d of %d, with the span %d; reported %d of %d, %d without a reason", found, positive, spanned, reported, negative, reported-len(otherwise))
	if spanned*100 < positive*97 {
		t.Errorf("the span holds the secret in %d of %d", spanned, positive)
	}
}

func overlap(a, b []byte) bool { return bytes.Contains(a, b) || bytes.Contains(b, a) }

// TestBenignHighEntropy: 308 digests, integrity fields, ids, images and
// signatures, as text, as JSON and in a URL: no finding.
func TestBenignHighEntropy(t *testing.T) {
	in := newInspector(t, Options{})
	m := newEngine(t, in.patterns).m
	corpus(t, "benign-high-entropy", func(line []byte) {
		v := parse[vector](t, line)
		contentType := "text/plain"
		if strings.HasPrefix(v.Text, "{") {
			contentType = "application/json"
		}
		none(t, v.ID, in, m, post(contentType), v.Text)
		if strings.HasPrefix(v.Text, "https://") {
			none(t, v.ID, in, m, get(t, v.Text), "")
		}
	})
}

// TestBenignTraffic: the requests that agents sent to models, and tool calls.
func TestBenignTraffic(t *testing.T) {
	in := newInspector(t, Options{})
	m := newEngine(t, in.patterns).m
	n := 0
	corpus(t, "model-requests", func(line []byte) {
		r := parse[struct{ ID, URL, Type, Body string }](t, line)
		msg := get(t, r.URL)
		msg.Header["Content-Type"] = []string{r.Type}
		none(t, r.ID, in, m, msg, r.Body)
		n++
	})
	corpus(t, "toolcalls", func(line []byte) {
		none(t, "tool call", in, m, post("application/json"), string(line))
		n++
	})
	t.Logf("%d documents", n)
}

func none(t *testing.T, id string, in *Inspector, m *match.Matcher, msg *payload.Message, body string) {
	t.Helper()
	got, c := sent(t, in, m, call.Dest{Host: msg.Host}, msg, body)
	for _, f := range got {
		t.Errorf("%s: %s at %s: %.120q", id, f.Kind, f.Part, c.Text[max(0, f.From-30):min(len(c.Text), f.To+10)])
	}
}

func get(t *testing.T, address string) *payload.Message {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	msg := post("application/json")
	msg.Host, msg.Target = u.Hostname(), u.RequestURI()
	return msg
}

// TestEgressBench: of its URL and body cases, those that are about credentials.
func TestEgressBench(t *testing.T) {
	in := newInspector(t, Options{})
	m := newEngine(t, in.patterns).m
	elsewhere := map[string]bool{ // for other inspectors, or for policy
		"crypto-btc-bech32-002": true, "crypto-btc-p2pkh-001": true, "crypto-credit-card-006": true, "crypto-iban-007": true,
		"body-dlp-csv-pii-006": true, "url-domain-blocklist-001": true, "url-entropy-path-006": true, "url-entropy-subdomain-007": true,
		"enc-triple-url-009": true, // two letters
	}
	corpus(t, "egress-bench", func(line []byte) {
		c := parse[struct {
			ID, Label string
			Payload   struct {
				URL, Body string
				Type      string `json:"content_type"`
			}
		}](t, line)
		if elsewhere[c.ID] || strings.Contains(c.ID, "ssrf") || strings.HasPrefix(c.ID, "hostname-exfil") {
			return
		}
		msg := get(t, c.Payload.URL)
		msg.Header["Content-Type"] = []string{c.Payload.Type}
		got, content := sent(t, in, m, call.Dest{Host: msg.Host}, msg, c.Payload.Body)
		secrets := 0
		for _, f := range got {
			if strings.HasPrefix(f.Kind, "secret/") {
				secrets++
			}
		}
		if (secrets > 0) != (c.Label == "block") {
			t.Errorf("%s: want %s, found %v\n%.600q", c.ID, c.Label, kinds(got), content.Text)
		}
	})
}
