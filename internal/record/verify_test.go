package record

import (
	"testing"
)

func TestWholeLogVerifies(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 700)
	fill(t, dir, 33)
	rep, err := Verify(dir, VerifyOptions{})
	if err != nil || rep.Size != 733*2+4 || rep.Calls != 733 || rep.Sessions != 3 || rep.OpenCalls != 0 || rep.Tail != 0 {
		t.Fatalf("%+v %v", rep, err)
	}
}
