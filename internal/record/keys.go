package record

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Files of the key pair, below the state folder.
const (
	privateName = "keys/log.key"
	publicName  = "keys/log.pub"
)

const algEd25519 = 1 // of signed notes (c2sp.org/signed-note)

// A key signs checkpoints.
type key struct {
	note.Signer
	public string // verifier key
}

// newKey returns a fresh key of a log. The name of the key is the origin line.
func newKey(origin string) (private, public string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("record: %w", err)
	}
	if origin == "" {
		sum := sha256.Sum256(pub)
		origin = fmt.Sprintf("outvet.local/log/%x", sum[:4])
	}
	public, err = note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return "", "", fmt.Errorf("record: origin %q: %w", origin, err)
	}
	if _, err := note.NewVerifier(public); err != nil {
		return "", "", fmt.Errorf("record: origin %q has a space or a plus sign, or is not UTF-8", origin)
	}
	// name+hash is what both keys begin with.
	private = "PRIVATE+KEY+" + public[:len(origin)+len("+01234567+")] +
		base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, priv.Seed()...))
	return private, public, nil
}

// publicOf returns the verifier key of a signer key.
func publicOf(private string) (string, error) {
	fields := strings.SplitN(private, "+", 5)
	if len(fields) != 5 {
		return "", errors.New("not a signer key")
	}
	b, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(b) != 1+ed25519.SeedSize || b[0] != algEd25519 {
		return "", errors.New("not an Ed25519 signer key")
	}
	return note.NewEd25519VerifierKey(fields[2], ed25519.NewKeyFromSeed(b[1:]).Public().(ed25519.PublicKey))
}

// loadKey reads the key pair below dir. The error is fs.ErrNotExist if there
// is no private key.
func loadKey(dir, origin string) (*key, error) {
	path := filepath.Join(dir, privateName)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("record: %s can be read by others (mode %04o): make it 0600, and mind who has read it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	private := strings.TrimSpace(string(b))
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, fmt.Errorf("record: %s is not a signer key: restore it from a backup", path)
	}
	public, err := publicOf(private)
	if err != nil {
		return nil, fmt.Errorf("record: %s: %w", path, err)
	}
	if origin != "" && origin != signer.Name() {
		return nil, fmt.Errorf("record: the log in %s has the origin %q, not %q", dir, signer.Name(), origin)
	}
	known, err := PublicKey(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it follows from the private one
		err = writeNew(filepath.Join(dir, publicName), public+"\n", 0o644)
	case err == nil && known != public:
		err = fmt.Errorf("record: %s and %s are not a pair", path, filepath.Join(dir, publicName))
	}
	if err != nil {
		return nil, err
	}
	return &key{signer, public}, nil
}

// createKey makes the key pair below dir.
func createKey(dir, origin string) (*key, error) {
	private, public, err := newKey(origin)
	if err != nil {
		return nil, err
	}
	if err := writeNew(filepath.Join(dir, publicName), public+"\n", 0o644); err != nil {
		return nil, err
	}
	// The private one last: a key pair without it is no key pair.
	if err := writeNew(filepath.Join(dir, privateName), private+"\n", 0o600); err != nil {
		return nil, err
	}
	return loadKey(dir, origin)
}

// PublicKey returns the key by which others verify the log below dir: a
// verifier key of signed notes, "origin+hash+base64".
func PublicKey(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, publicName))
	if err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if _, err := note.NewVerifier(s); err != nil {
		return "", &Damage{Index: -1, File: filepath.Join(dir, publicName), What: "not a verifier key"}
	}
	return s, nil
}

// writeNew writes a small file, whole or not at all, and waits until it is on
// disk.
func writeNew(path, text string, mode fs.FileMode) error {
	tmp := path + tmpSuffix
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("record: %w", errors.Join(err, os.Remove(tmp)))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
