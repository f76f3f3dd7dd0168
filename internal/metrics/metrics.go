package metrics

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"outvet/call"
)

// Options are what the records do not say. A nil function counts as 0.
type Options struct {
	Version string
	Open    func() float64 // calls under way
	Killed  func() float64 // 1 while the kill switch stops all calls
	Lag     func() float64 // entries of the log without a checkpoint
	Pending func() float64 // calls that wait for a person
}

// Metrics is a sink of records. Its methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	decisions *prometheus.CounterVec
	distrust  *prometheus.CounterVec
	dns       [4]prometheus.Counter // by verdict, as in verdicts; hold_observed has none
	inspected prometheus.Counter
	waited    prometheus.Histogram
	policy    prometheus.Observer
	inspect   prometheus.Observer
	upstream  prometheus.Observer

	rules, named names

	// mu guards known, which only grows, to the bounds of its labels.
	mu    sync.RWMutex
	known map[labels]prometheus.Counter
}

type labels struct{ verdict, rule, agent string }

// Bounds of labels whose values others choose.
const (
	rulesMax = 1000
	namedMax = 64
)

// buckets reach from the quickest decision to a long download, in seconds.
var buckets = []float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// New returns metrics that nothing was counted in.
func New(o Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), known: map[labels]prometheus.Counter{},
		rules: names{max: rulesMax}, named: names{max: namedMax}}
	m.decisions = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outvet_decisions_total",
		Help: "Decisions, by verdict, rule and agent."}, []string{"verdict", "rule", "agent"})
	m.distrust = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outvet_tls_distrust_total",
		Help: "Clients that refused the certificate of outvet."}, []string{"client"})
	m.inspected = prometheus.NewCounter(prometheus.CounterOpts{Name: "outvet_inspect_bytes_total",
		Help: "Bytes of decoded text that were inspected."})
	m.waited = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "outvet_approval_wait_seconds",
		Help: "How long calls waited for a person.", Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800}})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "outvet_request_duration_seconds",
		Help: "Time that calls took, by phase: policy, inspect, upstream.", Buckets: buckets}, []string{"phase"})
	m.policy, m.inspect, m.upstream = took.WithLabelValues("policy"), took.WithLabelValues("inspect"), took.WithLabelValues("upstream")
	dns := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outvet_dns_queries_total",
		Help: "DNS queries, by verdict."}, []string{"verdict"})
	for i, v := range [...]string{"allow", "hold", "block", "block_observed"} {
		m.dns[i] = dns.WithLabelValues(v)
	}
	m.registry.MustRegister(m.decisions, m.distrust, m.inspected, m.waited, took, dns,
		gauge("outvet_approvals_pending", "Calls that wait for a person.", o.Pending),
		gauge("outvet_record_lag_entries", "Entries of the log not yet under a signed checkpoint.", o.Lag),
		gauge("outvet_calls_open", "Calls that were let pass and are not over.", o.Open),
		gauge("outvet_killed", "1 while the kill switch stops all calls.", o.Killed),
		build(o.Version), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func gauge(name, help string, f func() float64) prometheus.Collector {
	if f == nil {
		f = func() float64 { return 0 }
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
}

func build(version string) prometheus.Collector {
	revision := unknown
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "outvet_build_info", Help: "What was built.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version(), "revision": revision}})
	g.Set(1)
	return g
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 5 * time.Second})
}

// Write implements gate.Sink.
func (m *Metrics) Write(r *call.Record) error {
	switch r.Kind {
	case call.Decided:
		if r.Decision == nil {
			return nil
		}
		m.count(r.Decision, r.Caller.Agent)
		m.policy.Observe((r.Took - r.Inspect).Seconds())
		if r.Inspect > 0 {
			m.inspect.Observe(r.Inspect.Seconds())
		}
		if r.Protocol == "dns" {
			m.query(r.Decision)
		}
	case call.Closed:
		m.closed(r)
	case call.Approval:
		if r.Took > 0 {
			m.waited.Observe(r.Took.Seconds())
		}
	}
	return nil
}

func (m *Metrics) closed(r *call.Record) {
	if r.Inspected > 0 {
		m.inspected.Add(float64(r.Inspected))
	}
	was := r.Opened
	if was == nil { // the log was broken when it was decided
		return
	}
	if r.Decision != nil && r.Decision.Verdict != was.Decision.Verdict {
		m.count(r.Decision, was.Caller.Agent)
	}
	if o := r.Outcome; o != nil {
		if o.Address != "" {
			m.upstream.Observe((r.Took - was.Took).Seconds())
		}
		if strings.HasPrefix(o.Error, call.Distrusts) {
			m.distrust.WithLabelValues(m.agent(was.Caller.Agent)).Inc()
		}
	}
}

// verdict is the value of the label.
func verdict(d *call.Decision) string {
	switch {
	case d.Observed && d.Verdict == call.Hold:
		return "hold_observed"
	case d.Observed && d.Verdict == call.Block:
		return "block_observed"
	}
	return d.Verdict.String()
}

func (m *Metrics) count(d *call.Decision, agent call.Attr) {
	k := labels{verdict(d), m.rules.one(d.Rule, "other"), m.agent(agent)}
	m.mu.RLock()
	c := m.known[k]
	m.mu.RUnlock()
	if c == nil {
		c = m.decisions.WithLabelValues(k.verdict, k.rule, k.agent)
		m.mu.Lock()
		m.known[k] = c
		m.mu.Unlock()
	}
	c.Inc()
}

func (m *Metrics) query(d *call.Decision) {
	i := int(d.Verdict)
	if d.Observed && d.Verdict != call.Allow {
		i = 3
	}
	m.dns[min(i, 3)].Inc()
}

// names is the values of a label that others choose, up to max of them.
type names struct {
	max int

	// mu guards known.
	mu    sync.RWMutex
	known map[string]string
}

// one returns s as a value of the label, or instead where there are too many.
func (n *names) one(s, instead string) string {
	n.mu.RLock()
	v, ok := n.known[s]
	n.mu.RUnlock()
	if ok {
		return v
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok := n.known[s]; ok {
		return v
	}
	if len(n.known) >= n.max {
		return instead
	}
	if n.known == nil {
		n.known = map[string]string{}
	}
	v = strings.Clone(strings.ToValidUTF8(s, "?"))
	n.known[strings.Clone(s)] = v
	return v
}
