package stand

import (
	"encoding/json"
	"fmt"
	"os"
)

// roleWord is the first argument of a process that plays a part of the stand.
const roleWord = "play"

// A part is what such a process is told.
type part struct {
	Name    string            // origin, or a reference proxy
	Dir     string            // of the authorities
	IP      string            // of the origin
	Origins map[string]string // for a proxy; of what a relay or a walker leads to
	Bytes   int64             // of a walk
	Times   int
}

// Play plays the part that args ask for and reports whether they ask for one.
// Programs and tests that start a stand call it first.
func Play(args []string) (asked bool, err error) {
	if len(args) != 2 || args[0] != roleWord {
		return false, nil
	}
	var p part
	if err := json.Unmarshal([]byte(args[1]), &p); err != nil {
		return true, err
	}
	if _, err := raiseFiles(); err != nil {
		return true, err
	}
	if p.Name == "origin" {
		return true, serveOrigin(p.Dir, p.IP, func(addrs map[string]string) {
			fmt.Printf("ready tls=%s plain=%s raw=%s\n", addrs[TLSPort], addrs[PlainPort], addrs[RawPort])
		})
	}
	switch p.Name {
	case relayName:
		return true, serveRelay(p.Origins["to"], func(addr string) { fmt.Printf("ready proxy=%s\n", addr) })
	case walkerName:
		w, err := walk(p)
		if err != nil {
			return true, err
		}
		if err := json.NewEncoder(os.Stdout).Encode(w); err != nil {
			return true, err
		}
		os.Exit(0)
	}
	return true, serveReference(p.Name, p.Dir, p.Origins, func(addr string) { fmt.Printf("ready proxy=%s\n", addr) })
}

// play starts a process of this program that plays p.
func play(p part) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return start(p.Name, self, roleWord, string(b))
}
