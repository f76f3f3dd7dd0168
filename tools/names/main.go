// Command names writes the list of host names that internal/inspect/dnstunnel
// embeds, from a checkout of github.com/v2fly/domain-list-community (MIT):
//
//	go run ./names CHECKOUT ../internal/inspect/dnstunnel/data
//
// It writes hosts.txt, the names of known sites, and risky.txt, those at which
// anybody can have a name of his own. Both are sorted, so that the same checkout
// gives the same bytes.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// risky are the lists whose names are never known sites; left out are those that
// nobody needs to have in a program.
var (
	risky   = []string{"category-ddns", "category-proxy-tunnels"}
	leftOut = []string{"category-porn", "category-doh", "category-anticensorship", "category-vpnservices", "category-urlshortner", "category-ipfs", "category-stun"}
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: names CHECKOUT FOLDER")
	}
	data := filepath.Join(os.Args[1], "data")
	files, err := os.ReadDir(data)
	if err != nil {
		log.Fatal(err)
	}
	bad, gone := map[string]bool{}, map[string]bool{}
	for _, l := range risky {
		read(data, l, bad, gone)
	}
	for _, l := range leftOut {
		read(data, l, gone, gone)
	}
	good, seen := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		read(data, f.Name(), good, seen)
	}
	for name := range good {
		if gone[name] || bad[name] || !plain(name) {
			delete(good, name)
		}
	}
	write(os.Args[2], "hosts.txt", good)
	write(os.Args[2], "risky.txt", bad)
}

// read adds the names of a list and of those it includes. Whatever else a list
// holds (keywords, expressions) is left.
func read(data, list string, names, seen map[string]bool) {
	if seen["list:"+list] {
		return
	}
	seen["list:"+list] = true
	b, err := os.ReadFile(filepath.Join(data, list))
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		kind, name, ok := strings.Cut(f[0], ":")
		switch {
		case !ok:
			names[strings.ToLower(f[0])] = true
		case kind == "domain" || kind == "full":
			names[strings.ToLower(name)] = true
		case kind == "include":
			read(data, name, names, seen)
		}
	}
}

func plain(name string) bool {
	return strings.Contains(name, ".") && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

func write(dir, file string, names map[string]bool) {
	all := make([]string, 0, len(names))
	for n := range names {
		if plain(n) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	if err := os.WriteFile(filepath.Join(dir, file), []byte(strings.Join(all, "\n")+"\n"), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Println(file, len(all))
}
