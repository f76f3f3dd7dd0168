// Package api is the check API: an author of an agent framework asks before
// acting, and gets the decision that the wire would meet, by the same gate.
//
//	POST /v1/check                          decide one call; nothing is sent
//	GET  /v1/sessions                       the sessions known
//	POST /v1/sessions/{session}/quarantine  stop a session: {"by","why"}
//	POST /v1/sessions/{session}/release     let it call again: {"by"}
//	POST /v1/kill                           stop all calls: {"by","why"}
//	POST /v1/kill/lift                      let them pass again: {"by"}
//	GET  /v1/kill                           {"killed", "by", "how", "why", "at"}
//	GET  /metrics                           for Prometheus (package metrics)
//	GET  /healthz                           "ok", or 503 and "degraded: …"; needs no token
//
// Every other request, that for metrics unless they are open, carries "Authorization: Bearer TOKEN"; the token stands in
// the state directory, out of the agent's reach. Bodies are JSON; a field that
// is not known is an error, since a check that overlooks a field checks another
// call. Errors are application/problem+json.
//
// A check describes an HTTP request or a tool call:
//
//	{"session": "s1", "agent": "crew", "session_type": "batch",
//	 "http": {"method": "POST", "url": "https://api.example.com/v1/mail",
//	          "headers": {"Content-Type": "application/json"}, "body": "{…}"},
//	 "tool": {"name": "send_email", "call": "toolu_1", "args": {…}}}
//
// With both, the HTTP request is judged with the tool as its caller's; with the
// tool alone, the tool call is (protocol "mcp", method "tools/call"). CONNECT to a
// URL such as tls://host:443 asks whether TLS may pass unread. What the
// framework says of the caller is marked claimed. The answer is the decision:
//
//	{"call": "…", "verdict": "block", "rule": "no secrets out", "reason": "…",
//	 "findings": [{"inspector","kind","part","start","end"}], "edits": […]}
package api
