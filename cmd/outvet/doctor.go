package main

import (
	"crypto/tls"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"outvet/internal/ca"
	"outvet/internal/doctor"
	"outvet/internal/sandbox/trust"
)

func doctorCommand() *cobra.Command {
	var dir, workspace string
	var asJSON bool
	c := &cobra.Command{
		Use: "doctor", Short: "Try what a sandbox of this machine needs, and say what to do", Args: noArgs,
		Long: `doctor tries whether outvet run can seal a command here, and says the grade that it
would have. It starts the programs that are installed here in real sandboxes, and
looks whether each finds its server by name, through outvet and no other way, and
trusts outvet's certificate authority; where nothing can be sealed, it starts them
with variables alone. It looks for files of the workspace that take this trust away
again, and at the state directory, the authority and the terminal. It changes
nothing outside of the state directory, and the record does not hold it.

It exits with 1 if something failed.`,
		Example: `  outvet doctor
  outvet doctor --json | jq '.[] | select(.state == "failed")'`,
		RunE: func(c *cobra.Command, _ []string) error {
			if workspace == "" {
				wd, err := os.Getwd()
				if err != nil {
					return usage(err, "give the directory of the project with --workspace DIR")
				}
				workspace = wd
			}
			results, err := examine(c, dir, workspace)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), results)
			} else {
				err = doctor.Print(c.OutOrStdout(), results)
			}
			if err == nil && !doctor.Healthy(results) {
				return refused()
			}
			return err
		},
	}
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&workspace, "workspace", "", "`DIR` of the project (default the working directory)")
	_ = c.MarkFlagDirname("workspace")
	return c
}

// examine runs all checks.
func examine(c *cobra.Command, dir, workspace string) ([]doctor.Result, error) {
	s, err := openState(dir)
	if err != nil {
		return nil, err
	}
	authority, err := ca.Open(string(s))
	if err != nil {
		return nil, usage(err)
	}
	if workspace, err = filepath.Abs(workspace); err != nil {
		return nil, usage(err)
	}
	checks := []doctor.Check{doctor.StateDir(string(s), workspace), doctor.Authority(authority.Certificate()), doctor.Terminal()}
	var results []doctor.Result
	if sealable() {
		results = doctor.Run(c.Context(), []doctor.Check{sealing(s, workspace)})
	}
	var end func()
	var kit *trust.Kit
	if doctor.Healthy(results) && len(results) > 0 {
		checks, kit, end, err = sealedChecks(checks)
	} else {
		checks, kit, end, err = openChecks(checks, s, authority, workspace)
	}
	if err != nil {
		return nil, err
	}
	defer end()
	checks = append(checks, doctor.Overrides(workspace, kit.Vars))
	return append(results, doctor.Run(c.Context(), checks)...), nil
}

// sealedChecks adds the checks of programs in sandboxes.
func sealedChecks(checks []doctor.Check) (all []doctor.Check, kit *trust.Kit, end func(), err error) {
	w, err := openWard()
	if err != nil {
		return nil, nil, nil, err
	}
	if kit, err = w.kit(); err != nil {
		w.close()
		return nil, nil, nil, err
	}
	conf := w.authority.TLSConfig(func(*tls.ClientHelloInfo) (string, error) { return examined, nil })
	programs, over, err := doctor.Trust(doctor.Options{TLS: conf, Kit: kit, Env: os.Environ(), Command: w.command, Name: examined})
	if err != nil {
		w.close()
		return nil, nil, nil, err
	}
	return append(append(checks, w.named(), w.silent()), programs...), kit, func() { over(); w.close() }, nil
}

// openChecks adds the checks of programs that are told of us by variables.
func openChecks(checks []doctor.Check, s state, authority *ca.Authority, workspace string) (all []doctor.Check, kit *trust.Kit, end func(), err error) {
	place, err := os.MkdirTemp("", "outvet-kit-")
	if err != nil {
		return nil, nil, nil, err
	}
	remove := func() { os.RemoveAll(place) }
	kit, err = trust.Make(trust.Options{CA: authority.PEM(), Env: os.Environ(), Workspace: workspace, Dir: place, Cache: s.path("trust")})
	if err != nil {
		remove()
		return nil, nil, nil, err
	}
	conf := authority.TLSConfig(func(*tls.ClientHelloInfo) (string, error) { return "localhost", nil })
	programs, over, err := doctor.Trust(doctor.Options{TLS: conf, Kit: kit, Env: os.Environ()})
	if err != nil {
		remove()
		return nil, nil, nil, err
	}
	return append(checks, programs...), kit, func() { over(); remove() }, nil
}
