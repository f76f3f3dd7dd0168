package layer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/build"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tally returns how many layers stand in text and how many bytes they hold.
func tally(text []byte, saw map[string]int) (n, size int) {
	Find(text, roomy, func(l Layer) {
		n++
		size += len(l.Text)
		saw[l.Name]++
		if testing.Verbose() && saw[l.Name] <= 12 {
			println(l.Name, strings.ToValidUTF8(string(text[l.Start:min(l.End, l.Start+100)]), "?"), "=>", strings.ToValidUTF8(string(l.Text[:min(len(l.Text), 80)]), "?"))
		}
	})
	return n, size
}

func TestDigestsAndIdentifiersHoldNothing(t *testing.T) {
	file, err := os.Open("testdata/benign-high-entropy.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	saw := map[string]int{}
	lines, layers := 0, 0
	for in := bufio.NewScanner(file); in.Scan(); lines++ {
		var c struct{ Text, Kind string }
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		n, _ := tally([]byte(c.Text), saw)
		layers += n
	}
	t.Logf("%d layers in %d lines: %v", layers, lines, saw)
	if layers > lines/20 {
		t.Errorf("%d layers in %d lines: %v", layers, lines, saw)
	}
}

func TestSourceCodeHoldsLittle(t *testing.T) {
	var all [][]byte
	for _, dir := range []string{"net/http", "go/types", "encoding/json"} {
		files, _ := filepath.Glob(filepath.Join(build.Default.GOROOT, "src", dir, "*.go"))
		for _, name := range files {
			if b, err := os.ReadFile(name); err == nil && !strings.HasSuffix(name, "_test.go") {
				all = append(all, b)
			}
		}
	}
	text := bytes.Join(all, nil)
	if len(text) < 1<<20 {
		t.Skip("no source of the standard library here")
	}
	saw := map[string]int{}
	layers, size := 0, 0
	for _, b := range all {
		n, s := tally(b, saw)
		layers, size = layers+n, size+s
	}
	t.Logf("%d layers, %d bytes, in %d KB: %v", layers, size, len(text)>>10, saw)
	if layers > len(text)/1024/4 || size > len(text)/20 {
		t.Errorf("%d layers of %d bytes in %d KB: %v", layers, size, len(text)>>10, saw)
	}
}
