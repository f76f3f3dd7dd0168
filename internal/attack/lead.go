package attack

import (
	"strconv"

	"outvet/internal/forward"
)

// Lead makes a forwarder take our internet for the real one: for the hosts of the
// tries, for the public addresses that they name, and for every name. Other
// addresses it judges and dials as always.
func (i *Internet) Lead(f *forward.Options) {
	port, _ := strconv.ParseUint(rawPort, 10, 16)
	hosts := []string{frontHost}
	var ours []forward.ConnectTo // before the user's, of which the first that fits counts
	for _, t := range Tries() {
		hosts = append(hosts, t.host())
	}
	for _, h := range append(hosts, publicAddresses...) {
		for from, to := range map[uint16]int{443: i.HTTPS, 80: i.HTTP, uint16(port): i.Raw, 853: i.Raw} {
			ours = append(ours, forward.ConnectTo{Host: h, Port: from, Addr: "127.0.0.1", To: uint16(to)})
		}
	}
	f.ConnectTo = append(ours, f.ConnectTo...)
	f.Roots = append(f.Roots, i.Root)
	f.Resolver = i
	f.NameServers = append(f.NameServers[:0:0], i.Names)
}
