package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const table = `22 27 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:1 /home/u /data rw,relatime shared:1 - ext4 /dev/sda1 rw
31 22 8:1 /home/u/a\040b /with\040space rw - ext4 /dev/sda1 rw
32 22 0:33 / /tmp rw - tmpfs tmpfs rw
33 22 8:2 / /home/u/disk rw - ext4 /dev/sdb1 rw
34 22 8:1 /var /covered rw - ext4 /dev/sda1 rw
35 22 0:34 / /covered rw - tmpfs tmpfs rw
36 22 0:35 / /net rw master:7 propagate_from:3 - fuse.sshfs x rw
`

func TestAPathIsKnownUnderAllItsNames(t *testing.T) {
	m := parseMounts([]byte(table))
	for path, want := range map[string][]string{
		"/home/u/.ssh":     {"/home/u/.ssh", "/data/.ssh"},
		"/data/.ssh":       {"/data/.ssh", "/home/u/.ssh"},
		"/home/u/a b/x":    {"/home/u/a b/x", "/data/a b/x", "/with space/x"},
		"/home/other":      {"/home/other"},
		"/home/u":          {"/home/u", "/data"},
		"/tmp/x":           {"/tmp/x"},
		"/home/u/disk/key": {"/home/u/disk/key"}, // not below /data: nothing is mounted there
		"/var/lib":         {"/var/lib"},         // covered where it is mounted besides
	} {
		if got := m.names(path); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if kind := m.holding("/net/x").kind; kind != "fuse.sshfs" {
		t.Errorf("/net is %q", kind)
	}
	if kind := m.holding("/network").kind; kind != "ext4" {
		t.Errorf("/network is %q", kind)
	}
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '\\' || c >= 127 {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func FuzzMountTable(f *testing.F) {
	f.Add(table, "/home/u/a b")
	f.Fuzz(func(t *testing.T, text, path string) {
		if got := unescape(escape(path)); got != path {
			t.Fatalf("%q comes back as %q", path, got)
		}
		if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.Contains(path, "/.") || strings.ContainsRune(path, 0) {
			return
		}
		all := parseMounts([]byte(text)).names(path)
		if all[0] != path {
			t.Fatalf("%q is not the first of %q", path, all)
		}
		// a mount that is added is found, whatever was there
		line := fmt.Sprintf("\n1 1 77:1 / / rw - ext4 x rw\n1 1 77:1 %s /somewhere rw - ext4 x rw\n", escape(path))
		if path != "/" && strings.TrimSuffix(path, "/") == path {
			got := parseMounts([]byte(line)).names(path + "/key")
			if !slices.Contains(got, "/somewhere/key") && !within(path, "/somewhere") {
				t.Fatalf("%q: not found under its other name: %q", path, got)
			}
		}
	})
}

func FuzzOrders(f *testing.F) {
	o := &orders{Command: []string{"a", "b"}, Env: []string{"X=1"}, User: 5}
	o.hold("/a", []byte("one"))
	o.hold("/b", []byte("one"))
	o.hold("/c", nil)
	o.hold("/d", []byte("another"))
	whole, err := o.file()
	if err != nil {
		f.Fatal(err)
	}
	text := make([]byte, 4096)
	n, _ := whole.ReadAt(text, 0)
	f.Add(text[:n])
	back, err := readOrders(whole)
	if err != nil || len(back.Pieces) != 4 || back.length != len("oneanother") || back.User != 5 {
		f.Fatalf("%+v %v", back, err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		file.Write(b)
		o, err := readOrders(file)
		if err != nil {
			return
		}
		for _, p := range o.Pieces {
			_ = o.content(p) // is there
		}
	})
}
