package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"outvet/internal/ca"
	"outvet/internal/forward"
	"outvet/internal/gate"
	"outvet/internal/inspect/dnstunnel"
	"outvet/internal/listener/api"
	"outvet/internal/listener/proxy"
	"outvet/internal/metrics"
	"outvet/internal/policy"
	"outvet/internal/process"
	"outvet/internal/record"
	"outvet/internal/sandbox/trust"
	"outvet/internal/session"
)

// severing is what is left to the answers that say that all calls are stopped,
// until their connections are closed. Within a second nothing is open.
const severing = 300 * time.Millisecond

// bodies is the memory for bodies that are held whole, in bytes.
const bodies = 512 << 20

// serving is the command line of serve.
type serving struct {
	policyFlags
	state, listen, console string
	dns                    string
	upstreamCA, connectTo  []string
	identify               bool
	connections            int
	upstreamProxy          string
	attaching
	logFlags
	drain       time.Duration
	metricsOpen bool
	processes   bool
	lead        func(*forward.Options) // of attack: where the internet is
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

With --dns it is also a resolver, for clients that look names up by themselves:
it tells the real addresses of the hosts that policy may let them call, and for as
long as they use them the proxy goes to no others. Other types of records are told
where a rule names the host or protocol: dns. All else is refused, with the reason.

It prints one line "ready proxy=ADDRESS console=ADDRESS" when it serves, with
dns=ADDRESS at its end if there is a resolver. Clients
must trust the certificate DIR/ca.pem. The policy is read again when its files
change and on SIGHUP; a bad one keeps the old in force and says why. SIGTERM ends
it after the calls under way, at most --drain later; a second SIGTERM at once.

The file DIR/kill stops all calls for as long as it is there, and so do SIGUSR1
and outvet kill; see outvet kill --help.

The console address serves the check API, /healthz (needs no token) and /metrics
(wants the token in DIR/token as a bearer token; --metrics-open for none).
Sockets that a service manager passes under the names proxy and console (systemd:
FileDescriptorName=) take the place of --listen and --console; while outvet is
restarted, connections wait in them. Readiness and the watchdog are told to
NOTIFY_SOCKET.

Where outvet itself must go out through a proxy, it takes the one that its own
environment names, as curl does (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY; http,
https, socks5 and socks5h), and says so when it starts. --upstream-proxy names
another, or none. A user and password belong into the URL in the environment: a
command line can be read by all.

--attach seals a network namespace that somebody else made, such as that of a
container without a network: whatever a program in it connects to, it reaches
outvet, without being told of a proxy. See doc/operating.md.`,
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
	f.StringVar(&o.dns, "dns", "", "`ADDR` of a resolver for clients, over UDP and TCP; none if not given")
	o.connections = 16384
	f.Var(count{&o.connections, 1}, "max-connections", "connections of clients at a time; `N` beyond it wait to be accepted")
	o.drain = 10 * time.Second
	f.Var(span{&o.drain}, "drain", "how long calls under way may take after SIGTERM")
	f.BoolVar(&o.metricsOpen, "metrics-open", false, "serve /metrics to whoever can reach the console address")
	f.BoolVar(&o.processes, "processes", false, "record which program made each connection from this machine, as curl < bash < claude (Linux)")
	o.logFlags.add(c)
	o.attaching.add(c)
	o.outwards(c)
	return c
}

// outwards adds the flags of the way out.
func (o *serving) outwards(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&o.upstreamCA, "upstream-ca", nil, "`FILE` or directory with CA certificates to trust upstream, beside the system's; may be repeated")
	f.StringArrayVar(&o.connectTo, "connect-to", nil, "`HOST:PORT:ADDR:PORT`: connect to ADDR:PORT for HOST:PORT, as curl does; may be repeated")
	f.StringVar(&o.upstreamProxy, "upstream-proxy", "env", "`URL` of the proxy that leads out, none, or env for what the environment says")
	_ = c.MarkFlagFilename("upstream-ca", "pem", "crt")
}

// A house is the parts of a running outvet.
type house struct {
	state     state
	log       *slog.Logger
	record    *record.Shared
	sessions  *session.Table
	gate      *gate.Gate
	upstream  *forward.Forwarder
	proxy     *proxy.Server
	api       *http.Server
	signals   *signals
	manager   manager
	metrics   *metrics.Metrics
	who       *process.Finder // nil where nobody asks
	authority *ca.Authority
	seat      *seat
	sandboxes []*attached
	names     *dnstunnel.Ledger
	dns       *resolver // nil for none
}

func (o *serving) run(c *cobra.Command) error {
	ctx := c.Context()
	h := &house{signals: catch()}
	defer h.signals.stop()
	var err error
	if h.manager, err = findManager(os.Getpid()); err != nil {
		return usage(err)
	}
	if h.log, err = o.logger(c.ErrOrStderr()); err != nil {
		return err
	}
	if h.state, err = openState(o.state); err != nil {
		return err
	}
	if h.seat, err = h.state.sit(); err != nil {
		return err
	}
	defer h.seat.rise()
	key, err := h.state.digestKey()
	if err != nil {
		return err
	}
	src, err := o.policyFlags.find(h.state)
	if err != nil {
		return err
	}
	src.key = key
	if src.names, err = openNames(h.state, key); err != nil {
		return err
	}
	h.names = src.names
	p, err := src.load(ctx)
	if err != nil {
		return err
	}
	if err := h.build(ctx, o); err != nil {
		return err
	}
	defer h.close()
	if err := h.install(p, src); err != nil {
		return err
	}
	h.gate.Look() // before the first call
	go dnstunnel.Prepare()
	return h.serve(ctx, o, src, c)
}

// build opens what the house stands on: record, sessions, CA, upstream.
func (h *house) build(ctx context.Context, o *serving) error {
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
	if o.lead != nil {
		o.lead(&up)
	}
	if h.authority, err = ca.Open(dir); err != nil {
		return err
	}
	if h.record, err = record.Share(ctx, dir, record.Options{}); err != nil {
		return err
	}
	if h.sessions, err = session.Open(h.state.sessions()); err != nil {
		return errors.Join(err, h.record.Close())
	}
	h.sessions.OnEnd(h.names.Forget)
	h.gate = &gate.Gate{Sessions: h.sessions, Log: h.record, Memory: gate.NewMemory(bodies), Logger: h.log}
	h.upstream = forward.New(up)
	h.proxy = &proxy.Server{Gate: h.gate, Upstream: h.upstream, Authority: h.authority, Logger: h.log, Identify: o.identify, MaxConns: o.connections, Cure: trust.Cure}
	if o.processes {
		h.who = process.Here()
		h.proxy.Witness = h.who.Witness
	}
	h.operate()
	return nil
}

// install puts p in force with the inspectors it needs.
func (h *house) install(p *policy.Policy, src *source) error {
	set, err := src.inspectors(p)
	if err != nil {
		return err
	}
	if err := h.gate.Install(p, set, src.name); err != nil {
		return err
	}
	h.upstream.Flush()
	h.log.Info("policy in force", "source", src.name, "digest", p.Digest()[:12])
	return nil
}

func (h *house) serve(ctx context.Context, o *serving, src *source, c *cobra.Command) error {
	ins, err := listen(h.manager.proxy, "--listen", o.listen)
	if err != nil {
		return err
	}
	consoles, err := listen(h.manager.console, "--console", o.console)
	if err != nil {
		closeAll(ins)
		return err
	}
	for _, l := range consoles {
		h.proxy.Avoid(l.Addr())
	}
	if err := h.listenDNS(o.dns); err != nil {
		closeAll(ins)
		closeAll(consoles)
		return err
	}
	if err := h.upstream.Avoid(addresses(ins, consoles, h.dns.listeners())...); err != nil {
		closeAll(ins)
		closeAll(consoles)
		closeAll(h.dns.listeners())
		return usage(err)
	}
	token, err := h.state.token()
	if err != nil {
		return err
	}
	h.api = &http.Server{ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelWarn),
		Handler: api.New(h.gate, token, api.Options{Metrics: h.metrics.Handler(), MetricsOpen: o.metricsOpen})}
	if err := h.seat.say(consoles[0].Addr().String()); err != nil {
		return err
	}
	if err := h.attach(&o.attaching); err != nil {
		return err
	}
	failed := make(chan error, len(ins)+len(consoles)+3*len(h.sandboxes)+2)
	for _, s := range h.sandboxes {
		s.serve(failed)
	}
	for _, l := range ins {
		go func() { failed <- h.proxy.Serve(l) }()
	}
	for _, l := range consoles {
		go func() { failed <- h.api.Serve(l) }()
	}
	if h.dns != nil {
		h.dns.serve(failed)
	}
	defer h.follow()()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	go src.watch(watch, h.signals.hup, h)
	fmt.Fprintf(c.OutOrStdout(), "ready proxy=%s console=%s%s\n", ins[0].Addr(), consoles[0].Addr(), h.dns.ready())
	h.manager.tell("READY=1")
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return h.drain(o.drain)
	}
}

// drain ends the listeners and waits for the calls under way, at most so long.
func (h *house) drain(most time.Duration) error {
	h.manager.tell("STOPPING=1")
	h.seat.rise() // who starts now may serve
	h.log.Info("draining", "at_most", most.String())
	ctx, cancel := context.WithTimeout(h.signals.hurry, most)
	defer cancel()
	err := errors.Join(h.proxy.Shutdown(ctx), h.api.Shutdown(ctx), h.dns.shutdown(ctx), shutdown(ctx, h.sandboxes))
	switch {
	case h.signals.hurry.Err() != nil:
		h.log.Warn("calls under way were cut at the second signal")
	case errors.Is(err, context.DeadlineExceeded):
		h.log.Warn("calls under way were cut", "after", most.String())
	default:
		return err
	}
	return nil
}

func (h *house) close() {
	h.upstream.Close()
	if err := errors.Join(h.gate.Settle(), h.record.Close(), h.sessions.Close(), h.names.Close(), h.who.Close()); err != nil {
		h.log.Error("close", "err", err)
	}
}
