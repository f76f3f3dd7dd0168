//go:build !linux

package flow

import "github.com/rogpeppe/go-internal/testscript"

func attack(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("sandboxes need Linux") }
