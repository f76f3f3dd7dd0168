// Package session knows who is calling and what a run did so far: which
// sessions live, which of them may not call any more, and what inspectors
// remember of each.
//
// A quarantine is written through to a journal before it counts, so that a
// restart pardons nobody. Several processes share one journal: what one writes the
// others take in when they look (Table.Look), and before they write themselves. A
// session whose name is only claimed shares the
// quarantine of the peer it came from: giving oneself another name is no way
// out.
//
// Memory is bounded: of sessions that are not quarantined the ones idle the
// longest are forgotten beyond Max.
package session
