// Package hello reads a TLS ClientHello without answering it, so that a
// connection can be judged by the name that it asks for before anything is
// dialled, and passed on as it came.
//
// It is stricter than servers are: what it accepts means one thing. A hello
// with a doubled extension, two names, a name that is not ASCII, an empty
// record or a byte after its end is malformed here, and whoever asked has to
// end TLS instead of passing it on. Where crypto/tls accepts the same bytes, it
// reads the same name and protocols (FuzzReadAgreesWithCryptoTLS).
//
//	record     16 03 0x, length, a piece of the handshake message (RFC 8446 §5.1)
//	handshake  01, length of 3 bytes, ClientHello (RFC 8446 §4.1.2)
//
// The message may be cut into records anywhere, and records into reads. All of
// it has 64 KiB at most.
package hello
