package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"outvet/internal/kill"
)

// killPatience is how long a running outvet has to answer until the file is put
// there by ourselves.
const killPatience = 3 * time.Second

// killing is the command line of kill.
type killing struct {
	state, reason  string
	lift, show, js bool
}

func killCommand() *cobra.Command {
	var o killing
	c := &cobra.Command{
		Use:   "kill",
		Short: "Stop all calls of all agents at once, until a person lifts it",
		Long: `kill stops every call that is open within a second (downloads, event streams,
WebSockets, tunnels, idle connections) and refuses all new ones, until --lift.
The switch is the file DIR/kill, so it survives restarts and works without a
running outvet; what is in the file is the reason that agents read. Who did it,
how and why stands in the record.

There are four ways, with the same effect:

  outvet kill --reason "exfiltration seen"
  touch DIR/kill                                    rm DIR/kill lifts it
  kill -USR1 PID                                    of outvet serve
  POST /v1/kill {"by":"ada","why":"…"}              on the console, with the token

If the file cannot be looked at, no call passes either (rule fault).`,
		Example: `  outvet kill --reason "exfiltration seen"
  outvet kill --status
  outvet kill --lift`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	stateFlag(c, &o.state)
	jsonFlag(c, &o.js)
	c.Flags().StringVar(&o.reason, "reason", "", "`WHY`, for the agents and the record")
	c.Flags().BoolVar(&o.lift, "lift", false, "let calls pass again")
	c.Flags().BoolVar(&o.show, "status", false, "only say whether calls are stopped")
	_ = c.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
	return c
}

// A switchState is what kill prints as JSON: of the switch, and whether a running
// outvet knows.
type switchState struct {
	Killed bool `json:"killed"`
	*kill.Notice
	Running bool   `json:"running"`
	Fault   string `json:"fault,omitempty"`
	Warning string `json:"warning,omitempty"`
}

func (o *killing) run(c *cobra.Command) error {
	for _, pair := range [...][2]string{{"lift", "status"}, {"lift", "reason"}, {"status", "reason"}} {
		if err := exclusive(c, pair[0], pair[1]); err != nil {
			return err
		}
	}
	s, err := findState(o.state)
	if err != nil {
		return err
	}
	if info, err := os.Stat(string(s)); err != nil || !info.IsDir() {
		return usage(fmt.Errorf("%s is no state directory", s), "give the directory that outvet serve uses with --state DIR")
	}
	st, err := o.ask(c, s)
	if err != nil {
		return err
	}
	if sw := (kill.Switch{Dir: string(s)}); !st.Running {
		if st, err = o.byFile(sw); err != nil {
			return err
		}
	} else if !o.lift && !o.show {
		if err := sw.Pull(o.notice()); err != nil { // there already, unless the disk failed meanwhile
			st.Warning = err.Error()
		}
	}
	if o.js {
		return printJSON(c.OutOrStdout(), st)
	}
	o.say(c, s, st)
	return nil
}

// ask lets the running outvet do it. The answer of a state that nobody serves
// says that none is running.
func (o *killing) ask(c *cobra.Command, s state) (switchState, error) {
	var st switchState
	cl, err := running(s)
	if err != nil {
		return st, nil
	}
	method, path, body := "POST", "/v1/kill", map[string]string{"by": me(), "how": "outvet kill", "why": o.reason}
	switch {
	case o.show:
		method, body = "GET", nil
	case o.lift:
		path, body["how"] = "/v1/kill/lift", "outvet kill --lift"
	}
	ctx, cancel := context.WithTimeout(c.Context(), killPatience)
	defer cancel()
	switch err := cl.do(ctx, method, path, body, &st); {
	case errors.Is(err, errNoAnswer):
		return switchState{}, nil
	case err != nil:
		return st, err
	}
	st.Running = true
	return st, nil
}

// byFile moves the switch itself: for the outvet that starts next, or one that
// does not answer but still looks at it.
func (o *killing) byFile(sw kill.Switch) (switchState, error) {
	var err error
	switch {
	case o.show:
	case o.lift:
		err = sw.Lift()
	default:
		err = sw.Pull(o.notice())
	}
	if err != nil {
		return switchState{}, err
	}
	n, err := sw.Read()
	st := switchState{Killed: n != nil || err != nil, Notice: n}
	if err != nil {
		st.Fault = err.Error()
	}
	return st, nil
}

func (o *killing) notice() kill.Notice {
	return kill.Notice{By: me(), How: "outvet kill", Why: o.reason, At: time.Now().UTC()}
}

func (o *killing) say(c *cobra.Command, s state, st switchState) {
	out := c.OutOrStdout()
	switch {
	case st.Fault != "":
		fmt.Fprintf(out, "no call passes: %s\n", clean(st.Fault))
	case st.Killed && st.Notice != nil:
		fmt.Fprintf(out, "no call passes: stopped by %s with %s, %s\n", clean(st.By), clean(st.How), st.At.Local().Format(time.DateTime))
		if st.Why != "" {
			fmt.Fprintf(out, "  reason  %s\n", clean(st.Why))
		}
		fmt.Fprintf(out, "  lift    outvet kill --lift, or remove %s\n", s.path(kill.Name))
	default:
		fmt.Fprintln(out, "calls pass")
	}
	if !st.Running {
		fmt.Fprintf(out, "  no outvet answers for %s: it counts for the next that starts, and for one that hangs\n", s)
	}
	if st.Warning != "" {
		fmt.Fprintln(c.ErrOrStderr(), "outvet: it counts, but "+clean(st.Warning))
	}
}
