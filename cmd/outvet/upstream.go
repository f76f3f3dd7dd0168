package main

import (
	"fmt"
	"log/slog"
	"os"

	"outvet/internal/forward"
)

// proxies returns the proxies that lead out, and says so: an operator who did
// not think of the variables of the environment should see that they count.
func (o *serving) proxies(log *slog.Logger) (*forward.Proxies, error) {
	p, err := forward.NewProxies(o.upstreamProxy, os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("--upstream-proxy: %w", err)
	}
	if p.Any() {
		log.Info("calls leave through an upstream proxy", "way", p.String())
	}
	for _, s := range p.Ignored() {
		log.Warn("NO_PROXY has an entry that means nothing here", "entry", s)
	}
	return p, nil
}
