package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"outvet/internal/ca"
	"outvet/internal/sandbox"
	pty "outvet/internal/sandbox/terminal"
	"outvet/internal/sandbox/trust"
)

// authorise opens the certificate authority and makes what the command needs to
// trust it.
func (l *launch) authorise() error {
	a, err := ca.Open(string(l.state))
	if err != nil {
		return usage(err)
	}
	o := trust.Options{CA: a.PEM(), Env: os.Environ(), Workspace: l.o.workspace, Cache: l.state.path("trust")}
	if l.o.cooperative {
		if o.Dir, err = os.MkdirTemp("", "outvet-trust-"); err != nil {
			return err
		}
	}
	l.kit, err = trust.Make(o)
	return err
}

// seal makes the sandbox and returns what starts the command in it.
func (l *launch) seal(ctx context.Context) (func(context.Context) (ending, error), error) {
	files, screen, err := l.standard()
	if err != nil {
		return nil, err
	}
	home, _ := os.UserHomeDir()
	c := sandbox.Config{
		Command: l.command, Workspace: l.o.workspace, Live: l.o.live, Files: sandbox.Mode(l.o.files), State: string(l.state),
		Home: home, Hide: hidden(home), User: l.o.user, Terminal: screen != nil,
		Stdin: files.Files[0], Stdout: files.Files[1], Stderr: files.Files[2],
	}
	c.Prepare = func(c *sandbox.Config) error {
		err := l.authorise()
		if err == nil {
			c.Env, err = l.environment()
		}
		if err != nil {
			return &unprepared{err}
		}
		for _, s := range l.kit.Shown() {
			c.Binds = append(c.Binds, sandbox.Bind{To: s.To, Content: s.Content, Write: s.Write})
		}
		return nil
	}
	s, err := sandbox.Run(ctx, c)
	files.CloseFiles()
	if err != nil {
		files.Close()
		return nil, l.refused(err)
	}
	return func(ctx context.Context) (ending, error) {
		defer s.Close()
		defer files.Close()
		end, err := l.inside(ctx, s, screen)
		if err == nil && end.review != nil && l.in == nil { // it is good until the sandbox is closed
			err = l.review(end.review, screen != nil)
		}
		return end, err
	}, nil
}

// hidden is what a command never sees, besides its own state directory: secrets of
// the user, and the keys and the record of a state directory that is not this one's.
func hidden(home string) []string {
	all := sandbox.Secrets(home)
	if s, err := findState(""); err == nil {
		all = append(all, string(s))
	}
	return append(all, filepath.Join(home, ".local", "state", "outvet"))
}

// An unprepared is an error of ours while a sandbox was made, which says nothing
// of the machine.
type unprepared struct{ error }

// refused says why a command cannot be sealed, as people read it.
func (l *launch) refused(err error) error {
	var own *unprepared
	if errors.As(err, &own) {
		return own.error
	}
	var r *sandbox.Refusal
	if !errors.As(err, &r) {
		return &exit{code: exitFailed, err: err}
	}
	var text strings.Builder
	if _, err := r.WriteTo(&text); err != nil {
		return err
	}
	fmt.Fprint(l.errs, text.String())
	return &exit{code: exitFailed}
}

// standard returns the files of the command, nil for those that are its terminal,
// and where the user sees that; nil if the user has none.
func (l *launch) standard() (files *pty.Stdio, screen *os.File, err error) {
	if l.in != nil {
		files, err = pty.Stand([3]*os.File{l.in, l.out, os.Stderr}, nil)
		return files, nil, err
	}
	user := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	if screen = pty.Screen(user); screen == nil {
		files, err = pty.Stand(user, nil)
		return files, nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close()
	own := [3]bool{}
	for i, f := range user {
		if own[i] = pty.Is(f); own[i] {
			user[i] = null
		}
	}
	if files, err = pty.Stand(user, nil); err != nil {
		return nil, nil, err
	}
	for i := range own {
		if own[i] {
			files.Files[i] = nil
		}
	}
	return files, screen, nil
}

// inside serves the sandbox while the command runs in it.
func (l *launch) inside(ctx context.Context, s *sandbox.Sandbox, screen *os.File) (end ending, err error) {
	l.witness(s.Pid(), s.Sockets)
	box := l.house.settle(s.Sockets, l.caller, l.grade)
	failed := make(chan error, 3)
	box.serve(failed)
	go func() {
		for err := range failed {
			if err != nil {
				l.log.Error("the sandbox is not served any more", "err", err)
			}
		}
	}()
	defer box.dns.Shutdown(ctx)
	defer s.Sockets.Close()
	defer l.answer(s.Agent)()
	defer l.forward(s)()
	if s.Terminal != nil {
		j, err := pty.Join(os.Stdin, screen, s.Terminal)
		if err != nil {
			return end, err
		}
		l.said.hold()
		defer func() {
			end.held = j.Held()
			_ = j.Close()
			s.Terminal.Close()
			l.said.flush()
		}()
	}
	if err := s.Go(); err != nil {
		return end, err
	}
	how, err := s.Wait()
	if err != nil {
		return end, err
	}
	end.code, end.reason = how.Code, how.Reason
	if end.changes, err = s.Changes(); err != nil || sandbox.Mode(l.o.files) != sandbox.Review {
		return end, err
	}
	proposal, err := s.Proposal()
	if err != nil {
		return end, err
	}
	end.review = proposal
	return end, nil
}

// forward gives signals to the command. The third that should end it kills it.
func (l *launch) forward(s *sandbox.Sandbox) (stop func()) {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR2, syscall.SIGWINCH)
	done := make(chan struct{})
	go func() {
		ends := 0
		for {
			select {
			case <-done:
				return
			case sig := <-c:
				if sig == syscall.SIGINT || sig == syscall.SIGTERM {
					if ends++; ends > 2 {
						s.Kill()
						continue
					}
				}
				_ = s.Signal(sig.(syscall.Signal))
			}
		}
	}()
	return func() {
		signal.Stop(c)
		close(done)
	}
}

// cooperate runs the command as it is, told of outvet by proxy variables.
func (l *launch) cooperate(ctx context.Context) (end ending, err error) {
	defer os.RemoveAll(l.kit.Dir)
	if err := l.kit.Install(l.kit.Dir); err != nil {
		return end, err
	}
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return end, err
	}
	go l.proxy.Serve(in)
	way := "http://" + l.o.session + "@" + in.Addr().String()
	cmd := exec.CommandContext(ctx, l.command[0], l.command[1:]...)
	cmd.Env = append(os.Environ(), l.kit.Vars...)
	for _, name := range []string{"http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		cmd.Env = append(cmd.Env, name+"="+way)
	}
	cmd.Env = append(cmd.Env, "no_proxy=localhost,127.0.0.1,::1", "NO_PROXY=localhost,127.0.0.1,::1", "NODE_USE_ENV_PROXY=1")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = l.o.workspace, os.Stdin, os.Stdout, os.Stderr
	if l.in != nil {
		cmd.Stdin, cmd.Stdout = l.in, l.out
	}
	err = cmd.Run()
	var exited *exec.ExitError
	switch {
	case errors.As(err, &exited):
		if end.code = exited.ExitCode(); end.code < 0 {
			end.code = 128 + int(exited.Sys().(syscall.WaitStatus).Signal())
		}
		return end, nil
	case errors.Is(err, os.ErrPermission):
		end.code, end.reason = 126, err.Error()
		return end, nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		end.code, end.reason = 127, err.Error()
		return end, nil
	}
	return end, err
}
