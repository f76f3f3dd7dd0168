// Package answer renders what a client is told when a call does not go
// through, in the words of the protocol and program that asked.
//
// # Law
//
// A refusal by policy never looks like a fault of the network, and a fault of
// the network never looks like a refusal: For has the title "Blocked by egress
// policy" or "Waiting for approval" and status 400, 403 or a success of the
// dialect; Fault has another title and 4xx or 5xx. Neither is ever 429 or 503
// for policy: clients would repeat the call up to thirty times.
//
// An Answer is a pure function of the request, the decision and the call. Host,
// path, rule and reason may be written by an attacker; none can break out of
// the header, reason phrase, JSON, XML or HTML it is put in.
//
// # Dialects
//
// The first that matches is used.
//
//	request                                     status  body
//	Content-Type: application/grpc*             200     none; grpc-status 7, grpc-message in the header
//	User-Agent: git/…, POST of fetch or push    200     a line of the pack protocol, which git prints
//	User-Agent: git/…                           403     text/plain, which git prints as "remote: …"
//	User-Agent: Go-http-client, module path     403     text/plain
//	User-Agent: npm/…                           403     {"error":"…"}
//	path /v2/… (registry)                       403     {"errors":[{"code":"DENIED",…}]}
//	path …/v1/messages                          400     Anthropic's error
//	path …/responses, …/chat/completions        400     OpenAI's error
//	path with "enerateContent"                  403     Google's error
//	JSON-RPC tools/call with an id              200     result with isError
//	other JSON-RPC                              403     JSON-RPC error -32010
//	path …/graphql with JSON                    403     {"errors":[…]}
//	S3 host or x-amz-* header                   403     <Error><Code>AccessDenied</Code>…
//	Accept: text/html                           403     a small page
//	else                                        403     application/problem+json (RFC 9457)
//
// Model APIs get 400 because their clients take 403 for a failed login or
// repeat it; both were counted.
//
// # Fields
//
// Every Answer has Proxy-Status (RFC 9209), X-Should-Retry, Cache-Control:
// no-store and Content-Length; those about a call have Outvet-Call with its
// short ID. A problem document has type, title, status, detail, instance
// (urn:outvet:call: and the whole ID) and code, rule, call, retryable,
// findings (kinds only).
//
// Example, of a GET by curl:
//
//	HTTP/1.1 403 Blocked by egress policy: GET paste.example not allowed (id 9K7Q2M)
//	Content-Type: application/problem+json
//	Outvet-Call: 9K7Q2M
//	Proxy-Status: outvet; error=http_request_denied; details="rule=default id=9K7Q2M"
//	X-Should-Retry: false
//
//	{"type":"urn:outvet:problem:destination_not_allowed","title":"Blocked by egress policy",…}
package answer
