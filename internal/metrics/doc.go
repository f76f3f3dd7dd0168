// Package metrics counts what the records say, for Prometheus. It is a sink of
// the gate: it knows nothing that the record does not, and the record never
// waits for it. Handler serves the text and OpenMetrics forms from a registry of
// its own.
//
//	outvet_decisions_total{verdict,rule,agent}  decisions; a call that is stopped under way has two
//	outvet_request_duration_seconds{phase}      policy: until decided, without inspecting, with the wait for the body
//	                                            inspect: decoding and inspecting
//	                                            upstream: from the decision to the end, of calls that reached an address
//	outvet_inspect_bytes_total                  decoded text that was inspected
//	outvet_approvals_pending                    calls that wait for a person
//	outvet_approval_wait_seconds                how long they waited
//	outvet_dns_queries_total{verdict}           DNS queries
//	outvet_record_lag_entries                   entries of the log not yet under a signed checkpoint
//	outvet_tls_distrust_total{client}           clients that refused our certificate, told once a minute each
//	outvet_build_info{version,go,revision}      1
//	outvet_calls_open                           calls that were let pass and are not over
//	outvet_killed                               1 while the kill switch stops all calls
//	go_*, process_*                             of the process
//
// Units are seconds and bytes. No label holds a host, a path or a session:
// agents choose those.
//
// # Labels are bounded
//
// verdict is allow, hold or block; what was decided and not enforced is
// hold_observed or block_observed. rule is the name of a rule; names beyond the
// first 1,000 (of policies that came and went) are "other". agent and client are
// one of a fixed list of programs, by the product of what they claim to be, or a
// name that was observed or signed; of those the first 64. All others are
// "unknown": an agent that calls itself something else each time makes no new
// series.
//
// # Cost
//
// A record of a known combination takes no memory and one shared lock.
package metrics
