package forward

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

// certificates knows what goes wrong in a TLS handshake.
func certificates(err error) (string, int, string) {
	if detail := certificate(err); detail != "" {
		return "tls_certificate_error", http.StatusBadGateway, detail
	}
	var (
		record tls.RecordHeaderError
		op     *net.OpError
	)
	switch text := err.Error(); {
	case errors.As(err, &op) && op.Op == "remote error":
		return "tls_alert_received", http.StatusBadGateway, said(op.Err.Error())
	case strings.Contains(text, "unsupported protocol version"), strings.Contains(text, "server selected unsupported protocol"):
		return "tls_protocol_error", http.StatusBadGateway, oldTLS
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "tls_protocol_error", http.StatusBadGateway, "the server does not speak TLS on this port"
	}
	return "", 0, ""
}

// certificate says what is wrong with a certificate, "" if err is of something
// else.
func certificate(err error) string {
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		system  x509.SystemRootsError
		weak    x509.InsecureAlgorithmError
	)
	text := err.Error() // of an unknown authority it gives a hint, which has no type
	switch {
	case errors.As(err, &host):
		return "the server's certificate is for another name"
	case errors.As(err, &unknown) && strings.Contains(text, "parent certificate cannot sign"):
		return "the server's certificate is signed by a certificate that may not sign"
	case errors.As(err, &weak), errors.As(err, &unknown) && strings.Contains(text, "insecure algorithm"):
		return "the server's certificate is signed with an algorithm that is broken, such as SHA-1"
	case errors.As(err, &system), errors.As(err, &unknown) && noSystemRoots():
		return "the server's certificate is signed by an unknown authority, and this machine knows none: install its CA certificates, or add them with --upstream-ca"
	case errors.As(err, &unknown):
		return "the server's certificate is signed by an unknown authority, or it did not send the intermediate certificates; if the authority is yours, add it with --upstream-ca"
	case errors.As(err, &invalid):
		return invalidity(invalid, time.Now())
	case strings.Contains(text, "-bit keys are insecure"):
		return "the key of the server's certificate is too short to be safe"
	case errors.As(err, &verify):
		return "the server's certificate cannot be verified"
	}
	return ""
}

func invalidity(e x509.CertificateInvalidError, now time.Time) string {
	whose := "the server's certificate"
	if e.Cert != nil && e.Cert.IsCA {
		whose = "the certificate of the server's authority"
	}
	switch {
	case e.Reason == x509.IncompatibleUsage:
		return "the server's certificate is not for servers"
	case e.Reason == x509.CANotAuthorizedForThisName, e.Reason == x509.CANotAuthorizedForExtKeyUsage:
		return "the authority of the server's certificate may not speak for this name"
	case e.Reason == x509.NotAuthorizedToSign, e.Reason == x509.TooManyIntermediates:
		return "the server's certificate is signed by a certificate that may not sign"
	case e.Reason != x509.Expired || e.Cert == nil:
		return "the server's certificate is not valid"
	case now.Before(e.Cert.NotBefore):
		return whose + " is valid only from " + e.Cert.NotBefore.Format(time.DateOnly)
	}
	return whose + " expired on " + e.Cert.NotAfter.Format(time.DateOnly)
}

const oldTLS = "the server speaks no TLS that is safe (1.2 or later)"

// said tells what an alert of the server means; text is crypto/tls's word for it.
func said(text string) string {
	for _, a := range []struct{ has, detail string }{
		{"protocol version", oldTLS},
		{"certificate required", wantsCertificate},
		{"bad certificate", wantsCertificate}, // so do servers of TLS 1.2 that want one
		{"unrecognized name", "the server knows no such name"},
		{"handshake failure", "the server broke off the TLS handshake: it has no method in common with outvet, or it asks for a client certificate"},
	} {
		if strings.Contains(text, a.has) {
			return a.detail
		}
	}
	return "the server broke off the TLS handshake"
}

const wantsCertificate = "the server asks for a client certificate, and outvet has none"
