// Package process finds out which program made a connection, and who started it:
//
//	curl < bash < claude
//
// The way is from the two addresses of a connection to the inode of the client's
// socket (sock_diag, or /proc/PID/net/tcp), from there to the process that holds
// it (/proc/PID/fd), and up through the parents to the init of the sandbox. It
// works where the client's socket is on this machine: in our own network
// namespace (Here), or in the one of a sandbox (Inside).
//
// # What is seen, and what is said
//
// Which process holds a socket, which file it executes and which process is its
// parent the kernel says. What the process says of itself is not used for that: a
// name set by prctl is looked at only where the executable cannot be, and then the
// chain is marked claimed. Of an interpreter the script is named, since people do
// so (claude, not node); that is read from its command line, which a program can
// rewrite. Nor does the name of a file prove what is in it. So a chain says which
// processes took part, never that one of them is to be trusted: no rule sees it,
// and no call is allowed for it. It is for the record, and for people.
//
// The environment of the process may name the agent's session and the tool call
// that it runs for; both are claims.
//
// # Names
//
// A name is printable ASCII of at most 32 bytes, without spaces and "<": what else
// stands in it becomes "_" or "?". Neighbours of one name are told once. A chain of
// more than 6 names keeps the first 3 and the last 2, around "…". On the machine
// itself it ends at the outermost agent, or else after 3 names.
//
// # Cost and bounds
//
// A look-up begins when a connection is accepted and goes on beside the call, which
// waits for it only where it is written down, and not for long (package gate).
// Look-ups are gathered: one pass over the processes serves all that wait. First
// come the processes that make connections again and again, then the youngest, at
// last those that made one already. A pass looks at 100,000 descriptors at
// most, at 4,096 of one process before it was through all, and a socket that was not
// found is looked for once more. Half of one processor is spent at most. At most 1024 wait; a
// connection beyond that stays unknown. Where nobody asks, nothing is looked up.
//
// A process that ends within the time of a pass, or before its connection was
// accepted, stays unknown. One that hands its socket on is known as the youngest
// that holds it.
package process
