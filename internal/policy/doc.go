// Package policy decides. It turns rules into decisions and does nothing else:
// it reads no payload, keeps no state between calls and records nothing.
//
// # A policy file
//
// YAML, with version: 1 first. Unknown keys, wrong types, duplicate and unknown
// names are errors with file:line:column and the nearest valid word; all are
// reported. Anchors, aliases and tags are refused. The keys are in keys.go and
// rulekeys.go; Schema describes them for editors.
//
//	version: 1
//	default: block
//	include: [preset:core, preset:models]
//	rules:
//	  - {name: inference, to: "@models", method: POST, path: "/v1/**", verdict: allow}
//	tests:
//	  - {allow: "POST https://api.openai.com/v1/responses"}
//
// include: merges rules, destinations, tools, secrets and tests of other files,
// relative to the file that names them; the including file decides mode and
// default, and where it does not, those that it includes must agree. A file
// counts once. Tests of an included preset do not run again. A policy whose
// tests fail does not load.
//
// # Laws
//
// Order does not matter. All rules that match count, the strictest verdict wins
// (allow < hold < block), edits add up, and what no rule decides is decided by
// default (block if not given). A rule without verdict only edits.
//
// Unknown is strict. A condition that cannot be evaluated (a missing attribute,
// an error of an expression, an unclear path) does not satisfy an allowing rule
// and does satisfy one that holds, blocks or redacts. An attribute that is only
// claimed is unknown too: it can tighten, never loosen. So can a holding rule that
// matches only by doubt: it does not take the place of a stricter default.
// strip_headers applies where the condition holds or is claimed to hold,
// set_headers only where it surely holds. "unknown" as category or trust is a
// value: a rule that means unlabelled destinations says so.
//
// What could not be inspected is strict. A rule with a finding that holds or
// blocks also matches when a part is uninspected that could hide it, unless it
// says uninspected: allow. uninspected: hold or block on any rule that matches
// applies to what is not inspected and to what is read in windows alike. An
// allowing rule with a finding is never satisfied by what was not inspected.
//
// Observing rules act on nothing. A rule observes if its mode, or else that of
// its layer, is observe. Two decisions are made: by the enforcing rules alone and
// by all. If the enforcing ones hold, block or edit, that is the decision;
// else, if all together would, that is the decision with Observed set, and the
// caller must let the call pass untouched. An observing rule that allows allows
// nothing that an enforcing default blocks. Head is final only for what is
// enforced.
//
// Layers only tighten. Each decides for itself, the strictest wins. The
// outermost has a default in any case, an inner one only if it says so. delegate:
// names rules of a layer, or destinations with @: where a rule of an inner layer
// gives a verdict without doubt, the delegated rule, or the default for the
// delegated destination, is set aside. Labels of destinations, homes of
// credentials and admitted addresses of an inner layer count in its own rules at
// most, not outside.
//
// # Hosts and addresses
//
// A host pattern is an exact name or address, "*.example.com" for the names below
// at any depth (not the name itself), or "*". Names are compared in lower case
// and as IDNA writes them, without trailing dot; a host that is no name is
// refused. Spellings of addresses that resolvers take (0x7f.1, 64:ff9b::7f00:1)
// count for holding and blocking rules. cidrs match hosts that are addresses.
// For names they go into Decision.Guard: what an allowing rule's destination
// names is admitted, what a holding or blocking rule names is refused, once the
// name is resolved.
//
// # Paths
//
// In a pattern "*" is one segment or any run within one, "{name}" one segment,
// "**" any number of them, also none. Patterns are compared with the path as it is
// decoded, once. A path is clear if all servers read it alike. It is unclear with
// dot segments, "//", ";", "\", encoded forms of these, escapes that decode to
// escapes, invalid escapes, control characters, text that is not UTF-8 or
// that compatibility mapping turns into a separator, or a segment that ends in a
// dot or space. A path with an encoded slash has two readings.
//
//   - An allowing rule with a path needs a clear path, or a match by both
//     readings. "/**" matches any.
//   - A holding or blocking rule matches if any reading does, in any case of
//     letters, with or without a slash at the end. What an unclear path may mean is
//     enumerated; if it is too long for that, every path matches.
//
// # Expressions
//
// when: holds one CEL expression, checked and priced when the policy is loaded.
// Variables: call.{id protocol method path host port scheme sent listener grade},
// caller.{session type principal roles agent tool tool_call purpose provenance},
// dest.{category trust}, findings (kind, part, score). Functions: cidr(host,
// range), glob(text, pattern), etld1(host). What is not known is an error there, and
// so the condition unknown. Provenance is known only if no source is merely
// claimed.
//
// # TLS that passes unread
//
// tls: passthrough on an allowing rule with to: names hosts whose TLS is not
// ended but passed on as it comes, for clients that accept only the host's own
// certificate or show one of their own. Such a connection is one call, protocol
// and scheme tls, method connect, and its content is never known:
//
//	rules:
//	  - {name: pinned updates, to: updates.example.com, tls: passthrough, verdict: allow}
//	tests:
//	  - {allow: "CONNECT tls://updates.example.com", rule: pinned updates}
//
// What a rule means for such a call:
//
//   - The naming rule matches calls of protocol tls alone and allows nothing else. No
//     default and no other rule lets TLS pass unread, also in observe mode.
//   - That the content is not read is what it says, so it is not held
//     against the call: a condition on findings sees those in the name of the host
//     and in what the caller says of itself, uninspected: does not match, and
//     call.sent is 0 to a rule that holds, blocks or edits. To a rule that allows,
//     both are unknown.
//   - All else is strict. A holding or blocking rule that matches by destination,
//     port or caller counts as ever. One that asks for method or path, or for a
//     protocol or scheme that is spoken over TLS, matches: what is inside may be
//     what it means. An allowing one that asks for these does not match. In
//     expressions call.method and call.path are not known.
//   - Only the outermost layer can name hosts; in an inner one the rule allows, as
//     any other, what the outermost named. An observing rule names nothing, unless
//     its whole layer observes.
//
// Where policy does not let a connection pass so, its TLS is ended and the
// requests in it are judged.
//
// # Queries of DNS
//
// A query is a call of protocol dns and scheme dns, port 53, its method the type
// (A, TXT, …), its target and host the name. Rules that ask for protocol: dns are
// about queries as such.
//
// The types A, AAAA, HTTPS and SVCB ask for the address of a connection that will
// be judged itself. Its look-up is refused only where any such connection would
// be:
//
//   - A rule that allows or holds calls to the host admits the look-up, whatever it
//     asks for of method, path, port, protocol, scheme, expression and caller, as long as
//     it may match.
//   - A rule that blocks counts if it asks for none of these, but it does count
//     with a finding that is in the name, and may quarantine.
//   - A hold admits it only where it names the host: a default of hold, or a rule
//     for all, would let out any name before a person saw it.
//
// Any other type is let out only by a rule that names the host, or protocol: dns.
// No default and no rule for "*" lets it out:
//
//	rules:
//	  - {name: mail exchangers, to: "*.corp.example", protocol: dns, method: [MX, TXT], verdict: allow}
//	tests:
//	  - {allow: "MX dns://corp.example"}
//
// # Edits
//
// redact: mask puts [redacted:KIND] in the place of each finding that the rule
// names, remove nothing. A finding about the call as a whole has no place. Of
// two rules on one header, the one that strips wins, then the outer, then the
// earlier.
//
// # Cost
//
// The cost of a decision does not grow with the number of rules, hosts or
// ranges (TestCostIsFlatInTheNumberOfRules), and one without findings, edits and
// expressions allocates nothing (TestDecidingAllocatesNothing). Linear are only
// rules that no index tells apart: same host, method and path, or expressions
// alone.
//
// # Reserved
//
// Read and checked, not enforced yet: budgets, endpoint and arguments of tools;
// Lint says so. redact: pseudonym is refused.
package policy
