//go:build !linux

package stand

import (
	"errors"
	"syscall"
	"time"
)

func processCPU(int) time.Duration { return 0 }

func dieWithParent() *syscall.SysProcAttr { return nil }

// Supported says why the machine cannot run the benchmark.
func Supported() error {
	return errors.New("the benchmark reads the CPU clocks of processes and /proc, and so needs Linux")
}

func raiseFiles() error { return nil }
