package forward

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

var (
	errLoop       = errors.New("the upstream proxy is outvet itself")
	errAnswer     = errors.New("the server's answer cannot be understood")
	errAnswerLong = errors.New("the head of the server's answer is too long")
)

// A proxyFault says that the upstream proxy did not carry a call. Its text holds
// no byte that the proxy sent, and not the proxy's address, which is not the
// agent's to know.
type proxyFault struct {
	from  string // the setting that names the proxy
	login bool   // we have one

	status  int      // of the proxy's answer, 0 if it is the connection to it that failed
	typ     string   // for an answer: of RFC 9209
	code    int      // for an answer: for the client
	detail  string   // for an answer: what the proxy did
	schemes []string // of the login it asks for
	err     error    // else
}

func (e *proxyFault) Error() string {
	_, _, detail := e.describe()
	return detail
}

func (e *proxyFault) Unwrap() error { return e.err }

// describe returns a proxy error type, a status for the client and a clause.
func (e *proxyFault) describe() (typ string, status int, detail string) {
	who := "the upstream proxy"
	if e.from != "" {
		who += " (" + e.from + ")"
	}
	switch {
	case e.typ == typeLogin:
		return e.typ, http.StatusBadGateway, who + " " + e.loginAdvice()
	case e.typ != "":
		return e.typ, e.code, who + " " + e.detail
	case errors.Is(e.err, errLoop):
		return "proxy_loop_detected", http.StatusBadGateway, who + " is outvet itself; name another, or none with --upstream-proxy none"
	case errors.Is(e.err, errAnswer):
		return "http_protocol_error", http.StatusBadGateway, who + " gave an answer that cannot be understood; check its scheme and port"
	case errors.Is(e.err, errAnswerLong):
		return "http_response_header_section_size", http.StatusBadGateway, who + " gave an answer whose head is too long"
	case errors.Is(e.err, errProxyTime):
		return "connection_timeout", http.StatusGatewayTimeout, who + " did not say in time whether it reaches the server"
	}
	// The words for servers are right for proxies, too.
	c := Classify(e.err)
	detail = strings.ReplaceAll(c.Detail, "the server", "it")
	detail = strings.ReplaceAll(detail, "it's ", "its ")
	return c.Type, c.Status, who + " cannot be used: " + detail
}

const typeLogin = "proxy_configuration_error"

func (e *proxyFault) loginAdvice() string {
	switch {
	case len(e.schemes) > 0 && !slices.Contains(e.schemes, "Basic"):
		return fmt.Sprintf("asks for a login by %s, of which outvet speaks none, only Basic; put a proxy between that does", strings.Join(e.schemes, ", "))
	case e.login:
		return "does not take the user and password that its URL holds"
	}
	return "asks for a login: put USER:PASSWORD@ before the host of its URL"
}

// upstreamProxy knows the errors of upstream proxies.
func upstreamProxy(err error) (string, int, string) {
	var p *proxyFault
	if !errors.As(err, &p) {
		return "", 0, ""
	}
	return p.describe()
}

// faultLogin says that a proxy asks for a login in one of schemes.
func faultLogin(schemes []string) *proxyFault {
	return &proxyFault{typ: typeLogin, status: http.StatusProxyAuthRequired, schemes: schemes}
}

// fault says why a proxy does not connect.
func (a proxyAnswer) fault() *proxyFault {
	f := &proxyFault{status: a.status, code: http.StatusBadGateway}
	switch a.status {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized: // 401 is tinyproxy's word for a wrong login
		return faultLogin(a.schemes)
	case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusUnavailableForLegalReasons:
		f.typ, f.detail = "http_request_denied", fmt.Sprintf("does not let this destination through (status %d); ask who runs it", a.status)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusNotFound, http.StatusInternalServerError:
		f.typ, f.detail = "destination_unavailable", fmt.Sprintf("could not reach the server (status %d)", a.status)
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		f.typ, f.code, f.detail = "connection_timeout", http.StatusGatewayTimeout, fmt.Sprintf("could not reach the server in time (status %d)", a.status)
	default:
		f.typ, f.detail = "proxy_internal_response", fmt.Sprintf("answered with status %d instead of a connection", a.status)
	}
	return f
}

// faultSOCKS says what a SOCKS5 proxy's answer other than 0 means.
func faultSOCKS(reply byte) *proxyFault {
	f := &proxyFault{code: http.StatusBadGateway, typ: "destination_unavailable", detail: fmt.Sprintf("could not reach the server (SOCKS reply %d)", reply)}
	switch reply {
	case 2:
		f.typ, f.detail = "http_request_denied", "does not let this destination through (SOCKS reply 2); ask who runs it"
	case 3, 4:
		f.typ, f.detail = "destination_ip_unroutable", fmt.Sprintf("has no route to the server (SOCKS reply %d)", reply)
	case 5:
		f.typ, f.detail = "connection_refused", "says that the server refused the connection (SOCKS reply 5)"
	case 6:
		f.typ, f.code, f.detail = "connection_timeout", http.StatusGatewayTimeout, "could not reach the server in time (SOCKS reply 6)"
	case 7, 8:
		f.typ, f.detail = typeProtocol, fmt.Sprintf("does not do what it was asked (SOCKS reply %d)", reply)
	}
	return f
}

const typeProtocol = "http_protocol_error"
