package summary

import "outvet/call"

// What stands beside calls, and is told only if no call followed it: the question for
// the addresses of a host, and a connection on which nothing was asked, as of a client
// that tries two addresses and takes the faster one.
type aside string

const (
	lookup aside = "lookup"
	unused aside = "unused"
)

func asideOf(d *call.Record, out *call.Outcome) aside {
	switch {
	case d.Protocol == "dns" && (d.Method == "A" || d.Method == "AAAA" || d.Method == "HTTPS"):
		return lookup
	case d.Protocol == "connect" && out.Sent == 0 && out.Received == 0:
		return unused
	}
	return ""
}

// followed reports whether a call followed what stands aside. A connection is one
// program's; who asked for an address is not always known.
func (s *Session) followed(k key) bool {
	switch k.aside {
	case lookup:
		return s.called[visit{host: k.host}]
	case unused:
		return s.called[visit{k.host, k.by}]
	}
	return false
}

// told returns the rows that a person is told, and adds what stands aside in them to
// the sums. s.mu is held.
func (s *Session) told(sums *Totals) map[key]*Row {
	all, more := make(map[key]*Row, len(s.rows)), map[string]bool{}
	for k, r := range s.rows {
		if s.followed(k) {
			continue
		}
		if k.aside != "" {
			sums.count(r, r.Calls, r.Up, s.o.Would != nil)
			if !s.hosts[k.host] {
				more[k.host] = true
			}
			k.aside, k.host = "", ""
		}
		if first := all[k]; first != nil {
			first.Calls += r.Calls
			first.Up += r.Up
			first.Down += r.Down
			first.Host = min(first.Host, r.Host)
			continue
		}
		copied := *r
		all[k] = &copied
	}
	sums.Hosts = len(s.hosts) + len(more)
	return all
}
