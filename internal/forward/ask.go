package forward

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	askTime   = 2 * time.Second // that a name server has to answer
	askTries  = 2               // for each name server
	askMost   = 3               // name servers
	askSize   = 1232            // bytes of an answer over UDP (DNS flag day 2020)
	askRecord = 256             // records of an answer that are passed on
)

// resolvConf names the name servers of this machine.
const resolvConf = "/etc/resolv.conf"

// Found is what name servers said to a query.
type Found struct {
	RCode   dnsmessage.RCode
	Records []dnsmessage.Resource // of the type asked for, and the aliases that lead to them
	Server  netip.AddrPort
	Sent    int64 // bytes
	Taken   int64
}

// Ask asks this machine's name servers for the records of type kind that name
// has, for a query that policy admitted. It is asked anew: name goes in lower
// case, under an identifier and from a port of our own, and nothing of what else
// the client sent goes with it. What comes back must answer just that, and of
// it only records of the type, and aliases on the way to them, are returned.
// Addresses are not asked for here, since they would have to be judged: Resolve
// does that. An error is an *Error.
func (f *Forwarder) Ask(ctx context.Context, name string, kind dnsmessage.Type) (*Found, error) {
	if f.closed.Load() {
		return nil, fault(ErrClosed, name)
	}
	switch kind {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeALL, dnsmessage.TypeAXFR:
		return nil, &Error{Type: "dns_error", Status: http.StatusBadRequest, Host: name, Detail: "this type is not asked for"}
	}
	servers, err := f.nameServers()
	if err != nil {
		return nil, fault(err, name)
	}
	err = &net.DNSError{Err: "no name servers", Name: name}
	for range askTries {
		for _, s := range servers {
			var found *Found
			if found, err = askOne(ctx, s, name, kind); err == nil {
				return found, nil
			}
			if ctx.Err() != nil {
				return nil, fault(given(ctx, err), name)
			}
		}
	}
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		var late net.Error
		err = &net.DNSError{Err: err.Error(), Name: name, IsTimeout: errors.As(err, &late) && late.Timeout()}
	}
	return nil, fault(err, name)
}

// nameServers returns those of the options, else those that this machine uses.
func (f *Forwarder) nameServers() ([]netip.AddrPort, error) {
	if f.opt.NameServers != nil {
		return f.opt.NameServers, nil
	}
	b, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil, &net.DNSError{Err: err.Error()}
	}
	return parseResolvConf(string(b)), nil
}

func parseResolvConf(text string) (out []netip.AddrPort) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(out) == askMost {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			out = append(out, netip.AddrPortFrom(a, 53))
		}
	}
	if out == nil { // resolv.conf(5)
		out = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	return out
}

// askOne asks one name server, over UDP, and over TCP if the answer is too long.
func askOne(ctx context.Context, server netip.AddrPort, name string, kind dnsmessage.Type) (*Found, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	q, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, &net.DNSError{Err: "the name is too long", Name: name}
	}
	asked := dnsmessage.Question{Name: q, Type: kind, Class: dnsmessage.ClassINET}
	found := &Found{Server: server}
	for _, network := range []string{"udp", "tcp"} {
		id, msg, err := question(asked)
		if err != nil {
			return nil, err
		}
		found.Sent += int64(len(msg))
		long, err := exchange(ctx, network, id, msg, asked, found)
		if err != nil {
			return nil, err
		}
		if !long {
			break
		}
	}
	return found, nil
}

// question writes a query as any other of ours looks.
func question(asked dnsmessage.Question) (id uint16, msg []byte, err error) {
	var r [2]byte
	rand.Read(r[:]) // never fails
	id = binary.BigEndian.Uint16(r[:])
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	var h dnsmessage.ResourceHeader
	err = errors.Join(b.StartQuestions(), b.Question(asked), b.StartAdditionals(), h.SetEDNS0(askSize, dnsmessage.RCodeSuccess, false), b.OPTResource(h, dnsmessage.OPTResource{}))
	if err != nil {
		return 0, nil, err
	}
	msg, err = b.Finish()
	return id, msg, err
}

// exchange sends msg and reads into found until an answer to it comes. long says
// that the answer was cut.
func exchange(ctx context.Context, network string, id uint16, msg []byte, asked dnsmessage.Question, found *Found) (long bool, err error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, found.Server.String())
	if err != nil {
		return false, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	}
	if _, err := c.Write(msg); err != nil {
		return false, err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := readReply(c, network, buf)
		if err != nil {
			return false, err
		}
		h, err := found.take(buf[:n], id, asked)
		switch {
		case err == nil:
			found.Taken += int64(n)
			return h.Truncated && network == "udp", nil
		case network == "tcp":
			return false, err
		} // over UDP anybody may send something: wait for the right one
	}
}

func readReply(c net.Conn, network string, buf []byte) (int, error) {
	if network == "udp" {
		return c.Read(buf)
	}
	if _, err := io.ReadFull(c, buf[:2]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(buf))
	return io.ReadFull(c, buf[:n])
}

// take reads an answer. An error says that it is none to asked.
func (f *Found) take(b []byte, id uint16, asked dnsmessage.Question) (dnsmessage.Header, error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return h, err
	}
	qs, err := p.AllQuestions()
	if err != nil {
		return h, err
	}
	if h.ID != id || !h.Response || h.OpCode != 0 || len(qs) != 1 || qs[0].Type != asked.Type || qs[0].Class != asked.Class ||
		!strings.EqualFold(qs[0].Name.String(), asked.Name.String()) {
		return h, fmt.Errorf("the answer of %v is to another question", f.Server)
	}
	f.RCode, f.Records = h.RCode, nil
	if h.Truncated {
		return h, nil
	}
	all, err := p.AllAnswers()
	if err != nil {
		return h, err
	}
	for _, r := range all {
		if r.Header.Class == asked.Class && (r.Header.Type == asked.Type || r.Header.Type == dnsmessage.TypeCNAME) && len(f.Records) < askRecord {
			f.Records = append(f.Records, r)
		}
	}
	return h, nil
}
