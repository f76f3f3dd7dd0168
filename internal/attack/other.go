//go:build !linux

package attack

import "context"

// The ways of this kernel are not known: only those of the network are tried.

func processTries() []Try { return nil }
func kernelTries() []Try  { return nil }

func grandchild(context.Context, *Plan, Try) Said { return none("only on Linux") }

// Linger does nothing here.
func Linger(string) {}

// Nested does nothing here.
func Nested(...string) {}
