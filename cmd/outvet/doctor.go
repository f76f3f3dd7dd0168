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
		Long: `doctor starts the programs that are installed here as a sandbox would, and looks
whether each trusts outvet's certificate authority; it looks for files of the
workspace that take this trust away again, and at the state directory, the
authority and the terminal. It changes nothing outside of the state directory.

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

// examine makes the kit that a sandbox would get, in a folder of its own, and
// runs all checks.
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
	place, err := os.MkdirTemp("", "outvet-kit-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(place)
	kit, err := trust.Make(trust.Options{CA: authority.PEM(), Env: os.Environ(), Workspace: workspace, Dir: place, Cache: s.path("trust")})
	if err != nil {
		return nil, err
	}
	conf := authority.TLSConfig(func(*tls.ClientHelloInfo) (string, error) { return "localhost", nil })
	programs, end, err := doctor.Trust(doctor.Options{TLS: conf, Kit: kit, Env: os.Environ()})
	if err != nil {
		return nil, err
	}
	defer end()
	checks := []doctor.Check{doctor.StateDir(string(s), workspace), doctor.Authority(authority.Certificate()), doctor.Terminal(), doctor.Overrides(workspace, kit.Vars)}
	return doctor.Run(c.Context(), append(checks, programs...)), nil
}
