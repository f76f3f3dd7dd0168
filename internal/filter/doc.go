// Package filter is the one filter language over records of calls, for the
// command line, the console, saved views and alerts.
//
//	expr = or
//	or   = and { "|" and }
//	and  = not { not }                       a space is "and"
//	not  = "!" not | "(" or ")" | term
//	term = field op value | text
//	op   = ":" | "~" | ">" | "<" | ">=" | "<="
//
// A value or text is a word, or is quoted with ", in which \" and \\ stand for
// themselves. A word ends at a space, a parenthesis or "|". Fields are
//
//	host path method proto status verdict rule mode agent session tool class
//	category finding by bytes new time id
//
// # What a term means
//
// field:value holds if the field equals the value, in which * stands for any
// characters; letters of ASCII are equal in either case. A field that holds
// several values (finding) needs one that fits. A call has no value for a
// field that does not apply to it: field:"" finds those.
//
// id:value also holds for the end of an ID, at least four characters long.
//
// field~value holds if the regular expression (RE2) matches somewhere in it.
//
// status and bytes are numbers. They compare with > < >= <= and take the units
// k m g (1000 each) and ki mi gi (1024 each). bytes are the bytes of the body
// that were sent, or are to be sent as long as the call is open.
//
// time compares with a point in time (2026-11-20, 2026-11-20T10:30,
// 2026-11-20T10:30:00Z; UTC if it says nothing else) or with an age (90s 30m
// 2h 7d 1w): time<2h are the calls younger than two hours. time:2026-11-20*
// is a pattern on the time in RFC 3339 (UTC).
//
// Text holds if it stands anywhere in host, path, method, rule, reason, agent,
// process, session, tool, principal, category, finding kinds, ID, error or note; letters of
// ASCII are equal in either case.
//
// class and new are words of the language for which records hold nothing yet:
// no call has a value for them.
//
// # Two ways to ask
//
// An [Expr] matches records in Go ([Expr.Match]) and becomes a condition of
// SQL over a table whose columns this package defines ([Expr.SQL]). Both agree;
// what SQL cannot say (~) it leaves open, and reports so.
package filter
