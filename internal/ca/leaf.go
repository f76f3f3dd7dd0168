package ca

import (
	"container/list"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	leafLife  = 48 * time.Hour // with the backdated hour
	leafLimit = 2048
	maxCN     = 64 // RFC 5280 appendix A.1, ub-common-name
	maxHost   = 253
)

// Leaf returns a certificate for host, a DNS name in ASCII or an address
// without brackets, in any case and with or without a trailing dot. It signs at
// most once for a host, however many ask at the same time. A hit does not
// allocate. The certificate is shared and must not be changed.
func (a *Authority) Leaf(host string) (*tls.Certificate, error) {
	name := strings.TrimSuffix(host, ".")
	if !valid(name) { // before case is folded: 'İ' and 'K' (Kelvin) fold to ASCII letters
		return nil, fmt.Errorf("ca: %.80q is no host to make a certificate for", host)
	}
	name = strings.ToLower(name)
	now := time.Now().Round(0) // by the calendar: while a machine sleeps, certificates age
	i := a.now.Load()
	l := i.leaves.get(name, now)
	l.once.Do(func() {
		l.cert, l.err = i.issue(name, now, a.leafKey)
		if l.err != nil {
			i.leaves.drop(l)
			return
		}
		l.issued(now)
	})
	return l.cert, l.err
}

func (i *issuer) issue(host string, now time.Time, leafKey *ecdsa.PrivateKey) (*tls.Certificate, error) {
	if now.After(i.cert.NotAfter) {
		return nil, fmt.Errorf("ca: the authority %q expired on %s: restart to see what to do",
			i.cert.Subject.CommonName, i.cert.NotAfter.Format(time.DateOnly))
	}
	tmpl := &x509.Certificate{
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafLife - backdate),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if tmpl.NotBefore.Before(i.cert.NotBefore) {
		tmpl.NotBefore = i.cert.NotBefore
	}
	if tmpl.NotAfter.After(i.cert.NotAfter) {
		tmpl.NotAfter = i.cert.NotAfter
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		tmpl.IPAddresses = append(tmpl.IPAddresses, ip.Unmap().AsSlice())
	} else {
		tmpl.DNSNames = []string{host}
	}
	if len(host) <= maxCN { // an old client may read it; the others read the names above
		tmpl.Subject = pkix.Name{CommonName: host}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, i.cert, &leafKey.PublicKey, i.key)
	if err != nil {
		return nil, fmt.Errorf("ca: signing for %q: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return &tls.Certificate{
		Certificate: append([][]byte{der}, i.chain...),
		PrivateKey:  leafKey,
		Leaf:        leaf,
	}, nil
}

// valid reports whether host can stand in a certificate: an address without
// zone, or letters, digits, '-' and '_' in labels. So it is never a wildcard.
func valid(host string) bool {
	if host == "" || len(host) > maxHost {
		return false
	}
	if strings.IndexByte(host, ':') >= 0 {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Zone() == ""
	}
	label := 0
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return label > 0
}

// A leaf is a certificate that is there or being made.
type leaf struct {
	host string
	once sync.Once // orders the making before every use
	cert *tls.Certificate
	err  error
	// from and until bound when the leaf may be handed out; guarded by the
	// cache's mu, zero while it is being made.
	from, until time.Time
	c           *cache
}

// issued lets l be handed out until half of its remaining life is over.
func (l *leaf) issued(now time.Time) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.from, l.until = l.cert.Leaf.NotBefore, now.Add(l.cert.Leaf.NotAfter.Sub(now)/2)
}

// A cache holds up to leafLimit leaves. The zero cache is empty.
type cache struct {
	mu     sync.Mutex // byHost and order change together
	byHost map[string]*list.Element
	order  list.List // of *leaf, last used first
}

// get returns the leaf of host, an unmade one if there is none to hand out.
func (c *cache) get(host string, now time.Time) *leaf {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byHost[host]; e != nil {
		l := e.Value.(*leaf)
		if l.until.IsZero() || now.Before(l.until) && now.After(l.from) {
			c.order.MoveToFront(e)
			return l
		}
		c.remove(e)
	}
	if c.byHost == nil {
		c.byHost = map[string]*list.Element{}
	}
	l := &leaf{host: strings.Clone(host), c: c}
	c.byHost[l.host] = c.order.PushFront(l)
	if c.order.Len() > leafLimit {
		c.remove(c.order.Back())
	}
	return l
}

// adopt takes the leaves of an issuer that signs alike.
func (c *cache) adopt(from *cache) {
	from.mu.Lock()
	defer from.mu.Unlock()
	for e := from.order.Back(); e != nil; e = e.Prev() {
		l := e.Value.(*leaf)
		if l.until.IsZero() {
			continue // being made
		}
		copy := &leaf{host: l.host, cert: l.cert, from: l.from, until: l.until, c: c}
		copy.once.Do(func() {})
		if c.byHost == nil {
			c.byHost = map[string]*list.Element{}
		}
		c.byHost[l.host] = c.order.PushFront(copy)
	}
}

// drop forgets l, so that the next call tries again.
func (c *cache) drop(l *leaf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byHost[l.host]; e != nil && e.Value == any(l) {
		c.remove(e)
	}
}

func (c *cache) remove(e *list.Element) {
	delete(c.byHost, c.order.Remove(e).(*leaf).host)
}
