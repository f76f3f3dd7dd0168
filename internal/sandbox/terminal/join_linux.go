package terminal

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// drainTime is for how long what a command has written last is waited for,
	// if something of it still holds its terminal.
	drainTime = 200 * time.Millisecond
	// answerTime is for how long an answer of the terminal is waited for that
	// nobody reads any more, and after how long none is expected.
	answerTime = 100 * time.Millisecond
	askedTime  = time.Second
)

// A Joint joins the user's terminal to that of a command.
type Joint struct {
	in, out, master *os.File
	was             *unix.Termios // of in; nil if that is no terminal
	signals         chan os.Signal
	stop            *pipe
	reading         sync.WaitGroup // from in
	writing         sync.WaitGroup // to out
	watching        sync.WaitGroup // of signals
	once            sync.Once
	err             error

	// mu guards what Close reads while the command may still write.
	mu     sync.Mutex
	filter Filter
	asked  time.Time
}

// Join makes the user's terminal raw and carries everything between it and
// master, through the filter, until Close. in is nil, or no terminal, if the
// command reads from elsewhere; out is a terminal. The files stay the caller's.
func Join(in, out, master *os.File) (*Joint, error) {
	if !Is(out) {
		return nil, errors.New("terminal: what the command writes to is no terminal")
	}
	own, err := apart(master)
	if err != nil {
		return nil, err
	}
	j := &Joint{in: in, out: out, master: own, signals: make(chan os.Signal, 8)}
	if j.stop, err = newPipe(); err != nil {
		own.Close()
		return nil, err
	}
	if err := like(own, out); err != nil {
		j.stop.close()
		own.Close()
		return nil, fmt.Errorf("terminal: the size of the window: %w", err)
	}
	signal.Notify(j.signals, unix.SIGWINCH, unix.SIGTSTP, unix.SIGCONT)
	if in != nil && Is(in) {
		if j.was, err = raw(in); err != nil {
			j.was = nil
			return nil, errors.Join(fmt.Errorf("terminal: making the terminal raw: %w", err), j.Close())
		}
		j.reading.Go(j.read)
	}
	j.writing.Go(j.write)
	j.watching.Go(j.watch)
	return j, nil
}

// apart returns another descriptor of f that can be waited for with a
// deadline.
func apart(f *os.File) (*os.File, error) {
	dup := -1
	err := descriptor(f, func(fd int) (err error) {
		if dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return err
		}
		return unix.SetNonblock(dup, true)
	})
	if err != nil {
		return nil, fmt.Errorf("terminal: the command's terminal: %w", err)
	}
	return os.NewFile(uintptr(dup), f.Name()), nil
}

// read carries what the user types.
func (j *Joint) read() { pump(j.in, j.master, j.stop) }

// write carries what the command writes. It ends when nobody has the command's
// terminal any more.
func (j *Joint) write() {
	in, out := make([]byte, 32<<10), make([]byte, 0, 64<<10)
	for {
		n, err := j.master.Read(in)
		if n > 0 {
			j.mu.Lock()
			out = j.filter.Append(out[:0], in[:n])
			if j.filter.Asked() {
				j.asked = time.Now()
			}
			j.mu.Unlock()
			if _, werr := j.out.Write(out); werr != nil && len(out) > 0 {
				j.discard() // the window is gone; the command must not wait for it
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (j *Joint) discard() {
	b := make([]byte, 32<<10)
	for {
		if _, err := j.master.Read(b); err != nil {
			return
		}
	}
}

// watch follows the window's size, and lets outvet be stopped.
func (j *Joint) watch() {
	for s := range j.signals {
		switch s {
		case unix.SIGTSTP:
			if j.was != nil {
				restore(j.in, j.was, false)
			}
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		case unix.SIGCONT: // whoever had the terminal may have changed it
			if j.was != nil {
				raw(j.in)
			}
			fallthrough
		case unix.SIGWINCH:
			like(j.master, j.out)
		}
	}
}

// Close ends the joint and restores the user's terminal: first what the command
// wrote last is shown, then modes that it left are undone.
func (j *Joint) Close() error {
	j.once.Do(func() { j.err = j.end() })
	return j.err
}

func (j *Joint) end() error {
	signal.Stop(j.signals)
	close(j.signals)
	j.watching.Wait()
	j.stop.wake()
	j.master.SetDeadline(time.Now().Add(drainTime))
	j.reading.Wait()
	j.writing.Wait()
	j.mu.Lock()
	reset, asked := j.filter.Reset(), j.asked
	j.mu.Unlock()
	if len(reset) > 0 {
		j.out.Write(reset)
	}
	var err error
	if j.was != nil {
		if time.Since(asked) < askedTime {
			swallow(j.in)
		}
		if err = restore(j.in, j.was, true); err != nil {
			err = fmt.Errorf("terminal: restoring the terminal: %w: stty sane helps", err)
		}
	}
	j.stop.close()
	return errors.Join(err, j.master.Close())
}

// Held says what the filter held back, and how often.
func (j *Joint) Held() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.filter.Held()
}

// swallow reads what the terminal answers to the last question.
func swallow(in *os.File) {
	b := make([]byte, 4096)
	for end := time.Now().Add(answerTime); ; {
		if ready, err := readable(in, nil, time.Until(end)); !ready || err != nil {
			return
		}
		if n, err := in.Read(b); n == 0 || err != nil {
			return
		}
	}
}
