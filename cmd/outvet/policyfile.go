package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"outvet/internal/policy"
)

// policyFlags say which policy a command uses.
type policyFlags struct {
	file, preset string
}

func (o *policyFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&o.file, "policy", "", "policy `FILE` (default: $OUTVET_POLICY, ./outvet.yaml, the user's, the system's, preset balanced)")
	c.Flags().StringVar(&o.preset, "preset", "", "preset `NAME` instead of a file: strict, balanced or observe")
	_ = c.MarkFlagFilename("policy", "yaml", "yml")
	_ = c.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions([]string{"strict", "balanced", "observe"}, cobra.ShellCompDirectiveNoFileComp))
}

// A source is where a policy comes from, so that it can be read again.
type source struct {
	name    string // for people
	options policy.Options
	warn    string // what the user should know before it is used
	bench
}

// find returns the source that the flags, the environment and the usual places
// name, in this order. A file that merely lies in the workspace may come from a
// stranger or from the agent: until the user has trusted its digest it only
// tightens the preset balanced.
func (o *policyFlags) find(s state) (*source, error) {
	switch {
	case o.file != "" && o.preset != "":
		return nil, usage(errors.New("--policy and --preset exclude each other"), "a policy can say include: [preset:"+o.preset+"]")
	case o.file != "":
		return file(o.file), nil
	case o.preset != "":
		return &source{name: "preset " + o.preset, options: policy.Options{Preset: o.preset}}, nil
	}
	if f := os.Getenv("OUTVET_POLICY"); f != "" {
		return file(f), nil
	}
	for _, f := range []string{"outvet.yaml", filepath.Join(".outvet", "policy.yaml")} {
		if exists(f) {
			return workspace(f, s)
		}
	}
	config, err := os.UserConfigDir()
	if err == nil {
		if f := filepath.Join(config, "outvet", "policy.yaml"); exists(f) {
			return file(f), nil
		}
	}
	if f := "/etc/outvet/policy.yaml"; exists(f) {
		return file(f), nil
	}
	return &source{name: "preset balanced", options: policy.Options{Preset: "balanced"}}, nil
}

func exists(f string) bool {
	_, err := os.Stat(f)
	return err == nil
}

func file(f string) *source {
	return &source{name: f, options: policy.Options{Path: f}}
}

func workspace(f string, s state) (*source, error) {
	ok, err := s.trusts(f)
	if err != nil {
		return nil, err
	}
	if ok {
		return file(f), nil
	}
	return &source{
		name: "preset balanced, tightened by " + f,
		options: policy.Options{Layers: []policy.Source{
			{Layer: "preset", Preset: "balanced"}, {Layer: "repository", Path: f},
		}},
		warn: f + " was found in the workspace: it only tightens the preset balanced; to let it decide, name it with --policy or run outvet policy trust " + f,
	}, nil
}

// load reads the policy, runs its tests and reports all that is wrong with it.
func (s *source) load(ctx context.Context) (*policy.Policy, error) {
	o := s.options
	o.Judge = s.judge()
	// A preset is part of the program, and so are its tests (TestPresetsPassTheirTests).
	o.Untested = o.Untested || o.Preset != "" && len(o.Layers) == 0
	p, err := policy.Load(ctx, o)
	if err != nil {
		return nil, usage(err)
	}
	return p, nil
}

// watch puts the policy in force anew when its files change and on each hup. A
// bad one keeps the old in force.
func (s *source) watch(ctx context.Context, hup <-chan os.Signal, h *house) {
	o := s.options
	o.Judge = s.judge()
	apply := func(p *policy.Policy) {
		if err := h.install(p, s); err != nil {
			h.log.Error("policy kept", "source", s.name, "err", err)
		}
	}
	fail := func(err error) { h.log.Error("policy kept", "source", s.name, "err", err) }
	go func() {
		if err := policy.Watch(ctx, o, h.gate.Policy(), apply, fail); err != nil && ctx.Err() == nil {
			h.log.Error("policy files are not watched; send SIGHUP after a change", "err", err)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			if p, err := s.load(ctx); err != nil {
				fail(err)
			} else {
				apply(p)
			}
		}
	}
}

// trusts reports whether the user has trusted the content of the file f.
func (s state) trusts(f string) (bool, error) {
	digest, err := digestOf(f)
	if err != nil {
		return false, err
	}
	list, err := os.Open(s.path("trusted"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer list.Close()
	sc := bufio.NewScanner(list)
	for sc.Scan() {
		if d, _, _ := strings.Cut(sc.Text(), " "); d == digest {
			return true, nil
		}
	}
	return false, sc.Err()
}

// trust notes the content of f as the user's own.
func (s state) trust(f string) error {
	digest, err := digestOf(f)
	if err != nil {
		return err
	}
	list, err := os.OpenFile(s.path("trusted"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(list, "%s %s %s\n", digest, time.Now().UTC().Format(time.RFC3339), f)
	return errors.Join(err, list.Close())
}

func digestOf(f string) (string, error) {
	b, err := os.ReadFile(f)
	if err != nil {
		return "", usage(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
