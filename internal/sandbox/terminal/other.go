//go:build !linux

package terminal

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

// A Pair is a pseudo-terminal. Only Linux has sandboxes that need one.
type Pair struct{ Master, Slave *os.File }

// Open returns an error.
func Open(string) (Pair, error) {
	return Pair{}, fmt.Errorf("terminal: no pseudo-terminal on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Close does nothing.
func (Pair) Close() error { return nil }
