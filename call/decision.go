package call

import "net/netip"

// A Place is where something stands in a call: a span of the decoded text of
// one part.
type Place struct {
	Part  string `json:"part"`  // body/messages/3/content, header/authorization, query/q, path/2, host
	Start int    `json:"start"` // bytes into the decoded text of the part
	End   int    `json:"end"`

	// From and To are the same span in the joined text of the call
	// (payload.Content.Text), by which package payload finds it again.
	From int `json:"-"`
	To   int `json:"-"`
}

// A Finding is something that an inspector saw. It never carries the text.
type Finding struct {
	Inspector string  `json:"inspector"`
	Kind      string  `json:"kind"` // secret/aws-access-key, credential/bearer
	Place             // of a finding about the whole call, Part is ""
	Score     float64 `json:"score,omitzero"`
	Digest    string  `json:"digest,omitempty"` // keyed: equal texts of one log have equal digests
}

// An Uninspected says what could not be read, and why.
type Uninspected struct {
	Part   string `json:"part"`
	Reason string `json:"reason"`
	// Windowed reports that the part is read in windows while it leaves, so
	// that nothing passes unread but nothing can be judged as a whole.
	Windowed bool `json:"windowed,omitempty"`
}

// An EditKind says what an Edit does.
type EditKind string

// The kinds of edits.
const (
	Redact      EditKind = "redact"       // With replaces the span at Place
	StripHeader EditKind = "strip_header" // the header Name goes
	SetHeader   EditKind = "set_header"   // the header Name becomes With
)

// An Edit changes the call on its way. With is plain text; package payload
// encodes it for the place where it goes.
type Edit struct {
	Kind  EditKind `json:"kind"`
	Place `json:"place,omitzero"`
	Name  string `json:"name,omitempty"`
	With  string `json:"with,omitempty"`
	// Cause is the kind of the finding that is redacted, if one is.
	Cause string `json:"cause,omitempty"`
	Rule  string `json:"rule,omitempty"`
}

// A Guard says which addresses a call may reach once its name is resolved.
// It is immutable. A nil Guard refuses the special-purpose ranges and admits
// the rest.
type Guard struct {
	Admit  []netip.Prefix // admitted although special
	Refuse []netip.Prefix // refused although ordinary; wins over Admit
	Rule   string         // that refuses, for the record
}

// Names of the rules that are not in any policy file.
const (
	RuleDefault    = "default"    // no rule spoke
	RuleFault      = "fault"      // our machinery failed
	RuleQuarantine = "quarantine" // the session may not call any more
	RuleKill       = "kill"       // nobody may call any more
	RuleAddress    = "address"    // the resolved address is refused
)

// A Decision is a verdict with its reasons. Edits apply if the call is allowed.
type Decision struct {
	Verdict Verdict `json:"verdict"`
	Rule    string  `json:"rule"`
	At      string  `json:"at,omitempty"`    // file:line of the rule
	Layer   string  `json:"layer,omitempty"` // organisation, team, repository, session, preset
	Code    string  `json:"code,omitempty"`  // of a refusal: destination_not_allowed, secret_found, … (package answer)
	Reason  string  `json:"reason"`          // one sentence that agent and user can act on

	Edits       []Edit        `json:"edits"`
	Findings    []Finding     `json:"findings"`
	Uninspected []Uninspected `json:"uninspected,omitempty"`

	Quarantine bool   `json:"quarantine,omitempty"` // stop the whole session
	Observed   bool   `json:"observed,omitempty"`   // decided but not enforced
	Approvers  string `json:"approvers,omitempty"`  // who may decide a hold, as the rule says it
	By         string `json:"by,omitempty"`         // approver, if a human decided
	Policy     string `json:"policy,omitempty"`     // digest of the policy that decided
	Guard      *Guard `json:"-"`

	Quiet        bool `json:"quiet,omitempty"`        // a refusal that nobody need be told of each time
	Irreversible bool `json:"irreversible,omitempty"` // what the call does cannot be taken back
}
