package record

import (
	"errors"
	"fmt"
	"time"
)

// lookEvery is how long the log may write on without looking whether it is
// still where others look for it.
const lookEvery = 100 * time.Millisecond

// patience is how long entries may go without a signature before Write refuses
// more, and how long Close waits for a disk that does not answer.
const patience = 10 * time.Second

// A fault is why entries cannot be made into tiles and signed.
type fault struct {
	err   error
	since time.Time
}

// Health returns why the newest entries cannot be made into tiles and signed,
// or nil. They are in the write-ahead log, and what cannot be done is tried
// again every second. If that goes on for ten seconds, Write is an error too.
func (l *Log) Health() error {
	if f := l.fault.Load(); f != nil {
		return f.err
	}
	return nil
}

// note keeps the outcome of a step for Health.
func (l *Log) note(err error) {
	was := l.fault.Load()
	switch {
	case err == nil:
		l.fault.Store(nil)
	case was == nil:
		l.fault.Store(&fault{err, time.Now()})
	default:
		l.fault.Store(&fault{err, was.since})
	}
}

// inPlace returns an error if the folder of the log, or what is written of it,
// was removed, renamed or replaced. It looks now and then, and at every call
// once it has seen that.
func (l *Log) inPlace() error {
	now := time.Now()
	if now.Sub(l.looked) < lookEvery {
		return nil
	}
	if err := l.lookAt(); err != nil {
		return err
	}
	l.looked = now
	return nil
}

// lookAt looks now.
func (l *Log) lookAt() error {
	l.looked = time.Time{}
	there, err := l.seg.f.At(l.seg.path)
	if err == nil && !there {
		err = errors.New("it is not there any more")
	}
	if err != nil {
		return fmt.Errorf("%s was removed, moved or replaced while the log was open: put it back, or restore the log and start again: %w", l.seg.path, err)
	}
	return nil
}
