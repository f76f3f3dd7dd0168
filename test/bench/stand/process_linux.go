package stand

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU reads the CPU clock of a process. Its number is made of the inverse
// of the process's and the kind of clock, 2 for the scheduler's (see
// clock_getcpuclockid).
func processCPU(pid int) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// Supported says why the machine cannot run the benchmark.
func Supported() error { return nil }

// raiseFiles lets this process, and those that it starts, open as many files as
// it may, and returns how many. Root may raise the limit itself.
func raiseFiles() (int, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, err
	}
	r.Cur = r.Max
	if more := (unix.Rlimit{Cur: 200_000, Max: 200_000}); r.Max < more.Max && unix.Setrlimit(unix.RLIMIT_NOFILE, &more) == nil {
		return int(more.Cur), nil
	}
	return int(min(r.Cur, 1<<30)), unix.Setrlimit(unix.RLIMIT_NOFILE, &r)
}

// SyncData waits until the data of f is on disk.
func SyncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
