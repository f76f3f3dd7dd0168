package call

import "time"

// A SessionID names one run of one agent for one principal.
type SessionID string

// A Mark says how an attribute of a caller is known. Claimed attributes can
// only tighten a decision.
type Mark uint8

// Marks, in the order of trust. The zero Mark is the least.
const (
	Claimed  Mark = iota // the agent says so
	Signed               // a registered key vouches
	Observed             // we saw it
)

// String returns the word that records use.
func (m Mark) String() string {
	switch m {
	case Observed:
		return "observed"
	case Signed:
		return "signed"
	}
	return "claimed"
}

// MarshalText implements encoding.TextMarshaler.
func (m Mark) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. An unknown word is Claimed.
func (m *Mark) UnmarshalText(b []byte) error {
	switch string(b) {
	case "observed":
		*m = Observed
	case "signed":
		*m = Signed
	default:
		*m = Claimed
	}
	return nil
}

// An Attr is one attribute of a caller and how it is known. The zero Attr says
// that nothing is known.
type Attr struct {
	Value string `json:"value"`
	Mark  Mark   `json:"mark"`
}

// A Source is one origin of what made the agent act.
type Source struct {
	Source string `json:"source"`
	Trust  string `json:"trust"` // internal, first_party, third_party, unknown
	Mark   Mark   `json:"mark"`
}

// A Caller says who is acting and how each part of that is known.
type Caller struct {
	Session     SessionID `json:"session"`
	SessionMark Mark      `json:"session_mark"`
	Parent      SessionID `json:"parent,omitempty"` // session that started this one

	Type      Attr   `json:"type,omitzero"`      // interactive, batch, scheduled, …
	Principal Attr   `json:"principal,omitzero"` // on whose authority
	Roles     []Attr `json:"roles,omitempty"`
	Agent     Attr   `json:"agent,omitzero"`
	Tool      Attr   `json:"tool,omitzero"`
	ToolCall  Attr   `json:"tool_call,omitzero"`
	Process   Attr   `json:"process,omitzero"` // curl < bash < claude
	// Conversation is what the agent itself calls its session or thread.
	Conversation Attr     `json:"conversation,omitzero"`
	Purpose      Attr     `json:"purpose,omitzero"`
	Provenance   []Source `json:"provenance,omitempty"`
}

// A Witness knows more of a caller than the call says, such as which process
// holds the client's end of its connection. What it knows comes too late for the
// decision: it goes into the record alone.
type Witness interface {
	// Testify fills in what is known, once it is, but waits for that no longer than
	// until so much time has passed since the connection was made. It reports false
	// if it is not known yet.
	Testify(who *Caller, since time.Duration) bool
}
