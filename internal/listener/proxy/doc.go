// Package proxy is the explicit proxy: the listener for clients that were told
// to use one. It takes absolute-form HTTP requests, CONNECT and SOCKS 5 on one
// port.
//
// # What passes and what does not
//
// A CONNECT is always answered with 200, because clients hide every other
// answer and take it for an outage. Nothing is dialled for it. A connection that
// begins with 0x05 speaks SOCKS 5 (RFC 1928, 1929): CONNECT is granted in the
// same way, other commands are answered 0x07, SOCKS 4 is answered 0x5B. The first
// bytes that follow say what the tunnel is for:
//
//	0x16              TLS. If policy names the host for it, it passes unread (see
//	                  below). Else it ends here, with a certificate of our own;
//	                  HTTP/1.1 and HTTP/2 inside are judged request by request
//	a hello of SSL 2  refused by an alert, and recorded
//	METHOD and space  HTTP in the clear, judged request by request; so is HTTP/2
//	                  that begins without TLS (PRI), which leaves so, too
//	anything else,    a raw connection, judged once by its destination and then
//	or nothing in     in windows of what the client sends
//	250 ms            (20 ms at a port where servers speak first)
//
// A raw connection whose client turns to TLS in its midst (STARTTLS and its like)
// cannot be read from there on. The record says so, and policy decides over it as
// over all that is uninspected, unless it lets the TLS of the host pass unread.
//
// Other listeners hand connections over that are tunnels from their first byte
// (Entry): the same holds for them. Their clients asked for no proxy, so what
// cannot be told in HTTP or by an alert is told by a reset.
//
// A request is described by gate.HTTP, judged by gate.Open, and then either
// refused in the client's dialect (package answer) or sent on as the gate left
// it. The proxy adds no field to it and removes only those that end here:
// hop-by-hop fields, Proxy-Authorization, Txn-Token, Outvet-*, and Expect, whose
// 100 (Continue) we send. The host of a request must be that of its tunnel, and
// so must the TLS server name; else the answer is 421.
//
// Nothing leads back to a port where this program itself listens, in whatever
// spelling: a request is answered 508, a raw connection closed, SOCKS answered
// 0x02, and the record says so. A CONNECT within a tunnel is refused (400)
// and recorded.
//
// Responses are passed on as they come, each read flushed, with 1xx answers and
// trailers. Alt-Svc is removed: it would lead the client past us. A response
// that breaks off upstream breaks off for the client, too.
//
// A client that ends its sending side when its request is complete gets its
// answer, in the clear and in TLS (close_notify). One that is gone ends its call: in
// TLS that shows at once, since the connection ends, too. In the clear the system
// tells of a client on this machine (Linux, the same network namespace) whether a
// program still holds its socket; another one counts as gone when its system resets
// the connection: at the second piece of an answer, or at a probe of the idle
// connection, which takes a minute. An empty line before a request is refused,
// although RFC 9112 §2.2 lets servers skip one.
//
// # Records
//
// Each request is one call, with its decided and closed record. A CONNECT is
// no call of its own unless nothing inside it was one: then it gets a record
// (protocol connect) whose outcome says what happened, such as a client that
// does not trust our certificate authority. Repeats of that within a minute,
// from one session to one host, are told once. A tunnel that a client made in
// advance and closed after TLS without a word was no attempt and leaves none; but
// one closed within a second of the handshake, by a client that has not made a call
// to the host, counts as distrust: some look at the certificate only then.
//
// # TLS that passes unread
//
// Where a rule with tls: passthrough names the host of a tunnel, the ClientHello
// is read (package hello) and not answered. If its server name is the host, or
// the host is an address and there is none, the connection is one call of protocol
// tls: judged, then dialled under the guard, then copied in both directions as it
// is until both ends are closed or the policy in force stops it. Its record has
// the grade unread. A hello with another name, or that is malformed, is answered
// here instead, and the record of what comes of that says why. A call refused at
// that point is told by the alert access_denied, since who trusts only the host
// itself can be told nothing more.
//
// # Odd hellos
//
//	no server name              the host of the tunnel counts
//	another server name         its requests are answered 421
//	encrypted (ECH)             what is inside cannot be read; the name outside counts.
//	                            A client that only made it up goes on; one that
//	                            gives up leaves a record
//	TLS 1.1 and older           the alert protocol_version, and a record
//	early data, ALPN without    an alert, and a record with advice
//	HTTP, a dot at the end of
//	the name, malformed
//
// # Who is calling
//
// The user name of Proxy-Authorization: Basic, or of SOCKS, names the session, as
// a claim; its parent is the session of the peer's address, which is observed.
// Any password will do. Without a name the session is the peer's address. With
// Identify a request without one is answered 407, SOCKS without one 0xFF: git and
// Chromium name themselves only then. Nothing is recorded of that. The agent is what User-Agent or
// Originator claims, and so is its conversation, in a field of its own. Which
// program made the connection is found out beside the call, if Witness is set.
//
// # An example on the wire
//
//	> CONNECT paste.example:443 HTTP/1.1
//	< HTTP/1.1 200 Connection established
//	> (TLS) POST /api HTTP/1.1
//	< (TLS) HTTP/1.1 403 Blocked by egress policy: POST paste.example not allowed (id 9K7Q2M)
//
// # WebSocket
//
// A WebSocket (RFC 6455), over HTTP/1.1 or as a stream of HTTP/2 (RFC 8441), is
// one call of protocol ws: its handshake is judged like any request, that of
// HTTP/2 as the GET that it stands for. The server is asked over HTTP/1.1. Then
// each message of the client is judged, whole and inflated, before a byte of it
// leaves. Messages that policy does not edit keep
// their frames and their compression, byte for byte but for a new masking key;
// an edited one leaves as one uncompressed frame, and so do those after it if
// they would refer to it. Control frames pass a message in whose midst they
// came; what they carry is judged too. What the server says passes as it comes.
// Of the extensions only permessage-deflate is passed on, because the messages
// of others could not be read.
//
//	a refused message   client: 1008 and why, before it, of a model API, the event of an error
//	                    server: 1001, nothing of the message; the closed record says aborted
//	broken frames       1002 to both; 1007 for what is no text or does not inflate
//	a message too long  1009, at Limits.Body, whole or inflated, or by Limits.Ratio
//	no memory for it    1013
//	Shutdown            1001 to both, at once
//
// Each message is judged by itself: what is split over two is not found.
//
// # HTTP/2
//
// net/http speaks it; TestHTTP2Conforms runs h2spec against it and lists what
// fails. Each stream is judged for itself: one for another host than that of the
// tunnel is misdirected (421), as is a field Host that differs from :authority
// malformed (400). An extended CONNECT for something else than a WebSocket, which
// could be a tunnel of its own, is answered by 501. All of these leave records.
//
//	streams at a time      250; a client that resets faster than handlers end loses its connection
//	head                   64 KiB, frames of 16 KiB
//	unread of a stream     128 KiB, of a connection 2 MiB: sixteen stalled streams stall no other
//	who takes nothing      is reset after StallTime; a connection likewise
//	an idle connection     holds 50 KB after small messages, twice that after large ones
//
// A stream that the server resets is reset for the client, always with
// INTERNAL_ERROR: the library knows no other code. A client that resets one is
// gone for the server at once.
//
// # gRPC
//
// The messages of a client are judged one by one, whole and inflated (package
// payload). A refusal is a grpc-status: 7, in the head if nothing was answered
// yet, else in the trailer. A stream that the server resets ends in a trailer
// with the status that gRPC gives the code of the reset.
package proxy
