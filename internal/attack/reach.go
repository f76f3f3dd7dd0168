package attack

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// tryTime is how long one attempt to reach something may take.
const tryTime = time.Second

// dial connects as any program would, asking nobody. Names are looked up by
// whatever the sandbox has for that.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	if strings.HasPrefix(network, "unix") {
		place, done := short(address)
		defer done()
		return net.DialUnix(network, nil, &net.UnixAddr{Name: place, Net: network})
	}
	return (&net.Dialer{Timeout: tryTime}).DialContext(ctx, network, address)
}

// addressMax is how long the path of a unix socket may be, in bytes.
const addressMax = 100

// short returns a name for the path of a unix socket that fits into an address. It
// holds until done is called.
func short(path string) (place string, done func()) {
	if len(path) <= addressMax || path[0] == '@' || runtime.GOOS != "linux" {
		return path, func() {}
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return path, func() {}
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }
}

// say connects and says b.
func say(ctx context.Context, network, address string, b []byte) error {
	_, err := converse(ctx, network, address, b)
	return err
}

// converse connects, says b and returns the beginning of the answer, "" for none.
func converse(ctx context.Context, network, address string, b []byte) (string, error) {
	c, err := dial(ctx, network, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(tryTime))
	if _, err := c.Write(b); err != nil {
		return "", err
	}
	if network == "unixgram" {
		return "", nil
	}
	got := make([]byte, 2000)
	n, err := c.Read(got)
	if n == 0 && errors.Is(err, syscall.ECONNREFUSED) {
		return "", err // of a datagram that nobody took
	}
	return string(got[:n]), nil
}

// throughProxy returns a connection to address by the proxy that the environment
// names, as clients make it, or directly where there is none.
func throughProxy(ctx context.Context, address string) (net.Conn, error) {
	u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: address}})
	if err != nil || u == nil {
		return dial(ctx, "tcp", address)
	}
	c, err := dial(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(2 * tryTime))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address)
	res, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, 4096)), nil)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the proxy answers %s", res.Status)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// secure makes TLS to address, for the server name name, with the roots that this
// program finds where it runs.
func secure(ctx context.Context, address, name string, protocols ...string) (*tls.Conn, error) {
	c, err := throughProxy(ctx, address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(2 * tryTime))
	t := tls.Client(c, &tls.Config{ServerName: name, NextProtos: protocols})
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// client returns a client of HTTP that keeps nothing between tries.
func client() *http.Client {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dial, ForceAttemptHTTP2: true, DisableKeepAlives: true,
		TLSHandshakeTimeout: 2 * tryTime, DisableCompression: true}
	return &http.Client{Transport: t, Timeout: 2 * tryTime}
}

// over returns what makes requests on the connection c, whatever their host.
func over(c *tls.Conn) *http.Transport {
	return &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
}

// fetch makes a request and says how it was answered.
func fetch(req *http.Request) (status int, text string, err error) {
	res, err := client().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	return res.StatusCode, string(b), nil
}

// intoFifo writes into a fifo if somebody reads it.
func intoFifo(path string, b []byte) error {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	_, err = syscall.Write(fd, b)
	return err
}
