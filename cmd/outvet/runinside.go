package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"outvet/internal/listener/inside"
	"outvet/internal/sandbox"
)

// answer serves the socket by which the command asks outvet itself.
func (l *launch) answer(in *net.UnixListener) (stop func()) {
	s := &inside.Server{Calls: l.asked, Status: inside.Status{
		Session: l.caller.Session, Grade: l.grade, Policy: nameless(l.source.name), Observe: l.o.observe,
	}}
	go func() {
		if err := s.Serve(in); err != nil {
			l.log.Error("the command can ask outvet nothing any more", "err", err)
		}
	}()
	return func() { _ = s.Close(); _ = in.Close() }
}

// nameless is the name of a policy without the places of files: those of the
// machine are not for who is inside.
func nameless(policy string) string {
	words := strings.Split(policy, " ")
	for i, w := range words {
		words[i] = filepath.Base(w)
	}
	return strings.Join(words, " ")
}

// A neighbour asks the outvet that holds the sandbox in which it runs.
type neighbour struct{ session, socket string }

// within returns whom to ask if this process is in a sandbox. A variable alone
// makes no sandbox: the socket stands where only root could have put it.
func within() (n neighbour, inside bool) {
	n = neighbour{os.Getenv("OUTVET_SESSION"), sandbox.AgentSocket}
	if n.session == "" {
		return n, false
	}
	i, err := os.Lstat(n.socket)
	return n, err == nil && i.Mode().Type() == fs.ModeSocket
}

// where is the sandbox, for people.
func (n neighbour) where() string {
	return fmt.Sprintf("inside an outvet sandbox (%s)", clean(n.session))
}

// ask gets an answer and decodes it into v.
func (n neighbour) ask(ctx context.Context, path string, v any) error {
	const patience, answerMax = 10 * time.Second, 1 << 20
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", n.socket)
	}}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://outvet"+path, nil)
	if err != nil {
		return err
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		return &exit{exitFailed, fmt.Errorf("%s: %s does not answer: %w", n.where(), n.socket, err), []string{"ask outside of it, with outvet why or outvet status"}}
	}
	defer res.Body.Close()
	in := json.NewDecoder(io.LimitReader(res.Body, answerMax))
	if res.StatusCode == http.StatusOK {
		return in.Decode(v)
	}
	var p struct{ Detail string }
	if in.Decode(&p) != nil || p.Detail == "" {
		p.Detail = res.Status
	}
	return &exit{code: exitRefused, err: errors.New(clean(p.Detail))}
}

// why explains a call of the session to who is inside.
func (n neighbour) why(c *cobra.Command, id string, asJSON bool) error {
	var a inside.Answer
	if err := n.ask(c.Context(), "/v1/calls/"+url.PathEscape(id), &a); err != nil {
		return err
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), a)
	}
	verdict := a.Verdict.String()
	if a.Observed {
		verdict += " (observed: not enforced)"
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-7s %s\n", name, clean(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "%-7s %s\n", verdict, clean(a.What))
	line("rule", "%s", a.Rule)
	if a.Reason != "" {
		line("why", "%s", a.Reason)
	}
	for _, f := range a.Findings {
		line("found", "%s in %s", f.Kind, f.Part)
	}
	for _, e := range a.Edits {
		line("edit", "%s", e)
	}
	for _, u := range a.Uninspected {
		line("unread", "%s", u)
	}
	line("call", "%s, %s, of this session (%s)", a.ID, a.Time, n.session)
	switch {
	case a.Open:
		line("outcome", "not over")
	case a.Status != 0:
		line("outcome", "status %d, sent %s, received %s", a.Status, size(a.Sent), size(a.Received))
	default:
		line("outcome", "sent %s, received %s", size(a.Sent), size(a.Received))
	}
	if a.Aborted {
		line("", "stopped under way")
	}
	_, err := io.WriteString(c.OutOrStdout(), b.String())
	return err
}

// status tells who is inside what holds it.
func (n neighbour) status(c *cobra.Command, asJSON bool) error {
	var s inside.Status
	if err := n.ask(c.Context(), "/v1/status", &s); err != nil {
		return err
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), s)
	}
	observed := ""
	if s.Observe {
		observed = ", observed only: nothing is blocked"
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "%s, %s\n  policy  %s%s\n  calls   %d, %d blocked, %d waiting for a human\n",
		n.where(), clean(string(s.Grade)), clean(s.Policy), observed, s.Calls, s.Blocked, s.Waiting)
	return err
}

// inner are the verbs that work inside a sandbox; those without what they say
// would need another state.
var inner = map[string]bool{"outvet": true, "outvet why": true, "outvet status": true, "outvet version": true, "outvet man": true, "outvet help": true,
	"outvet attack inside": true, "outvet attack nested": true, "outvet attack linger": true}

// stayOutside lets no other verb of root run inside a sandbox: there is no state to
// work on, and what could be read of it is not for the agent.
func stayOutside(root *cobra.Command) {
	for _, c := range root.Commands() {
		stayOutside(c)
	}
	path, run := root.CommandPath(), root.RunE
	if run == nil || inner[path] || strings.HasPrefix(path, "outvet completion") {
		return
	}
	root.RunE = func(c *cobra.Command, args []string) error {
		n, in := within()
		if !in {
			return run(c, args)
		}
		if path == "outvet run" {
			return &exit{exitFailed, fmt.Errorf("already %s", n.where()), []string{"run the command itself: this sandbox holds it, too"}}
		}
		return usage(fmt.Errorf("%s, where %s does not work", n.where(), path), "run it outside of the sandbox; outvet status and outvet why ID work here")
	}
}
