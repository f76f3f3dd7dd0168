package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"sync"

	"outvet/internal/gate"
	"outvet/internal/inspect"
	"outvet/internal/inspect/dnstunnel"
	"outvet/internal/inspect/secret"
	"outvet/internal/policy"
)

// inspectors is the only list of inspectors, in the order they run. A new one is
// a folder below internal/inspect and a line here. names outlives them; without it
// each call is judged as the first of its session.
func inspectors(key []byte, known []secret.Known, names *dnstunnel.Ledger) (*inspect.Set, error) {
	secrets, err := secret.New(secret.Options{Key: key, Known: known})
	if err != nil {
		return nil, err
	}
	return inspect.NewSet(
		secrets,
		dnstunnel.New(dnstunnel.Options{Key: key, Ledger: names}),
	)
}

// A bench keeps the inspectors that were made last. Making them takes longer than
// all else at the start, and a policy is tested with them before it is in force.
type bench struct {
	key   []byte            // of the digests of findings
	names *dnstunnel.Ledger // nil where no calls are made

	mu    sync.Mutex
	set   *inspect.Set
	known []secret.Known // that set was made for
}

// inspectors returns the inspectors that p needs.
func (b *bench) inspectors(p *policy.Policy) (*inspect.Set, error) {
	known, err := knownSecrets(p.Secrets())
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.set != nil && slices.EqualFunc(known, b.known, same) {
		return b.set, nil
	}
	set, err := inspectors(b.key, known, b.names)
	if err == nil {
		b.set, b.known = set, known
	}
	return set, err
}

func same(a, b secret.Known) bool {
	return a.Name == b.Name && bytes.Equal(a.Value, b.Value) && slices.Equal(a.Home, b.Home)
}

// judge decides for tests, checks and explanations by the gate itself.
func (b *bench) judge() policy.Judge { return gate.Judge(b.inspectors) }

// knownSecrets reads the values that a policy names. A value that cannot be read
// is an error: nobody must believe that it is looked for.
func knownSecrets(named []policy.Secret) ([]secret.Known, error) {
	var out []secret.Known
	for _, s := range named {
		values, err := secretValues(s)
		if err != nil {
			return nil, fmt.Errorf("secret %q: %w", s.Name, err)
		}
		for _, v := range values {
			out = append(out, secret.Known{Name: s.Name, Value: v, Home: s.Home})
		}
	}
	return out, nil
}

func secretValues(s policy.Secret) ([][]byte, error) {
	switch {
	case s.Env != "":
		v, ok := os.LookupEnv(s.Env)
		if !ok || v == "" {
			return nil, fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return [][]byte{[]byte(v)}, nil
	case s.File != "":
		b, err := os.ReadFile(s.File)
		if err != nil {
			return nil, err
		}
		return [][]byte{bytes.TrimSpace(b)}, nil
	}
	b, err := os.ReadFile(s.List)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out, nil
}
