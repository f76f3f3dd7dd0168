// Package ca is the certificate authority of intercepted TLS: it answers a
// client that asks for a host with a certificate for that host, signed by an
// authority that the client was told to trust.
//
// # Files
//
//	DIR/ca.pem       0644  the certificate; clients trust it
//	DIR/keys/ca.key  0600  its private key (PKCS #8, PEM); never leaves the machine
//
// Open makes what is missing. The key comes first and the certificate is
// derived from it. Each file appears at once and complete (written beside,
// synced, then linked under its name), and a file that is there is never
// replaced. So several processes may open one directory at the same time: all
// end up with the same authority, and a crash between the two files leaves a
// key for which the next Open makes the certificate. A certificate whose key is
// missing is an error, never a reason to make a new authority in silence:
// every client would have to trust it anew.
//
// A certificate and key that were put there by hand (a company's intermediate
// authority, say) are used as they are if they fit each other. Further
// certificates in ca.pem are sent along as the chain.
//
// # The authority
//
// ECDSA P-256, name "outvet CA " and the first six hexadecimal digits of the
// SHA-256 of its public key, five years less a day, path length 0, key usage
// certificate signing, subject and authority key identifiers (RFC 5280 §4.2.1;
// Python 3.13 refuses certificates without them).
//
// # Leaves
//
// One certificate for each DNS name or address, without wildcards, all with
// one ECDSA P-256 key that lives as long as the process. A leaf is valid from
// one hour ago (clocks differ) for 48 hours, never longer than the authority,
// and is replaced long before its end. At most 2,048 leaves are kept; the one
// unused for longest goes first.
//
//	a, err := ca.Open(dir)
//	...
//	conf := a.TLSConfig(func(h *tls.ClientHelloInfo) (string, error) {
//		return h.ServerName, nil
//	})
//	tlsConn := tls.Server(conn, conf)
package ca
