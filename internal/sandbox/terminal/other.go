//go:build !linux

package terminal

import (
	"errors"
	"os"
)

var errSystem = errors.New("terminal: sandboxes need Linux")

// A Pair is a pseudo-terminal, which is made on Linux only.
type Pair struct{ Master, Slave *os.File }

// Open is an error.
func Open(string) (Pair, error) { return Pair{}, errSystem }

// Close does nothing.
func (Pair) Close() error { return nil }

// Is reports whether f is a terminal.
func Is(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Stdio are the three standard files of a command: those of the user.
type Stdio struct{ Files [3]*os.File }

// Screen returns nil: no command gets a terminal of its own.
func Screen([3]*os.File) *os.File { return nil }

// Stand returns the user's files.
func Stand(user [3]*os.File, _ *os.File) (*Stdio, error) { return &Stdio{user}, nil }

// CloseFiles closes nothing: the files are the user's.
func (*Stdio) CloseFiles() {}

// Close does nothing.
func (*Stdio) Close() {}

// A Joint cannot be made.
type Joint struct{}

// Join is an error.
func Join(_, _, _ *os.File) (*Joint, error) { return nil, errSystem }

// Close does nothing.
func (*Joint) Close() error { return nil }

// Held returns nothing.
func (*Joint) Held() map[string]int { return nil }
