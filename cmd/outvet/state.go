package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// A state is the directory where outvet keeps what the agent must not reach:
//
//	ca.pem             certificate of our CA, for clients
//	keys/              ca.key (and ca.next), log.key, digest.key; 0600
//	token              of the check API; 0600
//	log/               the record; see doc/record-format.md
//	index/             search index, rebuilt from the log
//	sessions.journal   quarantines
//	runs/              a file of each command that outvet run holds, locked by it
//	names.used         hosts that sessions have used, as keyed hashes
//	popular.txt        popular domains, one a line, if the user put it there
//	kill               while it is there, no call passes; see internal/kill
//	trusted            digests of workspace policies that the user trusts
type state string

func stateFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "state", "", "state `DIR` (default $XDG_STATE_HOME/outvet)")
	_ = c.MarkFlagDirname("state")
}

// openState returns the state directory, which it creates.
func openState(dir string) (state, error) {
	s, err := findState(dir)
	if err != nil {
		return "", err
	}
	for _, d := range []string{string(s), s.keys()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", &exit{exitFailed, fmt.Errorf("state directory: %w", err), []string{"give one that can be written with --state DIR"}}
		}
	}
	return s, nil
}

// readState returns the state directory, which must be there.
func readState(dir string) (state, error) {
	s, err := findState(dir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(string(s), "log")); err != nil {
		return "", usage(fmt.Errorf("%s holds no record", s), "give the directory that outvet serve uses with --state DIR")
	}
	return s, nil
}

func findState(dir string) (state, error) {
	if dir != "" {
		abs, err := filepath.Abs(dir)
		return state(abs), err
	}
	if x := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(x) {
		return state(filepath.Join(x, "outvet")), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usage(fmt.Errorf("no state directory: %w", err), "give one with --state DIR")
	}
	return state(filepath.Join(home, ".local", "state", "outvet")), nil
}

func (s state) keys() string           { return filepath.Join(string(s), "keys") }
func (s state) path(n string) string   { return filepath.Join(string(s), n) }
func (s state) sessions() string       { return s.path("sessions.journal") }
func (s state) token() (string, error) { return s.random("token") }

// digestKey keys the digests of findings, so that equal secrets can be joined in
// one log and compared with no other.
func (s state) digestKey() ([]byte, error) {
	text, err := s.random(filepath.Join("keys", "digest.key"))
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s: not a key in hex: %w", s.path("keys/digest.key"), err)
	}
	return key, nil
}

// random returns the 32 random bytes, in hex, that are kept in the file name. Of
// two processes that create it at once one wins.
func (s state) random(name string) (string, error) {
	p := s.path(name)
	b, err := os.ReadFile(p)
	if errors.Is(err, fs.ErrNotExist) {
		err = createSecret(p)
		if err == nil || errors.Is(err, fs.ErrExist) {
			b, err = os.ReadFile(p)
		}
	}
	if err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if len(text) < 32 {
		return "", fmt.Errorf("%s is too short to be a secret: remove it to make a new one", p)
	}
	return text, nil
}

// createSecret writes 32 random bytes, in hex, to p, whole or not at all.
func createSecret(p string) error {
	var key [32]byte
	rand.Read(key[:])
	tmp, err := os.CreateTemp(filepath.Dir(p), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = fmt.Fprintln(tmp, hex.EncodeToString(key[:]))
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), p)
}
