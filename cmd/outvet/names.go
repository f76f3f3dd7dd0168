package main

import "outvet/internal/inspect/dnstunnel"

// openNames opens what is known of the names of hosts.
func openNames(s state, key []byte) (*dnstunnel.Ledger, error) {
	return dnstunnel.Open(dnstunnel.Files{Used: s.path("names.used"), Popular: s.path("popular.txt"), Key: key})
}
