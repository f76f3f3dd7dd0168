package record

// Lag returns how many entries are not yet under a signed checkpoint. Its cost is
// that of reading the newest one.
func (l *Log) Lag() (int64, error) {
	c, err := newest(l.feed.store)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.seg.next-c.size), nil
}
