package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"outvet/call"
	"outvet/internal/policy"
)

// A request is what the command line says of a call.
type request struct {
	headers           []string
	data              string
	kind, agent, tool string
}

func (o *request) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVarP(&o.headers, "header", "H", nil, "header `'Name: value'`; may be repeated")
	f.StringVarP(&o.data, "data", "d", "", "body: a string, @FILE, or @- for standard input")
	f.StringVar(&o.kind, "session-type", "", "session `TYPE`, as policies name it")
	f.StringVar(&o.agent, "agent", "", "agent `NAME`")
	f.StringVar(&o.tool, "tool", "", "tool `NAME`")
}

// parse returns the request METHOD URL.
func (o *request) parse(c *cobra.Command, method, target string) (policy.Request, error) {
	r := policy.Request{Method: method, URL: target}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tls" {
		return r, usage(fmt.Errorf("%q is not an absolute http or https URL", target), "for example https://api.example.com/v1/notes; for a tunnel whose TLS is to pass unread, CONNECT tls://HOST:443")
	}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return r, usage(fmt.Errorf("-H: header %q is not of the form 'Name: value'", h))
		}
		r.Header = append(r.Header, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	if r.Body, err = o.body(c.InOrStdin()); err != nil {
		return r, usage(fmt.Errorf("--data: %w", err))
	}
	claim := func(v string) call.Attr { return call.Attr{Value: v, Mark: call.Observed} }
	r.Caller = call.Caller{Session: "check", SessionMark: call.Observed, Type: claim(o.kind), Agent: claim(o.agent), Tool: claim(o.tool)}
	return r, nil
}

func (o *request) body(in io.Reader) (string, error) {
	name, isFile := strings.CutPrefix(o.data, "@")
	if !isFile {
		return o.data, nil
	}
	if name == "-" {
		b, err := io.ReadAll(in)
		return string(b), err
	}
	b, err := os.ReadFile(name)
	return string(b), err
}

func checkCommand() *cobra.Command {
	var o request
	var flags policyFlags
	var dir string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check METHOD URL",
		Short: "Say what would become of a call, without making it",
		Long: `check decides a call as serve would, by the same gate. Nothing is sent, nothing
is recorded, and no name is looked up: serve may yet refuse the address that a
name resolves to, or reach one that it was given with --connect-to. The exit code
is 0 for allow and 1 for hold or block.`,
		Example: `  outvet check POST https://api.github.com/repos/acme/shop/issues --data @body.json
  outvet check CONNECT tls://updates.example.com:443   # may its TLS pass unread?
  outvet check --policy outvet.yaml -H 'Authorization: Bearer x' GET https://example.com/ --json`,
		Args: exactArgs("METHOD", "URL"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := o.parse(c, args[0], args[1])
			if err != nil {
				return err
			}
			d, err := decide(c, &flags, dir, r)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), d)
			} else {
				err = printDecision(c.OutOrStdout(), args[0]+" "+args[1], d)
			}
			if !asJSON && err == nil && d.Rule == call.RuleAddress {
				_, err = fmt.Fprintln(c.OutOrStdout(), "  admit   a rule that allows it by cidrs: of its destination, or serve --connect-to")
			}
			if err == nil && d.Verdict != call.Allow {
				err = refused()
			}
			return err
		},
	}
	o.add(c)
	flags.add(c)
	stateFlag(c, &dir)
	jsonFlag(c, &asJSON)
	return c
}

// decide asks the gate about r under the policy that the flags name.
func decide(c *cobra.Command, flags *policyFlags, dir string, r policy.Request) (call.Decision, error) {
	s, err := findState(dir)
	if err != nil {
		return call.Decision{}, err
	}
	src, err := flags.find(s)
	if err != nil {
		return call.Decision{}, err
	}
	if src.warn != "" {
		fmt.Fprintln(c.ErrOrStderr(), "outvet:", src.warn)
	}
	p, err := src.load(c.Context())
	if err != nil {
		return call.Decision{}, err
	}
	d, err := src.judge()(c.Context(), p, r)
	if err != nil {
		return d, usage(err)
	}
	if d.Findings == nil {
		d.Findings = []call.Finding{}
	}
	if d.Edits == nil {
		d.Edits = []call.Edit{}
	}
	return d, nil
}

// printDecision tells a person what was decided and why.
func printDecision(w io.Writer, what string, d call.Decision) error {
	verdict := d.Verdict.String()
	if d.Observed {
		verdict += " (observed: not enforced)"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-7s %s\n", verdict, clean(what))
	rule := d.Rule
	if d.At != "" {
		rule += "  (" + d.At + ")"
	}
	fmt.Fprintf(&b, "  rule    %s\n", clean(rule))
	if d.Reason != "" {
		fmt.Fprintf(&b, "  why     %s\n", clean(d.Reason))
	}
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "  found   %s in %s, bytes %d to %d\n", f.Kind, clean(f.Part), f.Start, f.End)
	}
	for _, e := range d.Edits {
		switch e.Kind {
		case call.Redact:
			fmt.Fprintf(&b, "  edit    redact %s in %s\n", e.Cause, clean(e.Part))
		default:
			fmt.Fprintf(&b, "  edit    %s %s\n", strings.ReplaceAll(string(e.Kind), "_", " "), clean(e.Name))
		}
	}
	for _, u := range d.Uninspected {
		fmt.Fprintf(&b, "  unread  %s: %s\n", clean(u.Part), clean(u.Reason))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
