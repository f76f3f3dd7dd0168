// Package call holds the words the program speaks. A Call is one outbound act
// of an agent, a Finding is what an inspector saw in it, a Decision is what
// policy said about it, and a Record is what is kept of it.
//
// The package imports nothing of ours and is the only public one: SDKs, sinks
// and readers of the log share these types. Their JSON names are the format of
// the record (doc/record-format.md) and of every --json output; a name once
// released keeps its meaning.
//
// Order matters in three places. Marks are ordered by trust: Claimed < Signed <
// Observed. Verdicts are ordered by strictness: Allow < Hold < Block, and of
// several the strictest wins. The two leaves of a call are ordered in time:
// its "decided" record is in the log before the first byte leaves, its
// "closed" record follows with the outcome.
package call
