package loopback

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Capabilities with which a process could pass the wall of a namespace that has a
// wire: it could change routes and rules, or send below them.
var piercing = []struct {
	bit  int
	name string
}{{unix.CAP_NET_ADMIN, "NET_ADMIN"}, {unix.CAP_NET_RAW, "NET_RAW"}, {unix.CAP_SYS_ADMIN, "SYS_ADMIN"}}

// mayPierce returns an error if a process in the network namespace has, or may
// get, a capability with which it could pass the wall.
func mayPierce(dev, ino uint64) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		var st unix.Stat_t
		if unix.Stat(dir+"/ns/net", &st) != nil || st.Dev != dev || st.Ino != ino {
			continue // elsewhere, or gone
		}
		b, err := os.ReadFile(dir + "/status")
		if err != nil {
			continue // gone
		}
		if c := capability(string(b)); c != "" {
			return fmt.Errorf("process %s in it may use the capability %s, by which it could pass around outvet: drop %[2]s from the container", filepath.Base(dir), c)
		}
	}
	return nil
}

// capability returns the piercing capability that a process of this status has or
// may get from a file that it executes, or "". What cannot be read has all.
func capability(status string) string {
	var has uint64
	fields := map[string]string{}
	for line := range strings.Lines(status) {
		k, v, _ := strings.Cut(line, ":")
		fields[k] = strings.TrimSpace(v)
	}
	sets := []string{"CapInh", "CapPrm", "CapEff", "CapAmb"}
	if fields["NoNewPrivs"] != "1" {
		sets = append(sets, "CapBnd")
	}
	for _, k := range sets {
		n, err := strconv.ParseUint(fields[k], 16, 64)
		if err != nil {
			return "NET_RAW"
		}
		has |= n
	}
	for _, p := range piercing {
		if has>>p.bit&1 == 1 {
			return p.name
		}
	}
	return ""
}
