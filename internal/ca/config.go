package ca

import (
	"crypto/tls"
	"slices"
)

// TLSConfig returns a server configuration that answers each client with the
// leaf of the host that next names, nil for the server name that the client
// sent. An error of next, or an empty host, ends the handshake.
//
// next is called once or twice in every handshake, resumed ones included, so
// it must be cheap and give the same answer. ClientHelloInfo.Conn is the
// connection given to tls.Server: a type of one's own there can carry the host
// of a tunnel.
//
// The configuration offers h2 and http/1.1, of which the client's offer
// decides; a client that offers neither gets no protocol rather than a failed
// handshake. Sessions resume by tickets. One configuration serves all hosts; it
// must not be changed.
func (a *Authority) TLSConfig(next func(*tls.ClientHelloInfo) (string, error)) *tls.Config {
	if next == nil {
		next = func(h *tls.ClientHelloInfo) (string, error) { return h.ServerName, nil }
	}
	protos := []string{"h2", "http/1.1"}
	conf := &tls.Config{
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			host, err := next(h)
			if err != nil {
				return nil, err
			}
			return a.Leaf(host)
		},
		// The path to the client is short; small first records would only
		// cost a system call each.
		DynamicRecordSizingDisabled: true,
	}
	bare := conf.Clone()
	conf.NextProtos = protos
	// Not GetCertificate alone: a resumed session asks for no certificate,
	// and next would have no say in it.
	conf.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if _, err := next(h); err != nil {
			return nil, err
		}
		known := func(p string) bool { return slices.Contains(protos, p) }
		if len(h.SupportedProtos) > 0 && !slices.ContainsFunc(h.SupportedProtos, known) {
			return bare, nil
		}
		return nil, nil
	}
	return conf
}
