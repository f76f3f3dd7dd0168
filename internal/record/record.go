package record

import (
	"time"

	"outvet/call"
)

// Options of a log. The zero value is ready.
type Options struct {
	Origin     string        // first line of checkpoints; default "outvet.local/log/<first 8 hex of the key's hash>"
	Checkpoint time.Duration // at most so far apart while there is traffic; 1 s
	Sync       time.Duration // group commit to disk; 50 ms
}

// A Log is open for writing by one process. Its methods are safe for
// concurrent use.
type Log struct{}

// Open opens or creates the log below dir, repairs what a crash left undone
// and writes a start record. It refuses a log that another process has open.
func Open(dir string, o Options) (*Log, error) { panic("not written") }

// Write appends r. When it returns nil, a crash of this process loses nothing
// of r; if r.Durable, nor does a crash of the machine. It sets r.Seq of a
// decided record and, from r.Body, the salted commitment. It does not keep r.
func (l *Log) Write(r *call.Record) error { panic("not written") }

// Close writes a stop record, the rest of the tiles and a last checkpoint.
func (l *Log) Close() error { panic("not written") }
