//go:build !linux

package stand

import (
	"errors"
	"os"
	"syscall"
	"time"
)

func processCPU(int) time.Duration { return 0 }

func dieWithParent() *syscall.SysProcAttr { return nil }

// Supported says why the machine cannot run the benchmark.
func Supported() error {
	return errors.New("the benchmark reads the CPU clocks of processes and /proc, and so needs Linux")
}

func raiseFiles() (int, error) { return 0, nil }

// SyncData waits until the data of f is on disk.
func SyncData(f *os.File) error { return f.Sync() }
