// Package dnstunnel is an inspector that counts how much could be said in the
// names of hosts. A name tells whoever runs the name servers of its domain what
// was put into it, whether it is asked for by DNS, connected to, or written into
// a Host field; so it does not matter by which listener it leaves, and it is
// counted once.
//
// # What is counted
//
// Information, not patterns. For a model P that is fixed before the session, the
// expected information in a text is at most its code length, -log2 P. The part of
// a name left of its registrable domain costs the sum over its labels of the
// cheapest code: a model of the labels of known hosts (4-grams), decimal digits
// (3.33 bits each, 4 for saying so), hexadecimal ones (4 and 5) or any letters
// (5.25 and 6). A name that was asked for before in the session costs nothing,
// one that other sessions of the same installation have used costs the choice
// among those of its domain. Code lengths add up, over slow and fast and over
// many domains, and are known before anything leaves.
//
// The registrable domain is the one below the ICANN part of the list of public
// suffixes: the question is who runs the name servers.
//
// # Allowances, in bits
//
//	128     for a domain that nobody knows
//	32,768  for one that the policy names (call.Dest.Named)
//	65,536  for one of a list of known sites
//	1,024   for all that nobody knows, together, in one session
//
// Known sites are those of data/hosts.txt and carriers.txt, and of a list of popular
// domains that the user may put beside the state (Files). data/override.txt and
// risky.txt win over all: names that anybody can have, and catchers of call-backs.
// What is used up is refilled within ten hours. A domain that crosses its allowance
// stays over it for the session, save for the names that were let pass before.
//
// # Findings
//
//	dns/tunnel   the domain of the host is over its allowance
//	dns/scatter  the session is over its allowance for unknown domains
//	dns/doh      the call itself is DNS over HTTPS, by its media type or its path
//
// The score is b/(b+a) for b bits that were tried and an allowance of a: 0.5 when
// it is crossed, 0.9 when nine times as much was tried. The place is the part of
// the name left of the registrable domain, so that records show the domain and
// not what was said. Policy decides what follows.
//
// # Limits
//
// A session is the caller's parent where there is one: names that an agent gives
// itself share one ledger. A bare domain costs nothing here, though choosing it
// says something: the budget of destinations is for that. Types and order of
// queries, and time, are bits too and are not counted. Names that no public name
// server has (single labels, local zones, reverse names) cost nothing. Ledgers do
// not outlive the process; what is known of names used by other sessions does. Without a list
// of the 100,000 most popular domains, sessions that visit many sites of the open
// web will be flagged: see doc/operating.md.
package dnstunnel
