package forward

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"

	"outvet/internal/hostname"
)

// A table of answers stands in for the DNS.
type table map[string][]netip.Addr

func (m table) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := m[host]; ok {
		return append([]netip.Addr(nil), a...), nil
	}
	return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
}

func addrs(s ...string) (list []netip.Addr) {
	for _, a := range s {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

func TestEverySpellingOfTheCorpusIsJudged(t *testing.T) {
	var rows []byte
	for _, name := range []string{"testdata/spellings.jsonl", "testdata/more.jsonl"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, b...)
	}
	f := New(Options{Resolver: table{
		"localhost":            addrs("127.0.0.1", "::1"),
		"to6-1.rebind.example": addrs("::1"),
		"both-public-and-127-0-0-1.rebind.example": addrs("93.184.216.34", "127.0.0.1"),
		"cname-to-metadata.rebind.example":         addrs("169.254.169.254"),
	}})
	defer f.Close()
	// judge is what RoundTrip does before it dials.
	judge := func(raw string) error {
		u, err := url.Parse(raw)
		if err != nil {
			return &hostname.Error{Host: raw, Why: err.Error()}
		}
		host, err := hostname.Canonical(u.Hostname())
		if err != nil {
			return err
		}
		found, err := f.resolve(t.Context(), host)
		if err != nil {
			return err
		}
		for _, a := range found {
			if err := Check(a, nil); err != nil {
				return err
			}
		}
		return nil
	}
	n := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(rows)); lines.Scan(); {
		var row struct{ ID, Form, Label, Target, URL string }
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if row.Target == "flow" {
			to, ok := strings.CutPrefix(row.URL, "CONNECT ")
			if !ok {
				continue // two hosts in one request: the listener's to compare
			}
			row.URL = "https://" + to
		}
		n[row.Label]++
		err := judge(row.URL)
		asWritten(t, row.Label, row.URL)
		var refused *Refused
		var host *hostname.Error
		if got := errors.As(err, &refused) || errors.As(err, &host); got != (row.Label == "block") || err != nil && !got {
			t.Errorf("%s %s: %v", row.ID, row.URL, err)
		}
	}
	if n["block"] < 400 || n["allow"] < 24 {
		t.Errorf("read %v", n)
	}
}

// asWritten judges the authority of a URL without the help of a URL parser, as a
// CONNECT brings it.
func asWritten(t *testing.T, label, raw string) {
	t.Helper()
	_, rest, _ := strings.Cut(raw, "://")
	host, _, _ := strings.Cut(rest, "/")
	c, err := hostname.Canonical(host)
	if err != nil || label != "block" || c == "localhost" || strings.HasSuffix(c, ".rebind.example") {
		return
	}
	a, err := netip.ParseAddr(c)
	if err != nil {
		t.Errorf("%q is the name %q", host, c)
	} else if Check(a, nil) == nil {
		t.Errorf("%q is %v and passes", host, a)
	}
}
