package gate

import (
	"time"

	"outvet/call"
)

// Began records that a session began: whose it is, and how well its way is closed.
// It is for who starts the session; nothing of it may leave if that is an error.
func (g *Gate) Began(who call.Caller, grade call.Grade, note string) error {
	return g.record(&call.Record{Kind: call.SessionSet, Time: time.Now().UTC(), Session: who.Session, Caller: who, Grade: grade, Note: note})
}

// Ended records that a session ended.
func (g *Gate) Ended(id call.SessionID, note string) error {
	return g.record(&call.Record{Kind: call.SessionSet, Time: time.Now().UTC(), Session: id, Note: note})
}
