//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"outvet/internal/sandbox/loopback"
)

// A Sandbox is one command with all that holds it. Only Linux has what it takes.
type Sandbox struct {
	Sockets  *loopback.Sockets
	Agent    *net.UnixListener
	Terminal *os.File
}

// Hook does nothing.
func Hook() {}

// Run returns a refusal.
func Run(context.Context, Config) (*Sandbox, error) {
	return nil, &Refusal{What: "only Linux has the namespaces that it takes", Cause: "this machine has another kernel",
		Cure: "run it in a Linux virtual machine, or use outvet serve", Err: errors.ErrUnsupported}
}

// Probe returns a refusal.
func Probe(ctx context.Context, c Config) error {
	_, err := Run(ctx, c)
	return err
}

func (s *Sandbox) Grade() string               { return "" }
func (s *Sandbox) Pid() int                    { return 0 }
func (s *Sandbox) User() (uid, gid int)        { return -1, -1 }
func (s *Sandbox) Go() error                   { return errors.ErrUnsupported }
func (s *Sandbox) Wait() (Exit, error)         { return Exit{}, errors.ErrUnsupported }
func (s *Sandbox) Signal(syscall.Signal) error { return errors.ErrUnsupported }
func (s *Sandbox) Kill()                       {}
func (s *Sandbox) Changes() ([]Change, error)  { return nil, errors.ErrUnsupported }
func (s *Sandbox) Close() error                { return nil }

// A Proposal is what a command of mode review has done to its workspace.
type Proposal struct{ Edits []Edit }

func (s *Sandbox) Proposal() (*Proposal, error) { return nil, errors.ErrUnsupported }
func (r *Proposal) Open(Edit) (*os.File, error) { return nil, errors.ErrUnsupported }
func (r *Proposal) Link(Edit) (string, error)   { return "", errors.ErrUnsupported }
func (r *Proposal) Apply(func(Edit) bool) error { return errors.ErrUnsupported }
