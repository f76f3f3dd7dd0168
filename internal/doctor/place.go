package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"outvet/internal/sandbox/terminal"
)

// StateDir returns a check of the directory that holds keys and record: it is
// ours alone, and not where an agent works.
func StateDir(dir, workspace string) Check {
	return Check{"state directory", func(context.Context) Result {
		i, err := os.Stat(dir)
		if err != nil {
			return Result{State: Failed, What: "cannot be looked at", Cause: err.Error(), Cure: "give another with --state DIR"}
		}
		if i.Mode().Perm()&0o077 != 0 {
			return Result{State: Failed, What: "is open to others", Cause: fmt.Sprintf("%s has mode %04o", dir, i.Mode().Perm()), Cure: "chmod 700 " + dir}
		}
		if rel, err := filepath.Rel(real(workspace), real(dir)); err == nil && filepath.IsLocal(rel) {
			return Result{State: Failed, What: "lies in the workspace, where an agent writes", Cause: dir + " is below " + workspace, Cure: "give another with --state DIR, or work in a project directory"}
		}
		return Result{State: OK, What: dir + " is yours alone"}
	}}
}

func real(dir string) string {
	if r, err := filepath.EvalSymlinks(dir); err == nil {
		return r
	}
	return dir
}

// authorityEnds is how long before its end an authority is worth a word.
const authorityEnds = 30 * 24 * time.Hour

// Authority returns a check of our certificate's time.
func Authority(c *x509.Certificate) Check {
	return Check{"authority", func(context.Context) Result {
		now := time.Now()
		days := int(c.NotAfter.Sub(now) / (24 * time.Hour))
		switch {
		case now.Before(c.NotBefore):
			return Result{State: Failed, What: "is not valid yet", Cause: "it is valid from " + c.NotBefore.Local().Format(time.DateTime), Cure: "set the clock"}
		case c.NotAfter.Sub(now) < authorityEnds:
			return Result{State: Failed, What: fmt.Sprintf("ends in %d days", days), Cause: "it is valid until " + c.NotAfter.Local().Format(time.DateOnly), Cure: "outvet ca rotate"}
		}
		return Result{State: OK, What: fmt.Sprintf("%s, valid for %d days", c.Subject.CommonName, days)}
	}}
}

// Terminal is a check that commands can be given a terminal of their own.
func Terminal() Check {
	return Check{"terminal", func(context.Context) Result {
		p, err := terminal.Open("")
		if err != nil {
			return Result{State: Failed, What: "none can be made for commands", Cause: err.Error(), Cure: "mount devpts: mount -t devpts devpts /dev/pts"}
		}
		if err := p.Close(); err != nil {
			return Result{State: Failed, What: "it cannot be closed", Cause: err.Error()}
		}
		return Result{State: OK, What: "commands can have their own"}
	}}
}
