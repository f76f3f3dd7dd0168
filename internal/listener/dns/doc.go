// Package dns is the resolver that agents are given. It answers over UDP and
// TCP, and puts every question to the gate.
//
// # Two ways of answering for addresses
//
// In a sealed sandbox (Server.Names is set) every well-formed name has a stand-in
// address of package synthetic, allowed or not, for 1 s. Nobody is asked. What
// policy says of the look-up stands in the record; the client is told it by the
// connection, where it shows it: a name that is not there or refused makes
// clients ask three to six times and print nothing of use.
//
// Without a sandbox (Names is nil) a look-up that policy admits is resolved by
// package forward, which judges the addresses and dials no others for that name
// while the client may use them. One that it does not admit is refused.
//
// # What is answered
//
//	A, AAAA        as above
//	HTTPS, SVCB    that there is nothing: no keys for ECH, no hint at HTTP/3
//	other types    what the name servers say, if policy lets the query out
//	               (see package policy), asked for in words of our own; else REFUSED
//	NULL, KEY, SIG, ANY, AXFR, IXFR, MAILA, MAILB, TKEY, TSIG, OPT, and classes
//	               other than IN: REFUSED, whatever policy says
//	PTR            of loopback and of stand-ins: from here. Of others, if refused:
//	               no such name
//	localhost and below: loopback
//	single labels, top-level domains that nobody has or that are for special use
//	               (local, internal, onion, arpa, …), and the canary by which
//	               browsers ask whether they may go around us: no such name, from
//	               here, unless a rule or destination of the policy names the host.
//	               So what a search domain makes of a name leads nowhere.
//
// A refusal is REFUSED, with Blocked (15) of extended DNS errors (RFC 8914) and
// the sentence of package answer as its text where the client takes EDNS. A
// fault of ours is SERVFAIL.
//
// # The record
//
// A question is one call, protocol dns, method the type, target the name.
// Refused questions and those in which something was found have a record each
// time. One that is let pass and answered with an address stands for its
// repetitions too, by the same session, for ten minutes and as long as the same
// policy is in force and nothing was stopped: the closed record says how often it
// was asked (outcome.times). What concerns this side alone (localhost, PTR of loopback and
// of stand-ins) is no call.
//
// # Hostile clients
//
// What is no query gets no answer; a malformed one FORMERR. Names are compared in
// lower case and answered in the case in which they came. Bounded are the
// stand-ins, the calls that stand for repetitions, questions and connections
// under way, in all and of each session, and the questions a second of a session
// that need a decision: what goes beyond is dropped, since nothing of it has left. An answer over UDP is never longer than
// the client says, nor than 1232 bytes; beyond that it is cut and the client asks
// over TCP.
package dns
