// Package attack tries to get out. Half of it runs outside of a sandbox and lays
// wires that no sandboxed command may touch; the other half runs inside, is told
// where the wires are, and tries to touch them and to carry secrets away by every
// way that is known. What counts is what arrived at the wires, what of the machine
// is not what it was, and what of its secrets was shown; not what the tries say.
//
//	w, err := attack.Lay(attack.Places{...})  // outside: sockets, files, an internet
//	err = w.Prove(ctx)                        // each wire is live: it is hit from outside
//	attack.Inside(ctx, in, out)               // inside: reads the plan, makes the tries
//	report := w.Judge(said, ...)              // outside: what became of each
//
// # Tries
//
// A try is a name, what it does, how success would be seen, and one small function.
// All are in one table, Tries, in their order. A try that needs what this machine
// does not have (IPv6, a file to steal) is skipped, and the report says so.
//
// A try does no harm where it gets through: it opens and does not write, or writes
// only what was laid for it; it signals nobody and changes no setting.
//
// # What becomes of a try
//
//	stopped   it ended inside: an error of the kernel, a file that is not there
//	answered  outvet took the call and refused it, cleaned it or answered it itself;
//	          the record has it, and the rule is named
//	told      it was possible and is told at the end of every run, as a new file that
//	          others may run
//	through   something arrived that may not: a way out
//	skipped   it could not be tried here
//	passed    a harmless call arrived, as the policy allows
//
// Where a harmless call is allowed and does not arrive, or a try was not made, there
// is no report but an error: silence would prove nothing.
//
// # Wires
//
// On this machine: TCP and UDP of its loopback and of all its addresses, a group of
// multicast, unix sockets in /tmp, /run, the home, the workspace and abstract, a
// fifo, a file in the home, and files of the workspace that others would run.
//
// Beyond it: an internet that only outvet can reach. It is servers of https, http
// and raw bytes under names of their own (below attack.example.com), to which the
// forwarder is led as by --connect-to, and a server of names that is asked in place
// of the machine's. The tries that name public addresses are led there, too:
// nothing of an attack leaves the machine. A wire of this kind is touched when a
// secret of the try arrives, or a call that has no business there.
//
// What somebody took or answered, and the record of outvet does not have, is a way
// out as well, whoever that was.
//
// Each message to a wire carries the name of its try. What comes without one counts
// as a way out that nobody can explain.
package attack
