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
// # Rotation
//
//	DIR/keys/ca.next  0600  the successor: "finish: TIME", key, certificates
//
// Rotate makes a successor. During the overlap ca.pem holds the old and the new
// certificate, and the old one signs: clients take the new one up in their own
// time. At the end of the overlap, or by Finish, ca.next is renamed to ca.key, and
// ca.pem holds the new one alone. The old authority has signed the successor, too,
// and that certificate is sent along, so that a client that trusts only the old
// one goes on working until that expires. (An authority made before rotation was
// known, or elsewhere, with path length 0, cannot sign it: its clients must trust
// the new one before the end of the overlap.)
//
// Every step is one file that appears or is replaced at once, so that a crash
// between two leaves an authority that works; the next who opens the directory
// completes what was begun. A running Authority follows by Watch. When it finds
// the files broken or gone it goes on with what it has in memory.
//
// # The authority
//
// ECDSA P-256, name "outvet CA " and the first six hexadecimal digits of the
// SHA-256 of its public key, five years less a day, path length 1 (a successor
// and its leaves), key usage certificate signing, subject and authority key identifiers (RFC 5280 §4.2.1;
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
