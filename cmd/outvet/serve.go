package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"outvet/internal/ca"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/listener/api"
	"outvet/internal/listener/proxy"
	"outvet/internal/policy"
	"outvet/internal/record"
	"outvet/internal/session"
)

// drain is how long calls under way may take after SIGTERM.
const drain = 10 * time.Second

// bodies is the memory for bodies that are held whole, in bytes.
const bodies = 512 << 20

// serving is the command line of serve.
type serving struct {
	policyFlags
	state, listen, console string
	upstreamCA, connectTo  []string
	identify               bool
	upstreamProxy          string
}

func serveCommand() *cobra.Command {
	var o serving
	c := &cobra.Command{
		Use:   "serve",
		Short: "Stand between agents and the network: proxy, check API, record",
		Long: `serve listens for clients that are configured to use it as their proxy
(http_proxy and https_proxy, or a network whose only route it is), decides every
call by the policy, and keeps the record below the state directory. The port
takes HTTP and SOCKS 5; a user name given to the proxy names the session.

It prints one line "ready proxy=ADDRESS console=ADDRESS" when it serves. Clients
must trust the certificate DIR/ca.pem. The policy is read again when its files
change and on SIGHUP; a bad one keeps the old in force and says why. SIGTERM ends
it after the calls under way.

Where outvet itself must go out through a proxy, it takes the one that its own
environment names, as curl does (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY; http,
https, socks5 and socks5h), and says so when it starts. --upstream-proxy names
another, or none. A user and password belong into the URL in the environment: a
command line can be read by all.`,
		Example: `  outvet serve --preset balanced
  outvet serve --policy outvet.yaml --listen 0.0.0.0:8088
  ALL_PROXY=socks5h://my-session@127.0.0.1:8088 curl --cacert ~/.local/state/outvet/ca.pem https://example.com/
  HTTPS_PROXY=http://127.0.0.1:8088 curl --cacert ~/.local/state/outvet/ca.pem https://example.com/`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	o.policyFlags.add(c)
	stateFlag(c, &o.state)
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8088", "`ADDR` of the proxy; port 0 picks a free one")
	f.BoolVar(&o.identify, "identify", false, "ask clients of the proxy that do not name their session to do so (407); git and Chromium name it only then")
	f.StringVar(&o.console, "console", "127.0.0.1:7070", "`ADDR` of the check API; port 0 picks a free one")
	f.StringArrayVar(&o.upstreamCA, "upstream-ca", nil, "`FILE` or directory with CA certificates to trust upstream, beside the system's; may be repeated")
	f.StringArrayVar(&o.connectTo, "connect-to", nil, "`HOST:PORT:ADDR:PORT`: connect to ADDR:PORT for HOST:PORT, as curl does; may be repeated")
	f.StringVar(&o.upstreamProxy, "upstream-proxy", "env", "`URL` of the proxy that leads out, none, or env for what the environment says")
	_ = c.MarkFlagFilename("upstream-ca", "pem", "crt")
	return c
}

// A house is the parts of a running outvet.
type house struct {
	state    state
	log      *slog.Logger
	record   *record.Log
	sessions *session.Table
	gate     *gate.Gate
	upstream *forward.Forwarder
	proxy    *proxy.Server
	api      *http.Server
}

func (o *serving) run(c *cobra.Command) error {
	ctx := c.Context()
	h := &house{log: slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))}
	var err error
	if h.state, err = openState(o.state); err != nil {
		return err
	}
	key, err := h.state.digestKey()
	if err != nil {
		return err
	}
	src, err := o.policyFlags.find(h.state)
	if err != nil {
		return err
	}
	src.key = key
	p, err := src.load(ctx)
	if err != nil {
		return err
	}
	if err := h.build(o); err != nil {
		return err
	}
	defer h.close()
	if err := h.install(p, key, src.name); err != nil {
		return err
	}
	return h.serve(ctx, o, src, c)
}

// build opens what the house stands on: record, sessions, CA, upstream.
func (h *house) build(o *serving) error {
	dir := string(h.state)
	up := forward.Options{}
	for _, s := range o.connectTo {
		to, err := forward.ParseConnectTo(s)
		if err != nil {
			return usage(fmt.Errorf("--connect-to: %w", err))
		}
		up.ConnectTo = append(up.ConnectTo, to)
	}
	var err error
	if up.Proxies, err = o.proxies(h.log); err != nil {
		return usage(err)
	}
	for _, file := range o.upstreamCA {
		certs, err := forward.ReadRoots(file)
		if err != nil {
			return usage(fmt.Errorf("--upstream-ca: %w", err))
		}
		up.Roots = append(up.Roots, certs...)
	}
	authority, err := ca.Open(dir)
	if err != nil {
		return err
	}
	if h.sessions, err = session.Open(h.state.sessions()); err != nil {
		return err
	}
	if h.record, err = record.Open(dir, record.Options{}); err != nil {
		return errors.Join(err, h.sessions.Close())
	}
	h.gate = &gate.Gate{Sessions: h.sessions, Log: h.record, Memory: gate.NewMemory(bodies), Logger: h.log}
	h.upstream = forward.New(up)
	h.proxy = &proxy.Server{Gate: h.gate, Upstream: h.upstream, Authority: authority, Logger: h.log, Identify: o.identify}
	return nil
}

// install puts p in force with the inspectors it needs.
func (h *house) install(p *policy.Policy, key []byte, name string) error {
	set, err := inspectors(p, key)
	if err != nil {
		return err
	}
	if err := h.gate.Install(p, set, name); err != nil {
		return err
	}
	h.upstream.Flush()
	h.log.Info("policy in force", "source", name, "digest", p.Digest()[:12])
	return nil
}

func (h *house) serve(ctx context.Context, o *serving, src *source, c *cobra.Command) error {
	in, err := net.Listen("tcp", o.listen)
	if err != nil {
		return usage(fmt.Errorf("--listen: %w", err))
	}
	console, err := net.Listen("tcp", o.console)
	if err != nil {
		in.Close()
		return usage(fmt.Errorf("--console: %w", err))
	}
	h.proxy.Avoid(console.Addr())
	if err := h.upstream.Avoid(in.Addr(), console.Addr()); err != nil {
		return usage(errors.Join(err, in.Close(), console.Close()))
	}
	token, err := h.state.token()
	if err != nil {
		return err
	}
	h.api = &http.Server{Handler: api.New(h.gate, token), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelWarn)}
	if err := os.WriteFile(h.state.path("console"), []byte(console.Addr().String()+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(h.state.path("console"))
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	failed := make(chan error, 2)
	go func() { failed <- h.proxy.Serve(in) }()
	go func() { failed <- h.api.Serve(console) }()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go src.watch(watch, hup, h)
	fmt.Fprintf(c.OutOrStdout(), "ready proxy=%s console=%s\n", in.Addr(), console.Addr())
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return h.drain()
	}
}

// drain ends the listeners and waits for the calls under way.
func (h *house) drain() error {
	h.log.Info("draining", "at_most", drain)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	err := errors.Join(h.proxy.Shutdown(ctx), h.api.Shutdown(ctx))
	if errors.Is(err, context.DeadlineExceeded) {
		h.log.Warn("calls under way were cut", "after", drain)
		return nil
	}
	return err
}

func (h *house) close() {
	h.upstream.Close()
	if err := errors.Join(h.record.Close(), h.sessions.Close()); err != nil {
		h.log.Error("close", "err", err)
	}
}
