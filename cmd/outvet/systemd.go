package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A manager is the service manager that started outvet, by the protocol of
// systemd (sd_listen_fds(3), sd_notify(3)). The zero manager is none.
type manager struct {
	proxy, console []net.Listener // sockets that it opened for us
	notify         *net.UnixAddr
	watch          time.Duration // tell it so often that we live
}

// firstSocket is the first descriptor that a manager passes.
const firstSocket = 3

// findManager reads what the environment says of a manager, and takes it out of
// there: it is meant for this process alone.
func findManager(pid int) (manager, error) {
	env := map[string]string{}
	for _, k := range [...]string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		env[k] = os.Getenv(k)
		os.Unsetenv(k)
	}
	var m manager
	if path := env["NOTIFY_SOCKET"]; strings.HasPrefix(path, "/") || strings.HasPrefix(path, "@") {
		m.notify = &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	me := strconv.Itoa(pid)
	if us, err := strconv.ParseInt(env["WATCHDOG_USEC"], 10, 64); err == nil && us > 0 && (env["WATCHDOG_PID"] == "" || env["WATCHDOG_PID"] == me) {
		m.watch = time.Duration(us) * time.Microsecond / 2
	}
	if env["LISTEN_PID"] != me {
		return m, nil
	}
	n, err := strconv.Atoi(env["LISTEN_FDS"])
	if err != nil || n < 1 || n > 64 {
		return m, fmt.Errorf("LISTEN_FDS is %q: not a number of sockets", env["LISTEN_FDS"])
	}
	return m, m.take(n, strings.Split(env["LISTEN_FDNAMES"], ":"))
}

// take makes listeners of n passed sockets. Their names say what for
// (FileDescriptorName=); without names the first is the proxy's, the second the
// console's.
func (m *manager) take(n int, names []string) error {
	for i := range n {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if name == "" || name == "unknown" || strings.HasSuffix(name, ".socket") {
			name = [...]string{"proxy", "console", ""}[min(i, 2)]
		}
		fd := firstSocket + i
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), name)
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("socket %d of the service manager: %w", fd, err)
		}
		switch name {
		case "proxy":
			m.proxy = append(m.proxy, l)
		case "console":
			m.console = append(m.console, l)
		default:
			l.Close()
			return fmt.Errorf("socket %d of the service manager has the name %q: give it FileDescriptorName=proxy or console", fd, name)
		}
	}
	return nil
}

// tell tells the manager how it stands with us. It is not worth failing for.
func (m *manager) tell(state string) {
	if m.notify == nil {
		return
	}
	if c, err := net.DialUnix("unixgram", nil, m.notify); err == nil {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Write([]byte(state))
		_ = c.Close()
	}
}

// live tells the manager that we live as long as alive returns, until done is
// closed. If alive does not return, the manager is to start us anew.
func (m *manager) live(alive func(), done <-chan struct{}) {
	if m.watch <= 0 {
		return
	}
	t := time.NewTicker(m.watch)
	defer t.Stop()
	for {
		alive()
		m.tell("WATCHDOG=1")
		select {
		case <-t.C:
		case <-done:
			return
		}
	}
}
