package match

import (
	"flag"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var makeTrigrams = flag.Bool("trigrams", false, "count the trigrams of GOROOT/src and write trigrams.bin")

func TestTrigramsTellRareFromCommon(t *testing.T) {
	if *makeTrigrams {
		writeTrigrams(t)
		return
	}
	if len(trigrams) != 1<<hashBits/2 {
		t.Fatalf("the table has %d bytes", len(trigrams))
	}
	for _, s := range []string{"the", "ing", "err", "ret"} {
		if n := common(trigramOf(s)); n < 256 {
			t.Errorf("%q is met %d times in a megabyte", s, n)
		}
	}
	for _, s := range []string{"ghp", "kia", "q~z"} {
		if n := common(trigramOf(s)); n > 128 {
			t.Errorf("%q is met %d times in a megabyte", s, n)
		}
	}
}

func writeTrigrams(t *testing.T) {
	var count [1 << hashBits]int
	total := 0
	err := filepath.WalkDir(filepath.Join(goroot(t), "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "vendor") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(d.Name(), "tables") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) > 200_000 { // the large ones are generated
			return err
		}
		for i := 0; i+3 <= len(b); i++ {
			count[hash(trigram(b[i], b[i+1], b[i+2]))]++
			total++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	table := make([]byte, len(count)/2)
	for h, n := range count {
		n = (n*1_000_000 + total/2) / total
		table[h>>1] |= byte(min(15, bits.Len(uint(n)))) << (h & 1 * 4)
	}
	if err := os.WriteFile("trigrams.bin", table, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of text", total)
}
