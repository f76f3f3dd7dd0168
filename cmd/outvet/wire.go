package main

import (
	"bytes"
	"fmt"
	"os"

	"outvet/internal/gate"
	"outvet/internal/inspect"
	"outvet/internal/inspect/secret"
	"outvet/internal/policy"
)

// inspectors is the only list of inspectors, in the order they run. A new one is
// a folder below internal/inspect and a line here.
func inspectors(p *policy.Policy, key []byte) (*inspect.Set, error) {
	known, err := knownSecrets(p.Secrets())
	if err != nil {
		return nil, err
	}
	secrets, err := secret.New(secret.Options{Key: key, Known: known})
	if err != nil {
		return nil, err
	}
	return inspect.NewSet(
		secrets,
	)
}

// judge decides for tests, checks and explanations by the gate itself.
func judge(key []byte) policy.Judge {
	return gate.Judge(func(p *policy.Policy) (*inspect.Set, error) { return inspectors(p, key) })
}

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
