// Package agent is the one table of the programs that people name when they say
// who made a call: AI agents (claude, codex, …) and the tools that agents run
// (git, npm, curl, …). It knows by what each can be told:
//
//	Products   the product of User-Agent or Originator, before "/"   a claim
//	Programs   the base name of the executable or script             seen
//	Packages   the folder of the package that a script stands in     seen
//	Paths      a part of the path of the executable                  seen
//	Sessions   header fields in which it names its own session       a claim
//	SessionVar, CallVar
//	           variables in the environment of what it runs          a claim
//
// What a request says of itself is a claim: anybody can say it. That a program of
// some name runs can be seen, but a copy of any program can have any name. So
// neither is a ground to allow a call, and no rule sees what was seen: it goes
// into the record.
//
// A new agent is one entry of the table, and a preset of the same name if it
// talks to hosts of its own.
package agent
