package recordtest_test

import (
	"testing"

	"outvet/internal/record"
	"outvet/internal/record/recordtest"
)

func TestDirIsAStorage(t *testing.T) {
	dir := t.TempDir()
	recordtest.Run(t, func(t *testing.T) record.Storage {
		d, err := record.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	})
}
