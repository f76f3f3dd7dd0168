package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"outvet/internal/doctor"
)

// A sandbox that is none: what runs in it has the machine's network and names.
func TestDoctorSeesASandboxThatHoldsNothing(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("sh is not installed")
	}
	w, err := openWard()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	w.self = filepath.Join(t.TempDir(), "leak")
	if err := os.WriteFile(w.self, []byte("#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []doctor.Check{w.silent(), w.named()} {
		r := c.Do(t.Context())
		if r.State != doctor.Failed && r.State != doctor.Skipped || r.State == doctor.Failed && (r.Cause == "" || r.Cure == "") {
			t.Errorf("%s: %+v", c.Name, r)
		}
	}
}

func TestDoctorLeavesNothingOfItsSandboxesBehind(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	w, err := openWard()
	if err != nil {
		t.Fatal(err)
	}
	w.close()
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// What a machine cannot seal is told with its cause, and what to do.
func TestDoctorTellsWhyACommandCannotBeSealed(t *testing.T) {
	if !sealable() {
		t.Skip("sandboxes need Linux")
	}
	s, err := openState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if r := sealing(s, "/").Do(t.Context()); r.State != doctor.Failed || r.Cure == "" {
		t.Errorf("%+v", r)
	}
}
