// Package gate is the way of one call, from the listener to the record. Read
// it first.
//
//	Open:  session → policy (head) → payload → inspectors → policy (full) → record "decided"
//	Close: record "closed" → sinks
//
// A listener turns bytes into a call.Call and a payload.Message, calls Open
// before anything leaves, sends what the Message then holds, and calls Close
// exactly once. There is no other way to a decision and none to a record.
//
// # Laws
//
//   - Nothing leaves unrecorded: the decided record is in the log when Open
//     returns an allowing Passage. If it cannot be written the call is blocked
//     by rule "fault"; both records follow when the log is healed.
//   - A verdict is not an error. Where our own machinery fails (an inspector,
//     the log, a body that cannot be edited) the call is blocked by rule
//     "fault", also in observe mode: nothing passes by accident.
//   - The head comes first: what destination, method, path and session decide
//     is decided before a body byte is read.
//   - A body up to Limits.Body is read and inspected whole and then edited. A
//     longer one, one without an end, and one whose sender pauses is inspected in
//     overlapping windows while it leaves (windows.go); messages of long-lived
//     streams are inspected one by one (Passage.Frame). In both a finding can
//     edit or stop what has not left yet, and the closed record says how much had.
//   - No secret enters the record: spans of the target and host in which
//     something was found are masked.
package gate
