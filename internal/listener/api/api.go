package api

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"outvet/call"
	"outvet/internal/gate"
	"outvet/internal/payload"
)

// bodyMax bounds a request to the API, in bytes.
const bodyMax = 16 << 20

// A server answers the check API.
type server struct {
	gate  *gate.Gate
	token string
}

// New returns the API of g. token is what a caller must know; an empty one
// admits nobody.
func New(g *gate.Gate, token string, o Options) http.Handler {
	s := &server{g, token}
	mux := http.NewServeMux()
	s.operate(mux, o)
	mux.Handle("POST /v1/check", s.authorised(s.check))
	mux.Handle("GET /v1/sessions", s.authorised(s.sessions))
	mux.Handle("POST /v1/sessions/{session}/quarantine", s.authorised(s.quarantine))
	mux.Handle("POST /v1/sessions/{session}/release", s.authorised(s.release))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, fmt.Sprintf("%s %s is not known here; see POST /v1/check, GET /v1/sessions, POST /v1/kill, GET /healthz, GET /metrics", r.Method, r.URL.Path))
	})
	return mux
}

// authorised admits callers who know the token, at a Host that is an address
// or localhost: a page that rebinds its name to us has another Host.
func (s *server) authorised(h func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host) {
			problem(w, http.StatusMisdirectedRequest, fmt.Sprintf("host %q is not this API; use its address", r.Host))
			return
		}
		s.known(h).ServeHTTP(w, r)
	})
}

// known admits callers who know the token.
func (s *server) known(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || s.token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="outvet"`)
			problem(w, http.StatusUnauthorized, "send the token of the state directory as Authorization: Bearer TOKEN")
			return
		}
		h(w, r)
	})
}

func local(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host == "localhost"
}

// A question is the body of POST /v1/check.
type question struct {
	Session     call.SessionID `json:"session"`
	SessionType string         `json:"session_type"`
	Principal   string         `json:"principal"`
	Agent       string         `json:"agent"`
	Purpose     string         `json:"purpose"`
	Provenance  []source       `json:"provenance"`
	HTTP        *httpCall      `json:"http"`
	Tool        *toolCall      `json:"tool"`
}

type source struct {
	Source string `json:"source"`
	Trust  string `json:"trust"`
}

type httpCall struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

type toolCall struct {
	Name string          `json:"name"`
	Call string          `json:"call"`
	Args json.RawMessage `json:"args"`
}

// An answer is the body of a reply to POST /v1/check.
type answer struct {
	Call call.ID `json:"call"`
	call.Decision
}

func (s *server) check(w http.ResponseWriter, r *http.Request) {
	var q question
	if !read(w, r, &q) {
		return
	}
	c, m, err := q.describe()
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	p := s.gate.Open(r.Context(), c, m)
	p.Examine()
	a := answer{Call: c.ID, Decision: p.Located()}
	a.Findings, a.Edits = append([]call.Finding{}, a.Findings...), append([]call.Edit{}, a.Edits...) // lists, never null
	if err := p.Close(call.Outcome{}); err != nil {
		problem(w, http.StatusInternalServerError, "the decision could not be recorded; do not make the call")
		return
	}
	reply(w, http.StatusOK, a)
}

// describe turns the question into the call that a listener would have made.
func (q *question) describe() (*call.Call, *payload.Message, error) {
	var c *call.Call
	var m *payload.Message
	switch {
	case q.HTTP != nil:
		var err error
		if c, m, err = q.HTTP.describe(); err != nil {
			return nil, nil, err
		}
	case q.Tool != nil && q.Tool.Name != "":
		c = &call.Call{Op: call.Op{Protocol: "mcp", Method: "tools/call", Target: q.Tool.Name}}
		m = &payload.Message{Header: http.Header{"Content-Type": {"application/json"}},
			Body: bytes.NewReader(q.Tool.Args), Length: int64(len(q.Tool.Args))}
	default:
		return nil, nil, errors.New(`give "http" or "tool" with a "name": what is to be checked`)
	}
	c.Listener = "api"
	c.Caller = q.caller()
	return c, m, nil
}

func (h *httpCall) describe() (*call.Call, *payload.Message, error) {
	if h.Method == "" {
		return nil, nil, errors.New(`"http.method" is missing`)
	}
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" {
		return nil, nil, fmt.Errorf(`"http.url" %q is not an absolute URL`, h.URL)
	}
	header := http.Header{}
	for k, v := range h.Headers {
		header.Add(k, v)
	}
	var body io.Reader
	if h.Body != "" {
		body = strings.NewReader(h.Body)
	}
	return gate.Asked(h.Method, u, header, body, int64(len(h.Body)))
}

// caller is what the framework says; the API saw none of it.
func (q *question) caller() call.Caller {
	claim := func(v string) call.Attr { return call.Attr{Value: v, Mark: call.Claimed} }
	who := call.Caller{
		Session: q.Session, SessionMark: call.Claimed, Parent: "api",
		Type: claim(q.SessionType), Principal: claim(q.Principal), Agent: claim(q.Agent), Purpose: claim(q.Purpose),
	}
	if who.Session == "" {
		who.Session, who.SessionMark, who.Parent = "api", call.Observed, ""
	}
	if q.Tool != nil {
		who.Tool, who.ToolCall = claim(q.Tool.Name), claim(q.Tool.Call)
	}
	for _, p := range q.Provenance {
		who.Provenance = append(who.Provenance, call.Source{Source: p.Source, Trust: p.Trust, Mark: call.Claimed})
	}
	return who
}

func (s *server) sessions(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.gate.Sessions.List())
}

// A change is the body of a quarantine or release, a kill or a lift.
type change struct {
	By  string `json:"by"`
	How string `json:"how"` // of a kill or a lift
	Why string `json:"why"`
}

func (s *server) quarantine(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, func(id call.SessionID, c change) error { return s.gate.Quarantine(id, c.By, c.Why) })
}

func (s *server) release(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, func(id call.SessionID, c change) error { return s.gate.Release(id, c.By) })
}

func (s *server) change(w http.ResponseWriter, r *http.Request, do func(call.SessionID, change) error) {
	var c change
	if !read(w, r, &c) {
		return
	}
	if c.By == "" {
		problem(w, http.StatusBadRequest, `"by" is missing: who does this`)
		return
	}
	if err := do(call.SessionID(r.PathValue("session")), c); err != nil {
		problem(w, http.StatusConflict, err.Error())
		return
	}
	reply(w, http.StatusOK, map[string]string{"session": r.PathValue("session")})
}

// read decodes the body into v or answers why it cannot.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMax))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil && dec.More() {
		err = errors.New("more than one JSON value")
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes", int64(bodyMax)))
	case err != nil:
		problem(w, http.StatusBadRequest, "the body is not the JSON asked for: "+err.Error())
	}
	return err == nil
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v) // the client is gone if this fails
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}
