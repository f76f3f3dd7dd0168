package call

import "time"

// A Kind says what a leaf of the log records.
type Kind string

// The kinds of leaves.
const (
	Decided     Kind = "decided"    // written before anything of the call leaves
	Closed      Kind = "closed"     // written when the call is over
	PolicySet   Kind = "policy"     // a policy came into force
	SessionSet  Kind = "session"    // a session began, ended or changed
	Quarantined Kind = "quarantine" // a session was stopped or released
	Killed      Kind = "kill"       // the kill switch was pulled or lifted
	Approval    Kind = "approval"   // a step of a hold
	Started     Kind = "start"      // the log was opened for writing
	Stopped     Kind = "stop"       // the log was closed in order
)

// Distrusts begins the Error of an Outcome when the client refused our
// certificate.
const Distrusts = "the client does not trust the certificate authority of outvet"

// An Outcome is what became of a call.
type Outcome struct {
	Status   int    `json:"status,omitempty"`  // as the client saw it
	Sent     int64  `json:"sent"`              // body bytes that went upstream
	Times    int64  `json:"times,omitempty"`   // how often the same was asked, where one record stands for all of it
	Received int64  `json:"received"`          // body bytes that came back
	Address  string `json:"address,omitempty"` // where it went: of the upstream proxy, if there is one
	Via      string `json:"via,omitempty"`     // the upstream proxy, and whether it alone knows the server's address
	Error    string `json:"error,omitempty"`   // of the network or of our machinery; never payload
	Commit   string `json:"commit,omitempty"`  // salted commitment to the bytes sent
	Aborted  bool   `json:"aborted,omitempty"` // a finding stopped it under way, after Sent bytes
}

// A Record is what is kept of a call or of an event. It holds no payload. A
// call has two, joined by ID: a long call is visible while it lasts, and a
// crash leaves a decided record without a closed one.
type Record struct {
	Kind Kind      `json:"kind"`
	ID   ID        `json:"id,omitempty"` // of the call
	Time time.Time `json:"time"`         // UTC

	Parent   ID     `json:"parent,omitempty"`
	Seq      uint64 `json:"seq,omitempty"` // of a decided record: its number in the session, from 1, without gaps
	Listener string `json:"listener,omitempty"`
	Grade    Grade  `json:"grade,omitempty"`
	Caller   Caller `json:"caller,omitzero"`

	Scheme   string `json:"scheme,omitempty"`
	Host     string `json:"host,omitempty"`
	Port     uint16 `json:"port,omitempty"`
	Category string `json:"category,omitempty"`
	Trust    string `json:"trust,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Method   string `json:"method,omitempty"`
	Target   string `json:"target,omitempty"`
	Size     int64  `json:"size,omitempty"` // body bytes offered; -1 when not known

	Decision *Decision     `json:"decision,omitempty"` // as decided, even if only observed
	Took     time.Duration `json:"took,omitempty"`     // ns from Open to this record
	Inspect  time.Duration `json:"inspect,omitempty"`  // ns of them spent on decoding and inspecting
	Outcome  *Outcome      `json:"outcome,omitempty"`  // of a closed record

	Session SessionID `json:"session,omitempty"` // of a session or quarantine record
	Note    string    `json:"note,omitempty"`    // of an event: what happened, by whom, why

	// Durable asks the log to have the record on disk before Write returns.
	Durable bool `json:"-"`
	// Opened is the decided record of a closed one, for sinks; the log has it.
	// It may be nil.
	Opened *Record `json:"-"`
	// Inspected is, of a closed record, how many bytes of decoded text were
	// inspected.
	Inspected int64 `json:"-"`
	// Body is the SHA-256 of the bytes that Outcome.Commit commits to, or nil.
	// The log salts it and keeps the salt apart, so that it can be forgotten.
	Body []byte `json:"-"`
}
