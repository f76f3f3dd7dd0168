package forward

import (
	"net/http"

	"outvet/call"
)

// newCleartext returns a transport that dials under g and speaks HTTP/2 without
// TLS. It asks for no upgrade: whoever uses it knows what the server speaks,
// because its client did.
func (f *Forwarder) newCleartext(g *call.Guard) *http.Transport {
	t := f.newTransport(g)
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// overH2 returns the transport for HTTP/2 with servers of a scheme.
func (p *pool) overH2(scheme string) *http.Transport {
	if scheme == "http" {
		return p.h2c
	}
	return p.h2
}
