// Package forward carries admitted calls upstream. It is the only package that
// dials out.
//
// # Laws
//
//  1. The address dialled is the address checked. A name is looked up once for
//     each connection, after policy admitted the call; every address that comes
//     back is judged by the call's guard, and the connection is made to an
//     address, not to a name. A name with one refused address is refused. Only
//     an upstream proxy that looks names up can do otherwise: see there.
//  2. Every spelling is judged as what it means. hostname.Canonical brings a host to
//     one spelling or calls it malformed; listeners use it, too, so that policy
//     and dialler speak of the same host.
//  3. A connection opened under one guard never serves a call of another:
//     pools are kept by what the guard says.
//  4. Upstream certificates are verified (chain, name, dates) against the
//     system's roots and Options.Roots. Nothing turns that off.
//  5. A call leaves as it came: HTTP/1.1 for a client of HTTP/1.1, HTTP/2 where
//     the server has it for a client of HTTP/2; no User-Agent, no
//     Accept-Encoding, no compression of ours; 1xx, trailers, upgrades and both
//     directions of a stream pass.
//
// # Addresses
//
// Refused by default are the special-purpose ranges of IANA's registries
// (loopback, private, link-local, carrier-grade NAT, documentation,
// benchmarking, multicast, reserved, …), all IPv6 outside 2000::/3, the
// tunnels of old (6to4, Teredo), addresses at which clouds serve metadata, and
// this machine's own addresses. Addresses of 64:ff9b::/96 (NAT64) are judged by
// the IPv4 address in them. A NAT64 prefix of an operator's own cannot be known
// from here: a policy refuses it by name.
//
// Three things change that: Guard.Admit admits ranges although special;
// ConnectTo, the operator's word for one host and port, admits the address it
// names; Guard.Refuse refuses ranges and wins over both.
//
// An IPv4 address in an IPv6 one (NAT64, 6to4, Teredo, ISATAP, …) is held against
// Guard.Refuse, too.
//
// # Upstream proxies
//
// Options.Proxies names the proxies that lead out of a network, one each for
// http, https and raw connections. Four kinds are spoken: http and https (TLS to
// the proxy, verified), with CONNECT, or absolute form for DialFor("http", …);
// socks5 and socks5h (RFC 1928). Logins are Basic, and user and password for
// SOCKS.
//
//   - http, https and socks5h are given the name as it was called: a network with
//     such a proxy often knows no name of outside. What this side finds out
//     within a second is judged as ever. If it finds nothing, the call goes on,
//     and Via says that the name was looked up there; but a guard that refuses
//     ordinary addresses is not satisfied. Whatever was found, the proxy may find another
//     address: what inside it lets its clients reach is its to guard.
//   - socks5 is given the address that was checked; law 1 holds.
//   - An address is judged as without a proxy.
//   - What is on this machine, by its spelling or by all its addresses, goes
//     without, and what NO_PROXY names.
//   - The proxy's own address needs no admission. It is no destination: who could
//     talk to it as a client could go anywhere. A proxy that is one of our own
//     listeners (Avoid) is not asked.
//   - Connections through it are pooled like others, by guard, scheme, host and
//     port.
//   - Its user and password are in no text: String, errors and Via leave them
//     out. Errors name the setting it comes from, not its address, which is not
//     the agent's to know.
//
// # Connections
//
// A server that is offered HTTP/2 and has none is spoken to as any other of
// HTTP/1.1, and offered it again after 90 s.
//
// Idle connections are kept for 90 s, 64 for one host. A request goes again over
// a new connection, without the caller seeing it, only if it is idempotent
// (GET, HEAD, OPTIONS, TRACE, or with an Idempotency-Key) or if no byte of it
// was written, and if its body is empty or has Request.GetBody. So a caller that
// holds a whole body should set GetBody: a server that closes an idle
// connection just then costs nothing. There is no limit of time on an answer or
// a stream, only on looking up and connecting (10 s) and the TLS handshake
// (10 s); an HTTP/2 connection that is silent for 30 s is pinged.
//
// # Errors
//
// Dial, DialFor and RoundTrip return an *Error: the proxy error type of RFC 9209, a
// status for the client, and a clause for people that quotes nothing of what
// the other side sent. An address that policy refuses is 403 with a *Refused as
// its cause, a malformed host 400; 502, 503 and 504 are faults of the network. The
// fault of an upstream proxy begins "the upstream proxy (HTTPS_PROXY) …": a login
// it asks for, a destination it does not let through, and so on. Revocation of
// certificates is not asked for.
//
//	f := forward.New(forward.Options{})
//	defer f.Close()
//	var tr forward.Trace
//	req = req.WithContext(forward.WithTrace(ctx, &tr))
//	resp, err := f.RoundTrip(req, decision.Guard, forward.ProtoOf(in))
//	if err != nil {
//		e := forward.Classify(err) // e.Type, e.Status, e.Detail
//	}
//	outcome.Address = tr.Address().String()
package forward
