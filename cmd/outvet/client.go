package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	addr, ok := s.served()
	if !ok {
		return nil, usage(fmt.Errorf("%w %s", errNotServed, s), "start it with outvet serve --state "+string(s))
	}
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	return &client{"http://" + addr, token}, nil
}

// errNotServed is the error of who asks for an outvet that is not there.
var errNotServed = errors.New("no outvet serves")

// errNoAnswer is the error of a client that reaches nobody.
var errNoAnswer = errors.New("no outvet answers")

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
	res, done, err := c.send(ctx, method, path, r)
	if err != nil {
		return usage(err, "is outvet serve running?")
	}
	defer done()
	if res.StatusCode >= 300 {
		var p struct{ Detail string }
		if json.NewDecoder(res.Body).Decode(&p); p.Detail == "" {
			p.Detail = res.Status
		}
		return usage(fmt.Errorf("%s", p.Detail))
	}
	return json.NewDecoder(res.Body).Decode(v)
}

// send sends a request. done ends the use of the answer.
func (c *client) send(ctx context.Context, method, path string, body io.Reader) (res *http.Response, done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	t := &http.Transport{} // no proxy: the console is ours
	if res, err = t.RoundTrip(req); err != nil {
		cancel()
		return nil, nil, fmt.Errorf("%w at %s: %w", errNoAnswer, c.base, err)
	}
	return res, func() { res.Body.Close(); t.CloseIdleConnections(); cancel() }, nil
}

// health asks whether the running outvet can do its work, and what it says.
func (c *client) health(ctx context.Context) (ok bool, said string, err error) {
	res, done, err := c.send(ctx, "GET", "/healthz", nil)
	if err != nil {
		return false, "", err
	}
	defer done()
	b, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	return res.StatusCode == http.StatusOK, strings.TrimSpace(string(b)), err
}
