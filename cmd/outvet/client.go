package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// A client asks the outvet that serves a state directory, on its console
// address.
type client struct {
	base, token string
}

// running returns a client of the outvet that serves s.
func running(s state) (*client, error) {
	addr, err := os.ReadFile(s.path("console"))
	if err != nil {
		return nil, usage(fmt.Errorf("no outvet serves %s", s), "start it with outvet serve --state "+string(s))
	}
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	return &client{"http://" + strings.TrimSpace(string(addr)), token}, nil
}

// do sends a request and decodes the answer into v.
func (c *client) do(ctx context.Context, method, path string, body, v any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	t := &http.Transport{} // no proxy: the console is ours
	defer t.CloseIdleConnections()
	res, err := t.RoundTrip(req)
	if err != nil {
		return usage(fmt.Errorf("no outvet answers at %s: %w", c.base, err), "is outvet serve running?")
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		var p struct{ Detail string }
		if json.NewDecoder(res.Body).Decode(&p); p.Detail == "" {
			p.Detail = res.Status
		}
		return usage(fmt.Errorf("%s", p.Detail))
	}
	return json.NewDecoder(res.Body).Decode(v)
}
