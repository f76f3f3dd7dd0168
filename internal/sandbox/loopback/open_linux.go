package loopback

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Open seals the network namespace of the calling thread, which must have no
// interface but lo, and returns its sockets. The caller has locked the thread and
// has CAP_NET_ADMIN over the namespace.
func Open() (*Sockets, error) {
	others, err := otherInterfaces()
	if err != nil {
		return nil, err
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("loopback: the network namespace has the interface %q besides lo: it would lead out", others[0].Name)
	}
	return seal(nil, nil, tproxy, redirect)
}

// seal does it all. ways are tried in their order. A nil wire is for a namespace
// with lo only.
func seal(w *wire, own []net.IP, ways ...capture) (*Sockets, error) {
	six, err := hasIPv6()
	if err != nil {
		return nil, err
	}
	if six {
		if err := turnOnIPv6(w == nil); err != nil {
			return nil, err
		}
	}
	if err := setRoutes(six, w); err != nil {
		return nil, err
	}
	var tried []error
	for _, way := range ways {
		err := setRules(way, six, w, own)
		if err == nil {
			if err := w.forget(); err != nil {
				return nil, err
			}
			return listen(way, six)
		}
		tried = append(tried, fmt.Errorf("loopback: nft rules with %s: %w", way.name, err))
		if errors.Is(err, unix.EPERM) {
			break // another rule would be forbidden, too
		}
	}
	return nil, errors.Join(tried...)
}

// otherInterfaces returns the interfaces that could lead out. Those of the kernel
// that each namespace has for tunnels are down and lead nowhere.
func otherInterfaces() ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("loopback: list interfaces: %w", err)
	}
	fallbacks := []string{"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"}
	return slices.DeleteFunc(all, func(i net.Interface) bool {
		return i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 && slices.Contains(fallbacks, i.Name)
	}), nil
}

// hasIPv6 reports whether the kernel speaks IPv6.
func hasIPv6() (bool, error) {
	_, err := os.Stat("/proc/thread-self/net/if_inet6")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// turnOnIPv6 lets lo have addresses of IPv6, and all interfaces if all is true.
func turnOnIPv6(all bool) error {
	devices := []string{"lo"}
	if all {
		devices = []string{"all", "lo"}
	}
	for _, d := range devices {
		file := "/proc/sys/net/ipv6/conf/" + d + "/disable_ipv6"
		if b, err := os.ReadFile(file); err == nil && len(b) > 0 && b[0] == '0' {
			continue // it may be mounted read-only
		}
		if err := os.WriteFile(file, []byte("0"), 0); err != nil {
			return fmt.Errorf("loopback: turn on IPv6: %w", err)
		}
	}
	return nil
}
