// Package secret finds credentials in what leaves: tokens of known issuers,
// private keys, connection strings, values whose name says that they are
// secret, and values that we were told. It reports each as a secret or, where it
// stands as authentication towards its own issuer, as a credential.
//
// # Kinds
//
//	secret/<name>             found where it must not stand; <name> is that of a rule
//	credential/<name>         the same, at home
//	secret/known/<name>       a value given as Known
//	credential/known/<name>   the same, at home
//	credential/bearer         whole in an authentication header, of no known issuer, as
//	credential/basic          "Bearer …" or "token …", "Basic …",
//	credential/api-key        or alone
//
// # At home
//
// A credential is at home if it stands in an authentication position and the
// destination is its issuer's, or the policy names it for the destination
// (call.Dest.Credentials: github-pat, credential/github-pat, or *).
//
//   - Positions are the headers listed in rules.yaml, headers whose name ends as
//     in X-Acme-Token, cookies, and those that the rule adds (query/key).
//     Of fields joined, none is a position.
//   - The issuer's hosts are in the rule: a host is one of them or below one, by
//     whole labels. Only call.Dest.Host counts; what the Host header claims does
//     not.
//   - A rule without one issuer (home: {self: true}), such as a JSON Web Token, is
//     at home in the headers of every host, and named by how it is sent.
//
// The same token elsewhere in the call is another finding, and a secret.
//
// # Findings
//
// The score is 1 if a checksum holds or the value is known, 0.9 if the shape is
// that of one issuer or format, 0.8 if an issuer's name and the shape of its
// tokens meet, 0.6 if only a name or a position says so. The digest is 16
// bytes, in hexadecimal, of HMAC-SHA256 of the value under Options.Key: of a
// Known, of its plain value whatever encoding it was found in.
//
// Findings are in the order of the text. Of rules that overlap the one that
// knows more wins: known value, shape with a beginning like sk-ant-, shape, name
// and shape, weak shape (Bearer …), name, position. So the key of one issuer is
// never taken for a bearer of any. A value that payload shows twice, in a join or
// as text and as JSON, is one finding. In other layers (an escaped stretch with a
// plain token in it) both sights are reported: which of them covers the other
// cannot be told here. More than 10,000 findings in one text are an error.
//
// # Names and values
//
// A name and its value stand in one text (PASSWORD=…, "api_key": "…", token :=
// `…`, --token …, <password>…</password>, key="password" value="…") or in two fields: {"api_key": "…"},
// ?token=…, {"name": "API_KEY", "value": "…"}. In Content.Text names of fields
// are parts too, and the value is the next part; that it belongs to the name is
// said by its path, which is asked for only if the value would do. Context comes
// before entropy: a random value under a name that says nothing is not
// reported, and a name like token_count, public_key or csrf_token says that
// there is none.
//
// # Rules
//
// rules.yaml is our own data. A rule has
//
//	name       last segment of the kind: lower case words and hyphens; several rules may share it
//	describe   what it finds, for people
//	expr       what the value looks like, in the syntax of package regexp; or
//	words      what stands in the name of the value, with value or generic
//	value      what all of the value must match, for words
//	generic    password or token: the value is judged by what people, or machines, choose;
//	           with expr: the finding ranks as generic
//	common     the words are everywhere in ordinary text: only with an operator behind them
//	group      submatch of expr that is the value; the last, if extend is given
//	extend     byte class: the value goes on while bytes are in it, to the end of its part
//	before     byte class that may not stand before the value; default 0-9A-Za-z_, '' for none;
//	           if expr begins with five bytes or more that chance does not make (sk-ant-,
//	           xoxb-), the default is none for a value that is not of words
//	after      the same behind it
//	entropy    the least Shannon entropy of the value, in bits per byte
//	check      a function that must agree and may cut the value (checkNamed lists them)
//	proof      a function that, if it agrees, makes the score 1 and before and after not matter
//	near       words of which one must stand within 1,024 bytes before, 256 behind, or in the path
//	weak       the shape is that of several issuers, so that rules of one win over it
//	find       kubernetes: the match is a manifest whose values are looked for
//	not        google-samples: not one of the keys that Google publishes
//	home       hosts, at (positions beside the headers), self
//
// The laws of package match hold for expr: a literal of two bytes or more, a
// bounded length, no gap between two words. The edges of a value are checked in
// code, with Content.Edge, and never with \b: at the end of a field a word may
// end whatever stands beside it.
//
// To add a rule, write it next to its kin, with the issuer's documentation open;
// take the loosest expression that its tokens all match and let entropy, check
// and near keep false alarms down. Add a made-up token to a test, and
// run the tests: they hold the laws, the vectors and the benign corpora.
//
// # Known values
//
// Known values of at least 8 bytes are found exactly, in any encoding that
// package payload opens, and directly in base64 at its three alignments, hex,
// percent-encoding and reversed, so that also short and odd runs are found. Of
// values of several lines each line of 16 bytes or more is looked for too; of a
// longer value or line, the first 384 bytes.
//
// # Cost
//
// Text without a finding costs no memory, unless one of the first 64 lines of the
// head is a field that could be a credential, whose name must then be made.
// What is found follows from what stands within Reach of it (inspect.Local), so
// that text which was read before need not be read again.
package secret
