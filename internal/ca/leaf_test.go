package ca

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLeafVerifiesForItsHostAlone(t *testing.T) {
	a := open(t, t.TempDir())
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	for _, host := range []string{
		"api.example.com", "API.Example.COM.", "localhost", "my_bucket.s3.example", "xn--bcher-kva.example", "r3---sn-x.example",
		"192.0.2.7", "::1", "2001:db8::7", strings.Repeat("a", 63) + ".example.com",
	} {
		c, err := a.Leaf(host)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		name := strings.ToLower(strings.TrimSuffix(host, "."))
		if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		for _, other := range []string{"x." + name, "other.example.com", "192.0.2.8"} {
			if c.Leaf.VerifyHostname(other) == nil {
				t.Errorf("the leaf of %s serves %s too", host, other)
			}
		}
		if len(c.Leaf.DNSNames)+len(c.Leaf.IPAddresses) != 1 || c.Leaf.IsCA {
			t.Errorf("%s: names %v %v, CA %v", host, c.Leaf.DNSNames, c.Leaf.IPAddresses, c.Leaf.IsCA)
		}
		if len(c.Leaf.AuthorityKeyId) == 0 || c.Leaf.SerialNumber.Sign() <= 0 {
			t.Errorf("%s: no authority key identifier or serial number", host)
		}
	}
}

func TestWhatIsNoHostGetsNoLeaf(t *testing.T) {
	a := open(t, t.TempDir())
	for _, host := range []string{
		"", ".", "..", "a..b", ".a", "*.example.com", "*", "a b", "a/b", "a:80", "[::1]", "fe80::1%eth0", "bücher.example",
		"a\x00b", "a\nb", "a,b", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "aa",
	} {
		if c, err := a.Leaf(host); err == nil {
			t.Errorf("%q got %v", host, c.Leaf.DNSNames)
		}
	}
	if n := a.now.Load().leaves.order.Len(); n != 0 {
		t.Errorf("%d refused hosts are kept", n)
	}
}

func TestOneLeafForManyWhoAskAtOnce(t *testing.T) {
	a := open(t, t.TempDir())
	var wg sync.WaitGroup
	serial := make([]string, 64)
	for i := range serial {
		wg.Go(func() {
			c, err := a.Leaf("api.example")
			if err != nil {
				t.Error(err)
				return
			}
			serial[i] = c.Leaf.SerialNumber.String()
		})
	}
	wg.Wait()
	for _, s := range serial {
		if s != serial[0] {
			t.Fatal("signed twice")
		}
	}
}

func TestLeavesAreBoundedAndTheUnusedGoFirst(t *testing.T) {
	a := open(t, t.TempDir())
	now := time.Now()
	for i := range leafLimit + 100 { // the cache alone: signing is slow
		a.now.Load().leaves.get(fmt.Sprintf("h%d.example", i), now)
		a.now.Load().leaves.get("h0.example", now)
	}
	if n := a.now.Load().leaves.order.Len(); n != leafLimit || len(a.now.Load().leaves.byHost) != n {
		t.Errorf("%d leaves, %d names", n, len(a.now.Load().leaves.byHost))
	}
	if a.now.Load().leaves.byHost["h0.example"] == nil || a.now.Load().leaves.byHost["h1.example"] != nil {
		t.Error("the wrong leaf went")
	}
}

func TestLeafIsReplacedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, t.TempDir())
		first, err := a.Leaf("api.example")
		if err != nil {
			t.Fatal(err)
		}
		if life := first.Leaf.NotAfter.Sub(first.Leaf.NotBefore); life != leafLife {
			t.Errorf("valid for %v", life)
		}
		if back := time.Since(first.Leaf.NotBefore); back < backdate {
			t.Errorf("backdated by %v", back)
		}
		last := first
		for range 10 * 24 {
			time.Sleep(time.Hour)
			c, err := a.Leaf("api.example")
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(c.Leaf.NotAfter); left < 20*time.Hour {
				t.Fatalf("a leaf with %v left", left)
			}
			last = c
		}
		if last == first {
			t.Error("never replaced")
		}
		time.Sleep(lifetime)
		if _, err := a.Leaf("api.example"); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("the authority is over, got %v", err)
		}
	})
}

func TestLeafOfMappedAddressIsForTheIPv4Address(t *testing.T) {
	c, err := open(t, t.TempDir()).Leaf("::ffff:192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if ip, _ := netip.AddrFromSlice(c.Leaf.IPAddresses[0]); ip != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("got %v", ip)
	}
}

func TestCacheHitDoesNotAllocate(t *testing.T) {
	a := open(t, t.TempDir())
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.Leaf("api.example.com"); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLeafHit(b *testing.B) {
	a := open(b, b.TempDir())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := a.Leaf("api.example.com"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkLeafNew(b *testing.B) {
	a := open(b, b.TempDir())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := a.Leaf(fmt.Sprintf("h%d.example.com", i)); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzLeafIsForItsHost(f *testing.F) {
	for _, s := range []string{"api.example.com", "::1", "1.2.3.4", "*.example", "a..b", "A.", "1.2.3", "0x7f.1", "İ", "\u212a.example", "API.Example"} {
		f.Add(s)
	}
	a := open(f, f.TempDir())
	f.Fuzz(func(t *testing.T, host string) {
		c, err := a.Leaf(host)
		if err != nil {
			return
		}
		for _, n := range c.Leaf.DNSNames {
			if strings.ContainsAny(n, "*%/@: ") || !strings.EqualFold(n, strings.TrimSuffix(host, ".")) {
				t.Errorf("%q got a certificate for %q", host, n)
			}
		}
	})
}
