// Package sealed is the listener of sealed sandboxes: whatever a command in a
// network namespace that package loopback sealed connects to comes here. Nobody
// asked for a proxy, so nothing needs to be configured, and nothing can be
// forgotten.
//
// # What a connection is taken for
//
//	port 53 of any address     a query of the DNS: the resolver serves it
//	our own listener, by its   a client that was told to use a proxy: it is
//	address and port           served as one
//	a stand-in for a name      a tunnel to that name and port
//	a stand-in for no name     reset, and recorded
//	any other address          a tunnel to that address and port: the rules for
//	                           addresses judge it
//
// A tunnel is what package proxy makes of a CONNECT that it granted: the first
// bytes tell what is spoken in it, on whatever port. TLS ends here and is read
// request by request, or passes unread where policy names the host; HTTP/1.1,
// HTTP/2 and WebSockets are judged one by one; all else is a raw connection to
// that name and port. The name of TLS, the field Host and the name that the
// address stands for must agree, else the answer is 421.
//
// A refusal that can be told in HTTP is told there. Else the connection is reset,
// so that no client waits for what does not come. The client's connect itself
// always succeeds: the kernel accepts before anybody is asked.
//
// # Who is calling
//
// The sandbox: the socket tells which. Nobody in it can name another session, be it
// by Proxy-Authorization or by SOCKS. What a request says of its program is a
// claim, as everywhere.
//
// # An example on the wire
//
// The resolver told the command that pypi.org is 198.18.0.7.
//
//	198.19.255.254:41002 > 198.18.0.7:443   TLS, for pypi.org
//	< (TLS) HTTP/1.1 403 Blocked by egress policy: GET pypi.org not allowed (id 9K7Q2M)
//	198.19.255.254:41004 > 140.82.121.4:22  SSH-2.0-OpenSSH_9.6
//	< reset
package sealed
