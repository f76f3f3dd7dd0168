package record

import (
	"fmt"
	"os"
)

// sync returns when the first next entries are on disk. Of many writers that
// wait, one syncs for all: group commit.
func (l *Log) sync(next int64) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if l.synced >= next && !l.broken.Load() {
		return nil
	}
	return l.syncLocked()
}

// mend tries again what the disk did not confirm.
func (l *Log) mend() error {
	l.mu.Lock()
	err := l.lookAt() // it says more than what a sync fails with
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return l.syncAll()
}

// syncAll puts on disk what is written by now, or puts right what a failed
// sync left in doubt.
func (l *Log) syncAll() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	return l.syncLocked()
}

func (l *Log) syncLocked() error {
	l.mu.Lock()
	next, seg, end := l.seg.next, l.seg, l.seg.end
	old := l.old
	salts, days := l.salts.f, l.salts.old
	l.mu.Unlock()
	if l.synced == next && !l.broken.Load() {
		return nil
	}
	err := l.syncSegments(old, seg, end)
	if err == nil && salts != nil {
		err = salts.Sync()
	}
	if err == nil && len(days) > 0 {
		err = l.syncDays(days)
	}
	l.broken.Store(err != nil)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	l.synced = next
	return nil
}

// syncDays syncs and closes the files of salts that are no longer written.
func (l *Log) syncDays(days []*os.File) error {
	for _, f := range days {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.salts.old = l.salts.old[len(days):]
	l.mu.Unlock()
	for _, f := range days {
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// syncSegments syncs seg up to end and the old ones whole, which it closes.
func (l *Log) syncSegments(old []*segment, seg *segment, end int64) error {
	for _, s := range old {
		if err := s.sync(s.end); err != nil {
			return err
		}
	}
	if err := seg.sync(end); err != nil {
		return err
	}
	if len(old) == 0 {
		return nil
	}
	l.mu.Lock()
	l.old = l.old[len(old):]
	l.mu.Unlock()
	for _, s := range old {
		if err := s.close(); err != nil {
			return err
		}
	}
	return nil
}
