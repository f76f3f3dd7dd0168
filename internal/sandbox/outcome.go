package sandbox

import "syscall"

// An Exit is how the command ended.
type Exit struct {
	Code   int            // as a shell would say it
	Signal syscall.Signal // that ended it, or 0
	Reason string         // why it could not be executed, for codes 126 and 127
}

// A Change is a file of the workspace that others run or obey, and that is not what
// it was when the command started.
type Change struct {
	Path string // relative to the workspace
	Kind ChangeKind
}

// A ChangeKind says what became of a file.
type ChangeKind string

const (
	Added   ChangeKind = "added"
	Changed ChangeKind = "changed"
	Removed ChangeKind = "removed"
)
