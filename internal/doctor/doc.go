// Package doctor finds out by doing what would go wrong in a sandbox of this
// machine, before somebody's work depends on it: each check says what it found,
// why, and what to do.
//
//	results := doctor.Run(ctx, checks)
//	doctor.Print(os.Stdout, results)
//
// A check is a name and a function. Trust makes those of the programs that are
// installed: each is really started, in the environment that the sandbox gives, and
// must fetch a page from a server on this machine that has a certificate of ours.
// Overrides looks for files of the workspace that take the variables away again.
//
// # Form
//
//	ok      curl              trusts the sandbox's certificate authority        31 ms
//	failed  node              does not trust the sandbox's certificate authority
//	  cause  Error: self-signed certificate in certificate chain
//	  cure   set NODE_EXTRA_CA_CERTS
//	skipped deno              not installed
//
// As JSON, a list of {"name", "state", "what", "cause", "cure", "ms"}.
//
// The checks change nothing on the machine. Programs run for Limit at most, a
// few at a time.
package doctor
