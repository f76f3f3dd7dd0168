package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"outvet/call"
	"outvet/internal/inspect/dnstunnel"
	"outvet/internal/listener/inside"
	"outvet/internal/policy"
	"outvet/internal/process"
	"outvet/internal/sandbox"
	"outvet/internal/sandbox/env"
	"outvet/internal/sandbox/trust"
	"outvet/internal/summary"
)

// launching is the command line of run.
type launching struct {
	serving
	observe     bool
	cooperative bool
	session     string
	workspace   string
	files       string
	user        string
	env         []string
	live        []string
	apply       string
	json        bool
}

func runCommand() *cobra.Command {
	o := launching{serving: serving{connections: 16384, drain: 2 * time.Second}}
	c := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run a command so that nothing it sends goes around outvet",
		Long: `run starts a command that has no way out but outvet: in a network that leads
nowhere else, with a view of the file system in which no socket of this machine
answers, trusting outvet's certificate authority. It needs no root and no set-up,
and the command needs to know nothing of it. Every call is decided by the policy,
recorded below the state directory, and told in a table at the end.

Without a policy the preset balanced is used: secrets, tunnels, drop sites and
metadata addresses are blocked, telemetry is denied quietly, all else is allowed
and recorded. --observe blocks nothing and tells what would have been.

The command works in the real workspace (the working directory), but files there
that others run or obey (.git/config, hooks, .claude, .envrc, …) stay as they are;
--fs review lets it change them, and asks. What it writes elsewhere, as into the
home directory, is gone when it ends. Its environment is what a list lets pass; --env passes more.

Where this machine cannot seal a command, it is not started; the message says why
and what to do once. --cooperative starts it without a sandbox, told of outvet by
proxy variables that it may ignore, and every record says so.

The exit code is that of the command; 128 and the number of a signal that ended
it; 126 or 127 if it cannot be executed or is not there; 125 if outvet failed
before it, and 2 if the command line is wrong.`,
		Example: `  outvet run -- claude
  outvet run --observe -- npm install
  outvet run --policy outvet.yaml --env CI_TOKEN -- make release
  outvet run --fs review -- codex          # look at its changes before they count`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("outvet run: no command is given"), "see "+c.CommandPath()+" --help")
			}
			return o.run(c, args)
		},
	}
	o.flags(c)
	c.Flags().SetInterspersed(false)
	return c
}

// flags adds those of run.
func (o *launching) flags(c *cobra.Command) {
	o.policyFlags.add(c)
	stateFlag(c, &o.state)
	f := c.Flags()
	f.BoolVar(&o.observe, "observe", false, "decide and record only; block and change nothing")
	f.BoolVar(&o.cooperative, "cooperative", false, "start it without a sandbox, told of outvet by proxy variables, which it can ignore")
	f.StringVar(&o.session, "session", "", "`NAME` of the session in the record (default two words)")
	f.StringVar(&o.workspace, "workspace", "", "`DIR` in which the command may write (default the working directory)")
	f.StringVar(&o.files, "fs", "overlay", "`MODE` of the file system: overlay, review, strict or open (the last of a lower grade)")
	f.StringVar(&o.user, "user", "", "`NAME` or number of whom the command is, when root starts it (default who called sudo, or nobody)")
	f.StringArrayVar(&o.env, "env", nil, "`NAME` or NAME=VALUE to pass to the command; may be repeated")
	f.StringArrayVar(&o.live, "live", nil, "`DIR` besides the workspace that is the real one, such as a cache; may be repeated")
	f.StringVar(&o.apply, "apply", "ask", "`WHICH` changes to make in the workspace after --fs review: ask, all or none; without a terminal ask is none")
	f.BoolVar(&o.json, "json", false, "print the table at the end as JSON, on standard error")
	o.logFlags.add(c)
	_ = f.Set("log-level", "error")
	f.Lookup("log-level").DefValue = "error"
	o.outwards(c)
	_ = c.MarkFlagDirname("workspace")
	_ = c.MarkFlagDirname("live")
	_ = c.RegisterFlagCompletionFunc("apply", cobra.FixedCompletions([]string{"ask", "all", "none"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("fs", cobra.FixedCompletions([]string{"overlay", "review", "strict", "open"}, cobra.ShellCompDirectiveNoFileComp))
}

// A launch is one command, from the flags to its end.
type launch struct {
	*house
	o        *launching
	command  []string
	caller   call.Caller
	grade    call.Grade
	source   *source
	kit      *trust.Kit
	sum      *summary.Session
	asked    *inside.Ledger // what the command may ask of its own calls
	collect  int            // percent of garbage, once the command runs
	last     last
	withheld []string  // keys of agents that a shell does not get
	said     *held     // what operators are told, until the terminal is ours again
	errs     io.Writer // where people read
	in, out  *os.File  // standard files of the command, if they are not the user's
}

// run seals and runs the command. Its exit code becomes ours.
func (o *launching) run(c *cobra.Command, command []string) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context()))
	defer cancel()
	l := &launch{o: o, house: &house{signals: catch()}, command: command, said: &held{to: c.ErrOrStderr()}, errs: c.ErrOrStderr()}
	defer l.signals.stop()
	defer l.said.flush()
	if err := l.prepare(); err != nil {
		return err
	}
	// Collecting garbage would cost a tenth of the start, in which little is made.
	l.collect = debug.SetGCPercent(-1)
	defer func() { debug.SetGCPercent(l.collect) }()
	ready := make(chan error, 1)
	go func() { ready <- l.furnish(ctx) }() // beside the sandbox, which takes as long
	var start func(context.Context) (ending, error)
	var err error
	if o.cooperative {
		start, err = l.cooperate, l.authorise()
	} else {
		start, err = l.seal(ctx)
	}
	if furnished := <-ready; furnished != nil {
		return errors.Join(err, furnished)
	}
	defer l.close()
	if err != nil {
		return err
	}
	return l.carry(ctx, start)
}

// prepare finds out what is asked for, before anything is done.
func (l *launch) prepare() (err error) {
	if l.log, err = l.o.logger(l.said); err != nil {
		return err
	}
	if l.state, err = openState(l.o.serving.state); err != nil {
		return err
	}
	if l.o.session == "" {
		l.o.session = newName()
	} else if sessionTooOdd(l.o.session) {
		return usage(fmt.Errorf("--session %q: give printable ASCII without spaces, at most 128 bytes", l.o.session))
	}
	if l.o.workspace == "" {
		if l.o.workspace, err = os.Getwd(); err != nil {
			return usage(err, "give the directory of the project with --workspace DIR")
		}
	}
	if l.o.workspace, err = filepath.Abs(l.o.workspace); err != nil {
		return usage(err)
	}
	if info, err := os.Stat(l.o.workspace); err != nil || !info.IsDir() {
		return usage(fmt.Errorf("--workspace %q is no directory", l.o.workspace))
	}
	if err := l.o.anybody(); err != nil {
		return usage(err)
	}
	if !slices.Contains([]string{"ask", "all", "none"}, l.o.apply) {
		return usage(fmt.Errorf("--apply %q: give ask, all or none", l.o.apply))
	}
	if !slices.Contains([]sandbox.Mode{sandbox.Overlay, sandbox.Review, sandbox.Strict, sandbox.Open}, sandbox.Mode(l.o.files)) {
		return usage(fmt.Errorf("--fs %q: give overlay, review, strict or open", l.o.files))
	}
	l.caller = call.Caller{Session: call.SessionID(l.o.session), SessionMark: call.Observed}
	if a := agentOf(l.command); a != nil {
		l.caller.Agent = call.Attr{Value: a.Name, Mark: call.Observed}
	}
	l.grade = call.Cooperative
	if !l.o.cooperative {
		l.grade = call.Grade(sandbox.Mode(l.o.files).Grade())
	}
	return nil
}

// anybody says if nobody is the user that is asked for.
func (o *launching) anybody() error {
	if _, err := strconv.ParseUint(o.user, 10, 32); o.user == "" || err == nil {
		return nil
	}
	if _, err := user.Lookup(o.user); err != nil {
		return fmt.Errorf("--user %q: there is no such user", o.user)
	}
	return nil
}

func sessionTooOdd(s string) bool {
	return len(s) > 128 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// program returns the file that a command line runs, as far as it can be found.
func program(name string) string {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if strings.ContainsRune(name, '/') {
			break
		}
		if p := filepath.Join(dir, name); exists(p) {
			name = p
		}
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}

// furnish builds the house: policy, inspectors, record.
func (l *launch) furnish(ctx context.Context) error {
	key, err := l.state.digestKey()
	if err != nil {
		return err
	}
	if l.source, err = l.o.policyFlags.find(l.state); err != nil {
		return err
	}
	l.source.key, l.source.options.Observe = key, l.o.observe
	if l.source.names, err = openNames(l.state, key); err != nil {
		return err
	}
	l.names = l.source.names
	p, err := l.source.load(ctx)
	if err != nil {
		return err
	}
	go func() { _, _ = l.source.inspectors(p) }() // it takes long: install waits for it, and the log is opened meanwhile
	if err := l.build(ctx, &l.o.serving); err != nil {
		return err
	}
	if l.sum, err = newSummary(ctx, l.caller.Session, presetOf(l.caller.Agent.Value)); err == nil {
		l.asked = inside.NewLedger(l.caller.Session)
		l.gate.Sinks = append(l.gate.Sinks, l.sum, l.asked, &l.last)
		err = l.installed(p)
	}
	if err != nil {
		l.house.close()
	}
	return err
}

func (l *launch) installed(p *policy.Policy) error {
	if err := l.install(p, l.source); err != nil {
		return err
	}
	l.gate.Look() // before the first call
	return nil
}

// carry runs the command to its end and tells what it did.
func (l *launch) carry(ctx context.Context, start func(context.Context) (ending, error)) error {
	defer l.follow()()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go l.source.watch(watch, make(chan os.Signal), l.house) // SIGHUP is the command's
	note := fmt.Sprintf("began: %s, %s", strings.Join(l.command[:1], " "), l.source.name)
	if err := l.gate.Began(l.caller, l.grade, note); err != nil {
		return err
	}
	if err := l.banner(); err != nil {
		return err
	}
	defer l.tell().leave()
	defer time.AfterFunc(preparing, l.settled).Stop()
	end, err := start(ctx)
	if err != nil {
		return err
	}
	drained, cancel := context.WithTimeout(ctx, l.o.serving.drain)
	defer cancel()
	_ = l.proxy.Shutdown(drained)
	if err := l.gate.Ended(l.caller.Session, fmt.Sprintf("ended: exit code %d", end.code)); err != nil {
		l.log.Error("the end of the session is not recorded", "err", err)
	}
	if err := l.report(end); err != nil {
		return err
	}
	if end.code != 0 {
		return &exit{code: end.code}
	}
	return nil
}

// preparing is when settled is called: the command makes its own start until then,
// and some are over.
const preparing = 50 * time.Millisecond

// settled does what can wait until the command has started: it lets garbage be
// collected, and makes ready what is known of names, unless a call needed it before.
func (l *launch) settled() {
	debug.SetGCPercent(l.collect)
	dnstunnel.Prepare()
}

// An ending is how the command ended.
type ending struct {
	code    int
	reason  string // why it could not be executed
	changes []sandbox.Change
	review  *sandbox.Proposal
	held    map[string]int // what did not reach the terminal
}

// environment returns what the command gets to know.
func (l *launch) environment() ([]string, error) {
	who := env.Of(l.caller.Agent.Value)
	e := env.For(os.Environ(), env.Options{
		Session: l.o.session, Preset: who.Names, Keys: who.Keys, Named: l.o.env, Set: l.kit.Vars,
	})
	if err := e.Err(); err != nil {
		return nil, usage(err)
	}
	if slices.Contains(shells, filepath.Base(l.command[0])) {
		l.withheld = env.Withheld(os.Environ(), e.Vars)
	}
	return e.Vars, nil
}

// witness lets the record say which program of the sandbox made each call.
func (l *launch) witness(init int, sockets process.Sockets) {
	l.who = process.Inside(init, sockets)
	l.proxy.Witness = l.who.Witness
}
