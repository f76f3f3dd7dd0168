package trust

import (
	"path"
	"strings"
)

// A cure says for programs of some names what makes them trust us.
type cure struct {
	names string // of programs, without version numbers
	text  string
}

// cures is the table of Cure. $CA is the authority's certificate.
var cures = []cure{
	{"node nodejs npx yarn pnpm corepack tsx ts-node electron code-server claude claude-code gemini gemini-cli opencode copilot qwen cline n8n playwright", "set NODE_EXTRA_CA_CERTS"},
	{"npm", "set npm_config_cafile to a bundle with the system's roots and ours, or cafile= in .npmrc; scripts that it starts need NODE_EXTRA_CA_CERTS"},
	{"bun bunx", "set NODE_EXTRA_CA_CERTS (or cafile in bunfig.toml)"},
	{"deno", "set DENO_CERT, or DENO_TLS_CA_STORE=system where the system trusts ours"},
	{"codex", "set CODEX_CA_CERTIFICATE or SSL_CERT_FILE"},
	{"python pypy ipython jupyter uvicorn aider python-requests python-httpx aiohttp python-urllib openai anthropic crewai",
		"set SSL_CERT_FILE (urllib, httpx, aiohttp) and REQUESTS_CA_BUNDLE (requests), or replace the cacert.pem of its certifi"},
	{"pip pipx", "set PIP_CERT"},
	{"uv uvx", "set SSL_CERT_FILE"},
	{"poetry", "set REQUESTS_CA_BUNDLE"},
	{"conda mamba", "set REQUESTS_CA_BUNDLE, or ssl_verify in .condarc"},
	{"curl libcurl", "set CURL_CA_BUNDLE or SSL_CERT_FILE; look for --cacert, cacert in .curlrc, or a pinned key"},
	{"wget wget2", "put ca_certificate = FILE into a file that WGETRC names; it reads no other variable"},
	{"git git-remote-https git-lfs", "set GIT_SSL_CAINFO; it wins over http.sslCAInfo"},
	{"go go-http-client", "set SSL_CERT_FILE, or add ours to the system's bundle"},
	{"cargo", "set CARGO_HTTP_CAINFO; it wins over http.cainfo"},
	{"rustup", "set SSL_CERT_FILE"},
	{"java javac gradle mvn maven kotlin scala sbt apache-httpclient okhttp", "set JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=FILE, or add ours with keytool -importcert -cacerts"},
	{"chromium chromium-browser chrome google-chrome msedge headless_shell chromium-headless-shell mozilla", "add ours to its database: certutil -A -d sql:$HOME/.pki/nssdb -n outvet -t C,, -i ca.pem"},
	{"firefox", "set security.enterprise_roots.enabled, or add ours to the certificates of its profile"},
	{"aws boto3 botocore aws-cli", "set AWS_CA_BUNDLE"},
	{"gcloud gsutil bq", "set CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"},
	{"az", "set REQUESTS_CA_BUNDLE"},
	{"grpc grpc-python grpc-c grpcurl", "set GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"},
	{"perl libwww-perl cpan cpanm", "set PERL_LWP_SSL_CA_FILE"},
	{"ruby gem bundle bundler rake", "set SSL_CERT_FILE"},
	{"php composer", "set SSL_CERT_FILE, or openssl.cafile in php.ini"},
	{"dotnet nuget powershell pwsh", "set SSL_CERT_FILE"},
	{"openssl", "set SSL_CERT_FILE"},
	{"docker podman containerd buildkit", "its daemon fetches, outside of the sandbox; for a registry put ours into /etc/docker/certs.d/HOST/ca.crt"},
	{"gh terraform kubectl helm hugo", "set SSL_CERT_FILE"},
}

// general is for programs that are not known.
const general = "set SSL_CERT_FILE and NODE_EXTRA_CA_CERTS, or add ours to the system's bundle; if it brings its own list of authorities, or pins the server's, " +
	"name the host in a rule with tls: passthrough"

// Cure says in one sentence what makes a program trust us, by its name, its
// path, or the first word of its User-Agent. The variables name a file with our
// certificate; outvet run sets all of them, so inside something took it away.
func Cure(program string) string {
	name, _, _ := strings.Cut(strings.ToLower(path.Base(strings.TrimSpace(program))), " ")
	if p := strings.TrimSpace(program); strings.Contains(p, "/") && !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, ".") {
		name, _, _ = strings.Cut(strings.ToLower(p), "/") // a User-Agent: product/version
	}
	if text := look(name); text != "" {
		return text
	}
	if text := look(strings.TrimRight(name, "0123456789.-_ ")); text != "" { // python3.11, pip3, java-17
		return text
	}
	return general
}

func look(name string) string {
	for _, c := range cures {
		if n := " " + c.names + " "; name != "" && strings.Contains(n, " "+name+" ") {
			return c.text
		}
	}
	return ""
}
