package sandbox

import (
	"fmt"
	"io"
)

// A Refusal is an error that says why a command cannot be sealed, and what to do
// about it once. Nothing was started.
type Refusal struct {
	What  string
	Cause string
	Cure  string // "" if there is none
	Err   error  // what the kernel said
}

func (r *Refusal) Error() string { return "cannot seal this command: " + r.What }

func (r *Refusal) Unwrap() error { return r.Err }

// WriteTo writes the refusal as people read it:
//
//	outvet: cannot seal this command: AppArmor denies user namespaces to outvet
//	  cause  kernel.apparmor_restrict_unprivileged_userns=1, no profile for /usr/bin/outvet
//	  cure   once, as root: apparmor_parser -r /etc/apparmor.d/outvet
//	  nothing was started
func (r *Refusal) WriteTo(w io.Writer) (int64, error) {
	text := "outvet: " + r.Error() + "\n"
	if r.Cause != "" {
		text += "  cause  " + r.Cause + "\n"
	}
	if r.Cure != "" {
		text += "  cure   " + r.Cure + "\n"
	}
	n, err := fmt.Fprint(w, text+"  nothing was started\n")
	return int64(n), err
}
