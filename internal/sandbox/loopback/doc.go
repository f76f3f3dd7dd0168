// Package loopback seals a network namespace: whatever a command inside it
// connects to, it reaches a socket of ours, and nothing else. It serves nothing
// and decides nothing; it makes sockets, and tells where a connection that came
// to one was meant to go.
//
// # What is made
//
// A namespace of our own has only the loopback interface lo: no packet can leave,
// whatever the rules say. A wrong rule costs reachability, never a leak.
//
//	addresses   198.19.255.254 and fd6f:7574:7665::2 on lo, from blocks that no
//	            real host has; glibc asks for addresses of a family only if the
//	            machine has one outside of 127/8
//	routes      every address is local: 0.0.0.0/0 and ::/0, of table local
//	rules       nft: TCP that comes in by lo goes to port 15001 (tproxy), but not
//	            to 127/8, ::1 and own addresses, where the command's own servers
//	            are; port 53 of those does. Echo requests, and what would go out by
//	            another interface than lo, are dropped
//	sockets     TCP on port 15001 of all addresses, transparent; UDP on port 53;
//	            one that asks the kernel about the other sockets there
//
// Where the kernel has no tproxy, the rule is a redirect in the hook for output
// (nat) to listeners at 127.0.0.1 and ::1. Where it has neither, Open fails. Where
// it has no IPv6 there are no parts for it. Container engines turn IPv6 off; it is
// turned on, since only then can it be captured.
//
// What follows for the command: each TCP connection succeeds, to every port, and
// what policy thinks is told in it. UDP other than to port 53 gets an ICMP error
// at once, so that QUIC falls back to TCP. Multicast stays inside. A raw socket
// needs a capability that it does not have.
//
// # Namespaces of others
//
// Attach does the same to a namespace that exists, such as that of a container. If
// it has other interfaces than lo they stay for what comes in from the nodes that
// are named; the order of the routing rules is changed so that nothing else is
// routed to them, and the rules of nft let nothing out by them but answers to
// connections that came in:
//
//	10   to NODE lookup main
//	20   lookup local          before, it was rule 0
//
// What was connected before is no such answer and ends. Queries pass by the rules
// with which an engine leads them to its own resolver at 127.0.0.11, and nothing
// gets there: its socket is inside, who serves it is not.
//
// # Whose thread
//
// A namespace belongs to a thread. Open works in that of the calling thread, which
// the caller has locked to its goroutine. A socket stays in the namespace in which
// it was made: whoever got it by Send and Receive accepts there, from outside.
//
// # Where a connection was meant to go
//
// Destination tells it: with tproxy the local address of the socket is the one
// that was dialled, with a redirect the kernel remembers it. An address for which
// Own is true means that somebody dialled our socket itself.
//
// A query over UDP is answered from the address that was asked, else the asker
// would not take the answer. Queries does that.
package loopback
