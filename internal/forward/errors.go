package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"golang.org/x/net/http2"

	"outvet/internal/hostname"
	"outvet/internal/http1"
)

// ErrClosed is the cause of an Error after Close.
var ErrClosed = errors.New("the forwarder is closed")

// An Error says why a call did not get through, in words for the client and
// for the record. Its text holds no byte that the other side sent.
type Error struct {
	Type   string // a proxy error type of RFC 9209 §2.3: dns_error, connection_refused, …
	Status int    // for the client: 403 for an address that policy refuses, 400 for a malformed host, else 502, 503 or 504
	Host   string // that was called, if known
	Detail string // one clause, with advice where there is some
	Err    error  // the cause; may quote what the other side sent
}

func (e *Error) Error() string {
	if e.Host == "" {
		return "forward: " + e.Detail
	}
	return "forward: " + e.Host + ": " + e.Detail
}

func (e *Error) Unwrap() error { return e.Err }

// Lasting reports whether the same call will fail in the same way until a person
// changes something: repeating it is of no use.
func (e *Error) Lasting() bool {
	switch e.Type {
	case "tls_certificate_error", "tls_protocol_error", "destination_ip_prohibited", "http_request_error", "http_request_denied",
		"proxy_configuration_error", "proxy_loop_detected":
		return true
	}
	var dns *net.DNSError
	return errors.As(e.Err, &dns) && dns.IsNotFound
}

// Classify says what kind of fault err is, of RoundTrip, of Dial, or of reading
// a response or a raw connection. It returns nil for nil.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	e = &Error{Err: err}
	for _, f := range []func(error) (string, int, string){ours, upstreamProxy, names, certificates, network, messages, streams} {
		if e.Type, e.Status, e.Detail = f(err); e.Type != "" {
			return e
		}
	}
	e.Type, e.Status, e.Detail = "http_protocol_error", http.StatusBadGateway, "the server's answer cannot be understood"
	return e
}

// given adds to err that the caller gave up and why, if so: the transports tell
// the one or the other.
func given(ctx context.Context, err error) error {
	if over := ctx.Err(); over != nil {
		return fmt.Errorf("%w (%w): %w", over, context.Cause(ctx), err)
	}
	return err
}

// fault classifies err of a call to host.
func fault(err error, host string) *Error {
	e := *Classify(err)
	if e.Host == "" {
		e.Host = host
	}
	return &e
}

// ours knows the errors that this package makes and those of the caller.
func ours(err error) (typ string, status int, detail string) {
	var refused *Refused
	var host *hostname.Error
	var unsent *unsendable
	var answer *http1.Error
	switch {
	case errors.As(err, &refused):
		return "destination_ip_prohibited", http.StatusForbidden, refused.Error()
	case errors.As(err, &host):
		return "http_request_error", http.StatusBadRequest, host.Error()
	case errors.Is(err, ErrClosed):
		return "proxy_internal_error", http.StatusServiceUnavailable, ErrClosed.Error()
	case errors.As(err, &unsent):
		return "http_request_error", http.StatusBadRequest, unsent.say()
	case errors.As(err, &answer) && answer.Status == http.StatusRequestHeaderFieldsTooLarge:
		return "http_response_header_section_size", http.StatusBadGateway, "the head of the server's answer is too long"
	case errors.As(err, &answer):
		return "http_protocol_error", http.StatusBadGateway, "the server's answer is malformed"
	case errors.Is(err, errSwitched), errors.Is(err, errInterim):
		return "http_protocol_error", http.StatusBadGateway, "the server sent an answer that was not asked for, or too many before the last"
	case errors.Is(err, context.Canceled):
		return "connection_terminated", http.StatusBadGateway, "the call was given up before it was answered"
	}
	return "", 0, ""
}

func names(err error) (string, int, string) {
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns):
		return "", 0, ""
	case dns.IsNotFound:
		return "dns_error", http.StatusBadGateway, "there is no such name in the DNS"
	case dns.IsTimeout:
		return "dns_timeout", http.StatusGatewayTimeout, "the DNS did not answer in time"
	}
	return "dns_error", http.StatusBadGateway, "the DNS could not be asked"
}

func network(err error) (string, int, string) {
	var op *net.OpError
	dialling := errors.As(err, &op) && op.Op == "dial"
	var timeout interface{ Timeout() bool }
	late := errors.As(err, &timeout) && timeout.Timeout()
	switch text := err.Error(); {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused", http.StatusBadGateway, "the server refused the connection"
	case noRoute(err):
		return "destination_ip_unroutable", http.StatusBadGateway, "there is no route to the server"
	case strings.Contains(text, "timeout awaiting response headers"), strings.Contains(text, "timeout awaiting response"):
		return "http_response_timeout", http.StatusGatewayTimeout, "the server did not answer in time"
	case strings.Contains(text, "TLS handshake timeout"):
		return "connection_timeout", http.StatusGatewayTimeout, "the server did not complete the TLS handshake in time"
	case errors.Is(err, errDialTime), late && dialling:
		return "connection_timeout", http.StatusGatewayTimeout, errDialTime.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "http_response_timeout", http.StatusGatewayTimeout, "the call's time was over before it was answered"
	case late || errors.Is(err, os.ErrDeadlineExceeded):
		return "connection_read_timeout", http.StatusGatewayTimeout, "the server fell silent"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "connection_limit_reached", http.StatusServiceUnavailable, "this machine has no file descriptors left"
	case dialling && errors.Is(err, syscall.EADDRINUSE):
		return "connection_limit_reached", http.StatusServiceUnavailable, "this machine has no local port left to connect from"
	case dialling && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)):
		return "destination_unavailable", http.StatusBadGateway, "this machine does not let outvet connect there: look at its firewall"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED),
		errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed),
		strings.Contains(text, "server closed idle connection"), strings.Contains(text, "connection lost"):
		return "connection_terminated", http.StatusBadGateway, "the server closed the connection before it answered"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "http_response_incomplete", http.StatusBadGateway, "the server closed the connection in the middle of its answer"
	case dialling:
		why := ""
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			why = ": " + errno.Error()
		}
		return "destination_unavailable", http.StatusBadGateway, "the connection could not be made" + why
	case strings.Contains(text, "tls: "):
		return "tls_protocol_error", http.StatusBadGateway, "the TLS handshake with the server went wrong"
	}
	return "", 0, ""
}

// noRoute reports whether nothing was sent, for lack of a way.
func noRoute(err error) bool {
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// messages knows the errors of net/http that have no types. They quote the
// other side, so none is passed on.
func messages(err error) (string, int, string) {
	text := err.Error()
	for _, m := range []struct{ has, typ, detail string }{
		{"server response headers exceeded", "http_response_header_section_size", "the head of the server's answer is too long"},
		{"too many 1xx", "http_protocol_error", "the server sent too many informational answers"},
		{"invalid header field", "http_request_error", "the request has a header field that cannot be sent"},
		{"invalid method", "http_request_error", "the request has a method that cannot be sent"},
		{"invalid Upgrade request header", "http_request_error", "the request cannot be sent over HTTP/2"},
		{"invalid trailer", "http_request_error", "the request has a trailer that cannot be sent"},
		{"unsupported protocol scheme", "http_request_error", "the request has a scheme that cannot be sent"},
		{"ContentLength=", "http_request_error", "the request's body is not as long as it says"},
	} {
		if strings.Contains(text, m.has) {
			status := http.StatusBadGateway
			if m.typ == "http_request_error" {
				status = http.StatusBadRequest
			}
			return m.typ, status, m.detail
		}
	}
	return "", 0, ""
}

// streams knows the errors of HTTP/2.
func streams(err error) (string, int, string) {
	var stream http2.StreamError // net/http's copy of the type turns into it
	switch {
	case errors.As(err, &stream):
		return "http_protocol_error", http.StatusBadGateway, fmt.Sprintf("the server ended the stream with %v", stream.Code)
	case strings.Contains(err.Error(), "GOAWAY"), strings.Contains(err.Error(), "client conn could not be established"):
		return "connection_terminated", http.StatusBadGateway, "the server closed the connection before it answered"
	}
	return "", 0, ""
}
