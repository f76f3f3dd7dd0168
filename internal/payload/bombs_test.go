package payload

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"strings"
	"testing"
)

// TestManySmallBombsShareOneBudget: what each of them inflates to is binary and
// is not kept, so that only the work bounds it.
func TestManySmallBombsShareOneBudget(t *testing.T) {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(bytes.Repeat([]byte{0, 1, 2, 3, 4, 5, 6, 7}, 1<<18))
	w.Close()
	one := `"` + base64.StdEncoding.EncodeToString(b.Bytes()) + `",`
	for n, cut := range map[int]bool{4: false, 64: true} {
		c := Decode(message("/", "Content-Type: application/json"), []byte("["+strings.Repeat(one, n)+"1]"), Limits{})
		if got := len(c.Uninspected) > 0; got != cut {
			t.Errorf("%d bombs of 2 MiB: %v", n, c.Uninspected)
		}
		if n := len(c.Text); n > 1<<20 {
			t.Errorf("%d bytes of text", n)
		}
	}
}
