package trust

import (
	"strings"
	"testing"
)

func TestTheCureNamesWhatTheProgramReads(t *testing.T) {
	for program, want := range map[string]string{
		"node": "NODE_EXTRA_CA_CERTS", "/usr/bin/node": "NODE_EXTRA_CA_CERTS", "claude": "NODE_EXTRA_CA_CERTS", "node/20": "NODE_EXTRA_CA_CERTS",
		"python3.11": "REQUESTS_CA_BUNDLE", "/root/.pyenv/versions/3.11.7/bin/python3": "SSL_CERT_FILE", "python-requests/2.31.0": "REQUESTS_CA_BUNDLE",
		"pip3": "PIP_CERT", "pip/23.2.1 {\"ci\":null}": "PIP_CERT", "curl/8.5.0": "CURL_CA_BUNDLE", "Wget/1.21": "WGETRC", "wget2": "WGETRC", "git/2.39.5": "GIT_SSL_CAINFO",
		"git-remote-https": "GIT_SSL_CAINFO", "Go-http-client/1.1": "SSL_CERT_FILE", "cargo": "CARGO_HTTP_CAINFO", "java": "trustStore", "Java/17.0.2": "trustStore",
		"deno": "DENO_CERT", "bun": "NODE_EXTRA_CA_CERTS", "codex": "CODEX_CA_CERTIFICATE", "chromium": "nssdb", "Mozilla/5.0 (X11; Linux x86_64)": "nssdb", "aws": "AWS_CA_BUNDLE",
		"": "passthrough", "unheard-of": "passthrough", "3": "passthrough", "/": "passthrough", "  ": "passthrough",
	} {
		if got := Cure(program); !strings.Contains(got, want) {
			t.Errorf("the cure of %q is %q, which does not name %s", program, got, want)
		}
	}
}

// What the kit sets is what the cures tell, so that a table is not true of one
// only.
func TestEachVariableOfTheKitIsACure(t *testing.T) {
	var all strings.Builder
	all.WriteString(general)
	for _, c := range cures {
		all.WriteString(" " + c.text)
	}
	for _, v := range append([]string{takesOurs, "WGETRC"}, takesMerged...) {
		switch v {
		case "HTTPLIB2_CA_CERTS", "NIX_SSL_CERT_FILE":
			continue // libraries without a name of their own on the wire
		}
		if !strings.Contains(all.String(), v) {
			t.Errorf("no cure names %s, which the kit sets", v)
		}
	}
}
