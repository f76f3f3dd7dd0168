package sandbox

import (
	"fmt"
	"io/fs"
	"syscall"
)

// An Exit is how the command ended.
type Exit struct {
	Code   int            // as a shell would say it
	Signal syscall.Signal // that ended it, or 0
	Reason string         // why it could not be executed, for codes 126 and 127
}

// A Change is a file of the workspace that is not what it was when the command
// started.
type Change struct {
	Path string // relative to the workspace; of a live directory the whole path
	Kind ChangeKind
}

// A ChangeKind says what became of a file.
type ChangeKind string

const (
	Added   ChangeKind = "added"
	Changed ChangeKind = "changed"
	Removed ChangeKind = "removed"
	Socket  ChangeKind = "socket" // a new socket or fifo
)

// An Edit is what a command of mode review did to one file of its workspace.
type Edit struct {
	Path    string // relative to the workspace
	Kind    ChangeKind
	Mode    fs.FileMode // of the new file; 0 if it is removed
	Size    int64
	AutoRun bool // others run or obey it

	replaced bool // a folder that stands in the place of one
}

// String tells an edit in a line.
func (e Edit) String() string {
	end := ""
	if e.Mode.IsDir() {
		end = "/"
	}
	return fmt.Sprintf("%-8s %s%s", e.Kind, e.Path, end)
}
