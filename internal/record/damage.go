package record

import "fmt"

// A Damage says what is wrong with a log, and where: it was tampered with, or
// its disk was.
type Damage struct {
	Index int64  // the first bad entry, or -1 where no entry is bad
	File  string // in the log's folder
	What  string
}

// Error names the place and what is wrong there.
func (d *Damage) Error() string {
	if d.Index < 0 {
		return fmt.Sprintf("record: %s: %s", d.File, d.What)
	}
	return fmt.Sprintf("record: entry %d (%s): %s", d.Index, d.File, d.What)
}
