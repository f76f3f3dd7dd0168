package attack

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"outvet/internal/payload/wsframe"
)

// An Internet stands for all that is beyond this machine. It notes everything that
// it receives.
type Internet struct {
	HTTPS, HTTP, Raw int            // its ports on 127.0.0.1
	Names            netip.AddrPort // its server of names
	Root             *x509.Certificate

	key        *ecdsa.PrivateKey
	interfaces []string // of this machine, to which a name leads
	stop       []func()

	// mu guards got and asked.
	mu    sync.Mutex
	got   bytes.Buffer
	asked []string
}

// Bounds of what is kept, in bytes and in names.
const (
	gotMax   = 16 << 20
	askedMax = 10_000
)

func openInternet() (*Internet, error) {
	i := &Internet{}
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "outvet attack"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &i.key.PublicKey, i.key)
	if err != nil {
		return nil, err
	}
	if i.Root, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	quiet := log.New(io.Discard, "", 0)
	server := &http.Server{Handler: i, ErrorLog: quiet, TLSConfig: &tls.Config{GetCertificate: i.leaf, NextProtos: []string{"h2", "http/1.1"}}, ReadHeaderTimeout: 5 * time.Second}
	for _, port := range []*int{&i.HTTPS, &i.HTTP, &i.Raw} {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			i.Close()
			return nil, fmt.Errorf("attack: %w", err)
		}
		i.stop = append(i.stop, func() { l.Close() })
		*port = l.Addr().(*net.TCPAddr).Port
		switch port {
		case &i.HTTPS:
			go server.ServeTLS(l, "", "")
		case &i.HTTP:
			go server.Serve(l)
		default:
			go i.acceptRaw(l)
		}
	}
	i.stop = append(i.stop, func() { server.Close() })
	return i, i.openNames()
}

func (i *Internet) openNames() error {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		i.Close()
		return fmt.Errorf("attack: %w", err)
	}
	i.stop = append(i.stop, func() { c.Close() })
	i.Names = c.LocalAddr().(*net.UDPAddr).AddrPort()
	go i.answerNames(c)
	return nil
}

// Close ends its servers.
func (i *Internet) Close() {
	for _, f := range i.stop {
		f()
	}
}

func (i *Internet) leaf(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := h.ServerName
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "server"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if name == "" {
		for _, a := range publicAddresses {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(a))
		}
	} else {
		c.DNSNames = []string{name}
	}
	i.note([]byte("sni " + name + "\n"))
	der, err := x509.CreateCertificate(rand.Reader, c, i.Root, &i.key.PublicKey, i.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: i.key}, nil
}

// note keeps what came, bounded.
func (i *Internet) note(b []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.got.Len()+len(b) <= gotMax {
		i.got.Write(b)
	}
}

// received reports whether all needles have come, in whatever letters.
func (i *Internet) received(needles ...[]byte) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, n := range needles {
		if !bytes.Contains(i.got.Bytes(), n) && !strings.Contains(strings.Join(i.asked, " "), strings.ToLower(string(n))) {
			return false
		}
	}
	return len(needles) > 0
}

// ServeHTTP notes a request as it came. /away leads to where clouds keep credentials.
func (i *Internet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s %s %s host=%s sni=%s\n", r.Method, r.RequestURI, r.Proto, r.Host, sni(r))
	_ = r.Header.Write(&b)
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		i.note(b.Bytes())
		i.upgraded(w)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	b.Write(body)
	if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		_, _ = io.Copy(&b, io.LimitReader(z, 1<<20))
	}
	b.WriteString("\n")
	_ = r.Trailer.Write(&b)
	i.note(b.Bytes())
	if r.URL.Path == "/away" {
		http.Redirect(w, r, "http://"+awayHost+"/latest/meta-data/", http.StatusFound)
		return
	}
	_, _ = io.WriteString(w, "REACHED\n")
}

func sni(r *http.Request) string {
	if r.TLS == nil {
		return ""
	}
	return r.TLS.ServerName
}

// upgraded notes the messages of a WebSocket, put together.
func (i *Internet) upgraded(w http.ResponseWriter) {
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	// the key of our client is that of RFC 6455 §1.3, and so is the answer
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	in := wsframe.Reader{R: buf.Reader, Max: 1 << 20}
	for {
		m, err := in.Next()
		if err != nil {
			return
		}
		i.note(append(m.Payload, '\n'))
		if _, err := c.Write(wsframe.AppendFrame(nil, wsframe.Text, []byte("REACHED"))); err != nil {
			return
		}
	}
}

func (i *Internet) acceptRaw(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			i.drain(c)
		}()
	}
}

// drain notes what r gives, as one text.
func (i *Internet) drain(r io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		i.note(b[:n])
		if err != nil {
			return
		}
	}
}

func (i *Internet) answerNames(c net.PacketConn) {
	b := make([]byte, 2000)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		var p dnsmessage.Parser
		h, err := p.Start(b[:n])
		if err != nil {
			i.note(b[:n])
			continue
		}
		q, err := p.Question()
		if err != nil {
			continue
		}
		i.ask(q.Name.String())
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}}
		if q.Type == dnsmessage.TypeTXT {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.TXTResource{TXT: []string{"REACHED"}}}}
		}
		if out, err := m.Pack(); err == nil {
			_, _ = c.WriteTo(out, from)
		}
	}
}

func (i *Internet) ask(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.asked) < askedMax {
		i.asked = append(i.asked, strings.ToLower(name))
	}
}

// LookupNetIP implements the forwarder's Resolver: every name that outvet would ask
// for has arrived here. Behind some there is this machine, behind the others nothing.
func (i *Internet) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	i.ask(host + ".")
	if all := faces(host, i.interfaces); len(all) > 0 {
		return all, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// prove reaches the internet from outside, as outvet would.
func (i *Internet) prove(ctx context.Context) error {
	for _, port := range []int{i.HTTP, i.Raw} {
		go say(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port), fmt.Appendf(nil, "GET /%s-%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", proof, port))
	}
	_, _ = converse(ctx, "udp", i.Names.String(), question(proof+"-names."+Zone+".", dnsmessage.TypeTXT))
	want := [][]byte{fmt.Appendf(nil, "%s-%d", proof, i.HTTP), fmt.Appendf(nil, "%s-%d", proof, i.Raw), []byte(proof + "-names")}
	for range 50 {
		if i.received(want...) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("attack: the servers that stand for the internet cannot be reached on 127.0.0.1")
}

// question is a query of DNS.
func question(name string, kind dnsmessage.Type) []byte {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 0x6174, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: n, Type: kind, Class: dnsmessage.ClassINET}}}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}
