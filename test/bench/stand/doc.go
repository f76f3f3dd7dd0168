// Package stand is what a measurement stands on: an origin, reference proxies,
// and the processes that they and outvet run in.
//
// Each is a process of its own, so that its CPU clock and its memory are its
// own. The reference proxies decide nothing and record nothing; they show what
// the mechanism alone costs in Go:
//
//	connect    CONNECT, then bytes copied between two sockets
//	mitm       CONNECT, TLS ended on both sides, HTTP/1.1 read and written by
//	           net/http's ReadRequest and ReadResponse in a loop, one upstream
//	           connection for each connection of a client
//	mitm-scan  mitm, with both bodies read whole and searched for literals
//	mitm-std   the same as mitm by http.Server and a pooling http.Transport
package stand
