package process

import (
	"fmt"
	"strings"
	"testing"
)

// Whatever name a process gives itself, the numbers behind it are read.
func FuzzStat(f *testing.F) {
	for _, s := range []string{"cat", "a) R 1 (b", ")", "", "\n) S 77", "(((("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, comm string) {
		if len(comm) > 15 {
			comm = comm[:15]
		}
		line := fmt.Sprintf("4711 (%s) S 42%s 99 0 0\n", comm, strings.Repeat(" 7", 17))
		got, parent, started, ok := parseStat([]byte(line))
		if !ok || got != comm || parent != 42 || started != 99 {
			t.Errorf("%q is read as %q, parent %d, started %d, %v", line, got, parent, started, ok)
		}
		parseStat([]byte(comm)) // and no text makes it fall over
	})
}

func FuzzTables(f *testing.F) {
	f.Add("  0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 20 4 30 10 -1")
	f.Add("  1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:C350 01 0:0 0:0 0 0 0 77 1")
	f.Add("  sl  local_address rem_address   st tx_queue")
	f.Fuzz(func(t *testing.T, line string) {
		local, remote, _, ok := parseRow(line)
		if ok && (!local.IsValid() || !remote.IsValid() || local.Addr().Is4In6()) {
			t.Errorf("%q is read as %s to %s", line, local, remote)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("/usr/bin/node", "node", "node\x00x.js")
	f.Add("/bin/busybox", "", "\x00")
	f.Add("", "\x1b[31m < claude\n", "")
	f.Fuzz(func(t *testing.T, exe, comm, argv string) {
		got, _, _ := name(exe, comm, strings.Split(argv, "\x00"))
		if got == "" || len(got) > nameMax || strings.ContainsAny(got, " <>\n\r\t\x1b\x7f") {
			t.Errorf("a process is called %q", got)
		}
		for _, b := range []byte(got) {
			if b < ' ' || b > '~' {
				t.Errorf("a process is called %q", got)
			}
		}
	})
}
