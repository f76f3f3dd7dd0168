// Package inside answers a sandboxed command that asks outvet about itself, over
// the unix socket at sandbox.AgentSocket.
//
//	GET /v1/status      a Status: the session, its grade, the policy, how many calls
//	GET /v1/calls/ID    an Answer: what became of a call of this session, and why
//
// ID is that of an answer or any tail of it that is not ambiguous, of at least four
// characters. All else is refused, as are requests with a body.
//
// # What it tells
//
// What it tells, the agent could know: what it did itself, and what it was
// answered. So it knows one session, from that session's records alone (a Ledger
// is a sink of the gate); it has no look-up in the log. There is no path of the
// machine in it, no place in a policy file, no span, digest or score of a finding
// by which one could try out how to stay below a rule, and no error of the network
// of the machine. Nothing can be changed by it.
//
// # Who asks
//
// Any process of the sandbox, and each may be hostile. Requests are limited in
// size, time, number and rate; what is beyond waits or is refused, and costs the
// command that asks so much and no call of anybody. The socket stands in the
// sandbox, where the command can replace it: then it deceives itself.
package inside
