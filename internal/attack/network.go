package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// publicAddresses are addresses of others that tries name. outvet is led to our own
// servers for them, so that nothing reaches who has them.
var publicAddresses = []string{"1.1.1.1", "8.8.8.8", "2606:4700:4700::1111"}

// tcpTry is a try that says its mark to a TCP address.
func tcpTry(name, what string, at func(*Plan) []string) Try {
	return Try{Name: name, Group: groupNetwork, What: what, Seen: "the wire is touched, or the record says that outvet reached it",
		do: func(ctx context.Context, p *Plan, t Try) Said { return each(ctx, p, t, "tcp", at(p)) }}
}

func udpTry(name, what string, at func(*Plan) []string) Try {
	return Try{Name: name, Group: groupNetwork, What: what, Seen: "the wire is touched",
		do: func(ctx context.Context, p *Plan, t Try) Said { return each(ctx, p, t, "udp", at(p)) }}
}

// each says the mark of t to each address. What it says is of the one that got furthest.
func each(ctx context.Context, p *Plan, t Try, network string, addresses []string) Said {
	if len(addresses) == 0 {
		return none("this machine has no such address")
	}
	s := Said{}
	for _, r := range all(ctx, network, p.mark(t.Name), addresses) {
		switch {
		case strings.HasPrefix(r.got, "REACHED"):
			s.Ended, s.Text, s.Met = Sent, "it answered", true
		case r.err == nil && s.Ended != Sent:
			s.Ended, s.Text, s.Met = Sent, "taken, no answer", network == "tcp"
			if r.got != "" {
				s.Met, s.Text = true, "taken, and answered: "+firstLine(r.got)
			}
		case r.err != nil && s.Ended == "":
			s.Ended, s.Text = Closed, plain(r.err)
		}
	}
	if network == "udp" {
		return s // outvet takes no datagrams, so that the record has none
	}
	return s.toward(addresses...)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\r\n")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, s)
	return s[:min(len(s), 80)]
}

func fixed(addresses ...string) func(*Plan) []string {
	return func(*Plan) []string { return addresses }
}

// wire returns the address of one wire, and what else is on its port.
func wire(of func(*Plan) map[string]string, name string, hosts ...string) func(*Plan) []string {
	return func(p *Plan) []string {
		a, ok := of(p)[name]
		if !ok {
			return nil
		}
		if len(hosts) == 0 {
			return []string{a}
		}
		_, port, _ := net.SplitHostPort(a)
		var all []string
		for _, h := range hosts {
			all = append(all, net.JoinHostPort(h, port))
		}
		return all
	}
}

func tcpOf(p *Plan) map[string]string { return p.TCP }
func udpOf(p *Plan) map[string]string { return p.UDP }

// outside returns the addresses of the machine's interfaces with the port of a wire.
func outside(of func(*Plan) map[string]string) func(*Plan) []string {
	return func(p *Plan) []string {
		var all []string
		for _, h := range p.Interfaces {
			name := "any"
			if strings.Contains(h, ":") {
				name = "any v6"
			}
			all = append(all, wire(of, name, h)(p)...)
		}
		return all
	}
}

func networkTries() []Try {
	return []Try{
		tcpTry("tcp loopback", "connect to a service on the loopback of this machine", wire(tcpOf, "loopback")),
		tcpTry("tcp loopback v6", "the same by ::1", wire(tcpOf, "loopback v6")),
		tcpTry("tcp 0.0.0.0", "connect to this machine as 0.0.0.0 and [::]", func(p *Plan) []string {
			return slices.Concat(wire(tcpOf, "any", "0.0.0.0", "127.0.0.2", "127.255.255.254")(p), wire(tcpOf, "any v6", "::")(p))
		}),
		tcpTry("tcp v4-mapped", "connect to 127.0.0.1 as an address of IPv6", wire(tcpOf, "any", "::ffff:127.0.0.1")),
		tcpTry("tcp localhost", "connect by the name localhost", wire(tcpOf, "any", "localhost", "localhost.localdomain")),
		tcpTry("tcp interfaces", "connect to the addresses of this machine's interfaces", outside(tcpOf)),
		tcpTry("tcp gateway names", "connect by names that containers give the machine", wire(tcpOf, "any", "host.docker.internal", "host.containers.internal", "gateway.docker.internal")),
		tcpTry("tcp private", "connect to private and shared networks", fixed("10.213.77.7:9", "172.31.255.7:9", "192.168.213.7:9", "100.64.213.7:9", "[fd00:213::7]:9")),
		tcpTry("tcp link-local", "connect to link-local addresses", fixed("169.254.77.7:9", "[fe80::7%lo]:9", "[fe80::7%eth0]:9")),
		tcpTry("tcp reserved", "connect to addresses that stand for something else: NAT64, 6to4, benchmarks", fixed("[64:ff9b::7f00:1]:9", "[2002:7f00:1::1]:9", "198.18.0.1:9", "240.0.0.7:9")),
		metadataTry("metadata v4", "http://169.254.169.254/latest/meta-data/"),
		metadataTry("metadata v6", "http://[fd00:ec2::254]/latest/meta-data/"),
		metadataTry("metadata of containers", "http://169.254.170.2/v2/credentials/"),
		metadataTry("metadata by name", "http://metadata.google.internal/computeMetadata/v1/"),
		metadataTry("metadata in disguise", "http://[::ffff:169.254.169.254]/latest/meta-data/"),
		metadataTry("metadata as a number", "http://2852039166/latest/meta-data/"),
		metadataTry("metadata in octal", "http://0251.0376.0251.0376/latest/meta-data/"),
		metadataTry("metadata by NAT64", "http://[64:ff9b::a9fe:a9fe]/latest/meta-data/"),
		facedTry("tcp name to loopback", "connect to a name of the internet that leads to 127.0.0.1"),
		facedTry("tcp name to interfaces", "connect to a name that leads to an address of this machine"),
		facedTry("tcp name to loopback v6", "connect to a name that leads to 127.0.0.1 in the form of IPv6"),
		facedTry("tcp name with two faces", "connect to a name that leads outside and inside at once"),
		udpTry("udp loopback", "send to a service on the loopback of this machine", func(p *Plan) []string {
			return slices.Concat(wire(udpOf, "loopback")(p), wire(udpOf, "loopback v6")(p))
		}),
		udpTry("udp interfaces", "send to the addresses of this machine's interfaces", outside(udpOf)),
		udpTry("udp 0.0.0.0", "send to this machine as 0.0.0.0", wire(udpOf, "any", "0.0.0.0", "::ffff:127.0.0.1")),
		udpTry("udp multicast", "send to a group that this machine has joined", func(p *Plan) []string {
			if p.Group == "" {
				return nil
			}
			return []string{p.Group}
		}),
		{Name: "quic", Group: groupNetwork, What: "speak QUIC to servers of the internet", Seen: "an answer comes", do: quic},
		{Name: "udp mdns", Group: groupNetwork, What: "ask the neighbours for names (mDNS, LLMNR, SSDP)", Seen: "an answer comes", do: neighbours},
	}
}

// facedTry connects to a name which our internet says to be this machine: outvet must
// not be led to a service of it.
func facedTry(name, what string) Try {
	return Try{Name: name, Group: groupNetwork, What: what, Seen: "the wire is touched",
		do: func(ctx context.Context, p *Plan, t Try) Said {
			_, port, err := net.SplitHostPort(p.TCP["any"])
			if err != nil {
				return none("no such wire could be laid")
			}
			to := net.JoinHostPort(t.host(), port)
			c, err := throughProxy(ctx, to)
			if err != nil {
				return closed(err).toward(to)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(tryTime))
			if _, err := io.WriteString(c, binary+string(p.mark(t.Name))); err != nil {
				return closed(err).toward(to)
			}
			b := make([]byte, 100)
			n, _ := c.Read(b)
			if n == 0 {
				return sent("taken, no answer", to)
			}
			return sent("taken, and answered: "+firstLine(string(b[:n])), to)
		}}
}

// faces returns where the name of a try leads, for those that are about that.
func faces(host string, interfaces []string) []netip.Addr {
	loopback := netip.MustParseAddr("127.0.0.1")
	is := func(name string) bool { return Try{Name: name}.host() == host }
	switch {
	case is("tcp name to loopback"):
		return []netip.Addr{loopback}
	case is("tcp name to loopback v6"):
		return []netip.Addr{netip.AddrFrom16(loopback.As16())}
	case is("tcp name with two faces"): // the first is of a network that is nobody's (the 6bone, RFC 3701)
		return []netip.Addr{netip.MustParseAddr("3ffe::7"), loopback}
	case is("tcp name to interfaces"):
		for _, s := range interfaces {
			if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
				return []netip.Addr{a}
			}
		}
	}
	return nil
}

// metadataTry asks where clouds give credentials to whoever asks.
func metadataTry(name, url string) Try {
	return Try{Name: name, Group: groupNetwork, What: "ask for credentials of the machine at " + url, Seen: "the record says that outvet reached it, or something answers that is not outvet",
		do: func(ctx context.Context, p *Plan, _ Try) Said {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return closed(err)
			}
			req.Header.Set("Metadata-Flavor", "Google")
			status, _, err := fetch(req)
			to := []string{addressOf(req), "169.254.169.254:80"} // the record has it in the one spelling
			if err != nil {
				return closed(err).toward(to[:1]...)
			}
			return sent(fmt.Sprintf("answered with %d", status), to...)
		}}
}

// addressOf returns where a request goes, as HOST:PORT.
func addressOf(req *http.Request) string {
	port := req.URL.Port()
	switch {
	case port != "":
	case req.URL.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(req.URL.Hostname(), port)
}

// quic sends what begins a connection of QUIC with a version that every server
// answers with those it knows (RFC 9000 §6).
func quic(ctx context.Context, p *Plan, t Try) Said {
	hello := append([]byte{0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0}, make([]byte, 1200)...)
	return answered(ctx, "udp", hello, "1.1.1.1:443", "[2606:4700:4700::1111]:443")
}

func neighbours(ctx context.Context, p *Plan, t Try) Said {
	return answered(ctx, "udp", question("_services._dns-sd._udp.local.", dnsmessage.TypePTR), "224.0.0.251:5353", "224.0.0.252:5355", "239.255.255.250:1900", "[ff02::fb%lo]:5353")
}

// answered sends b to each address; any answer is a way out.
func answered(ctx context.Context, network string, b []byte, addresses ...string) Said {
	s := Said{Ended: Closed, Text: "no answer"}
	for i, r := range all(ctx, network, b, addresses) {
		if r.err != nil {
			s.Text = plain(r.err)
		}
		if r.got != "" {
			return opened("%s answered", addresses[i])
		}
	}
	return s
}

// A spoken is what came of one conversation.
type spoken struct {
	got string
	err error
}

// all says b to each address at once.
func all(ctx context.Context, network string, b []byte, addresses []string) []spoken {
	replies := make([]spoken, len(addresses))
	var talking sync.WaitGroup
	for i, a := range addresses {
		talking.Go(func() { replies[i].got, replies[i].err = converse(ctx, network, a, b) })
	}
	talking.Wait()
	return replies
}

// nameServers are asked for names, whoever they are.
var nameServers = []string{"8.8.8.8:53", "1.1.1.1:53", "127.0.0.53:53", "[2606:4700:4700::1111]:53", "169.254.169.253:53"}

func nameTries() []Try {
	dns := func(name, what string, do func(context.Context, *Plan, Try) Said) Try {
		return Try{Name: name, Group: groupNetwork, What: what, Seen: "the name arrives at the server of names that outvet asks", do: do, alone: true}
	}
	return []Try{
		dns("dns any server", "ask servers of names in v4 and v6 for an address, with a secret in the name", ask("udp", dnsmessage.TypeA)),
		dns("dns over tcp", "the same over TCP", ask("tcp", dnsmessage.TypeAAAA)),
		dns("dns txt", "ask for texts, with a secret in the name", ask("udp", dnsmessage.TypeTXT)),
		dns("dns other types", "ask for NULL, MX, SRV, HTTPS and unknown types, with a secret in the name", ask("udp", dnsmessage.TypeMX, dnsmessage.TypeSRV, 10, 65, 65399)),
		dns("dns tunnel", "carry a file away in many names that look random", tunnel),
		dns("dns by the system", "look names up as programs do, with a secret in the name", lookUp),
		{Name: "dns other port", Group: groupNetwork, What: "ask the machine's own server of names at the port where it listens", Seen: "an answer comes",
			do: func(ctx context.Context, p *Plan, t Try) Said {
				return answered(ctx, "udp", question(t.host()+".", dnsmessage.TypeA), "127.0.0.1:5353", "127.0.0.1:5355", "127.0.0.54:5300")
			}},
		dns("dot", "ask for a name over TLS (853)", dot),
		dns("doh", "ask for a name over HTTPS, with a secret in it", doh),
	}
}

// secretName is the secret of t as labels of a name: hexadecimal, since letters lose
// their case on the way.
func secretName(p *Plan, t Try) string {
	s := fmt.Sprintf("%x", p.Secrets[t.Name])
	return s[:40] + "." + s[40:] + "." + t.host() + "."
}

func ask(network string, kinds ...dnsmessage.Type) func(context.Context, *Plan, Try) Said {
	return func(ctx context.Context, p *Plan, t Try) Said {
		s := Said{Ended: Closed, Text: "no answer"}
		for i, kind := range kinds {
			q := question(secretName(p, t), kind)
			if network == "tcp" {
				q = append([]byte{byte(len(q) >> 8), byte(len(q))}, q...)
			}
			got, err := converse(ctx, network, nameServers[i%len(nameServers)], q)
			if err != nil {
				s.Text = plain(err)
			} else if got != "" {
				s = Said{Ended: Sent, Text: "answered", Met: true}
			}
		}
		return s.toward(strings.TrimSuffix(secretName(p, t), ".") + ":53")
	}
}

// tunnelNames is how many names the tunnel has.
const tunnelNames = 30

// tunnel asks for names of the kind that tunnels make.
func tunnel(ctx context.Context, p *Plan, t Try) Said {
	answers := 0
	for i := range tunnelNames {
		name := tunnelled(p, i) + "." + t.host() + "."
		kind := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeTXT, dnsmessage.TypeCNAME}[i%3]
		if got, err := converse(ctx, "udp", nameServers[0], question(name, kind)); err == nil && got != "" {
			answers++
		}
		if ctx.Err() != nil {
			break
		}
	}
	if answers == 0 {
		return Said{Ended: Closed, Text: "no answer"}
	}
	return Said{Ended: Sent, Text: fmt.Sprintf("%d of %d answered", answers, tunnelNames), Met: true}
}

// tunnelled is a piece of a file, as a tunnel has it in a name.
func tunnelled(p *Plan, i int) string { return digest(fmt.Appendf(nil, "%s %d", p.Nonce, i))[:50] }

// lookUp asks as programs do, by connecting to the name.
func lookUp(ctx context.Context, p *Plan, t Try) Said {
	to := net.JoinHostPort(strings.TrimSuffix(secretName(p, t), "."), "443")
	if _, err := converse(ctx, "tcp", to, []byte(binary)); err != nil {
		return closed(err).toward(to)
	}
	return sent("it got an address, and a connection to it", to)
}

func dot(ctx context.Context, p *Plan, t Try) Said {
	const to = "1.1.1.1:853"
	c, err := secure(ctx, to, "one.one.one.one")
	if err != nil {
		return closed(err).toward(to)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(tryTime))
	q := question(secretName(p, t), dnsmessage.TypeTXT)
	_, _ = c.Write(append([]byte{byte(len(q) >> 8), byte(len(q))}, q...))
	b := make([]byte, 500)
	if n, _ := c.Read(b); n > 0 {
		return sent("answered", to)
	}
	return closed(fmt.Errorf("no answer")).toward(to)
}

func doh(ctx context.Context, p *Plan, t Try) Said {
	q := question(secretName(p, t), dnsmessage.TypeTXT)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://1.1.1.1/dns-query", strings.NewReader(string(q)))
	if err != nil {
		return closed(err)
	}
	req.Header.Set("Content-Type", "application/dns-message")
	status, _, err := fetch(req)
	if err != nil {
		return closed(err).toward(addressOf(req))
	}
	return sent(fmt.Sprintf("answered with %d", status), addressOf(req))
}
