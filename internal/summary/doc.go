// Package summary tells a person what a session did: the lines at its start
// (Banner) and the table at its end (Report). It is made of records and of nothing
// else: a Session is a sink of the gate while a session lasts, and takes the calls
// of a past one from the log.
//
//	Session quiet-otter  14m02s  claude 2.1.329  model calls 38 (1.9 MB up)  other 57 to 9 hosts
//	  destination                    calls       up  by                   verdict                 strict
//	  api.anthropic.com /v1/messages    38   1.8 MB  claude               allow                   allow
//	  api.anthropic.com telemetry        6        -  claude               block (telemetry)       block
//	  github.com (git)                   4    12 KB  git < bash < claude  allow                   block
//	  npm packages                      31     1 KB  npm < bash < claude  allow                   block
//	  pastebin.com POST /api             1        -  curl < bash < claude BLOCK secret/aws-access-key in body  block
//
// # Rows
//
// Calls that a person sees as one thing are one row: those to one destination, by
// one chain of programs, with one verdict. The model is told by path, telemetry
// (of that category, or refused quietly) by host, git and packages by what they
// are, a refused call by method and path, all else by host. Rows of the model come
// first, then telemetry, what was allowed, held, and at last, next to the prompt,
// what was refused. Bytes are those of bodies that left: of a refused call none.
//
// The question for the addresses of a host is part of the calls that follow it, and
// so is a connection on which its program asked nothing, if it asked something of the
// same host on another one. Only where none followed are they told, as "dns" and
// "(nothing asked)"; the log has them all.
//
// The last column is what another policy would have decided (Options.Would), or in
// observe mode what enforcing would.
//
// # Bounds
//
// At most 1,000 rows are kept, and 10,000 calls that are not over; what is beyond
// counts in one row, "other destinations", by verdict. A Report shows the 24 rows
// that matter most unless all are asked for.
//
// # What agents choose
//
// Hosts, paths, sessions, names of programs are chosen by agents. What could move
// the cursor, colour the terminal, or seem shorter or longer than it is becomes
// "?", and each text is cut to its column: no row breaks into two, and none looks
// like ours. JSON holds them as they are.
package summary
