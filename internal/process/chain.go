package process

import (
	"strings"

	"outvet/call"
	"outvet/internal/agent"
)

// A Link is one process of a chain.
type Link struct {
	PID  int
	Name string       // as people call it
	Seen bool         // the name is that of the file that it executes, or of its script
	Who  *agent.Agent // nil for none that is known
}

// A Chain is which program made a connection, and who started it: the first
// holds the socket, the next started the one before it.
type Chain struct {
	Links []Link
	// Session and ToolCall are what the environment of the first says.
	Session, ToolCall string
}

const (
	firstLinks = 3
	lastLinks  = 2
	separator  = " < "
)

// String returns the chain as people read it, "" for none.
func (c *Chain) String() string {
	var names []string
	for _, l := range c.Links {
		if len(names) == 0 || names[len(names)-1] != l.Name {
			names = append(names, l.Name)
		}
	}
	if len(names) > firstLinks+lastLinks+1 {
		names = append(append(names[:firstLinks:firstLinks], "…"), names[len(names)-lastLinks:]...)
	}
	return strings.Join(names, separator)
}

// Agent returns the AI agent that is nearest to the connection, or nil.
func (c *Chain) Agent() *agent.Agent {
	for _, l := range c.Links {
		if l.Who != nil && l.Who.AI {
			return l.Who
		}
	}
	return nil
}

// mark says how the chain is known: a name that the process gave itself makes it
// a claim.
func (c *Chain) mark() call.Mark {
	for _, l := range c.Links {
		if !l.Seen {
			return call.Claimed
		}
	}
	return call.Observed
}

// testimony is what a chain says of a caller, made once.
type testimony struct{ process, agent, session, toolCall call.Attr }

func (c *Chain) testimony() testimony {
	var t testimony
	if len(c.Links) == 0 {
		return t
	}
	m := c.mark()
	t.process = call.Attr{Value: c.String(), Mark: m}
	if a := c.Agent(); a != nil {
		t.agent = call.Attr{Value: a.Name, Mark: m}
	}
	t.session, t.toolCall = call.Attr{Value: word(c.Session)}, call.Attr{Value: word(c.ToolCall)}
	return t
}

// tell fills in what who does not know better.
func (t *testimony) tell(who *call.Caller) {
	if t.process.Value == "" {
		return
	}
	who.Process = t.process
	if t.agent.Value != "" && t.agent.Mark >= who.Agent.Mark {
		who.Agent = t.agent
	}
	if who.Conversation.Value == "" {
		who.Conversation = t.session
	}
	if who.ToolCall.Value == "" {
		who.ToolCall = t.toolCall
	}
}

// wordMax bounds what an environment says, in bytes.
const wordMax = 128

// word returns s if it can be the name of a session or of a call.
func word(s string) string {
	if len(s) > wordMax {
		return ""
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}

// trim cuts the chain where it stops to matter on a machine that is no sandbox:
// above the outermost agent, or else after a few.
func (c *Chain) trim() {
	for i := len(c.Links) - 1; i >= 0; i-- {
		if w := c.Links[i].Who; w != nil && w.AI {
			c.Links = c.Links[:i+1]
			return
		}
	}
	c.Links = c.Links[:min(len(c.Links), firstLinks)]
}
