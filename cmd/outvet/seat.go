package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// A seat is the file "console" in the state directory: it holds the address of the
// check API, and its lock is held by the one outvet serve of that state. Commands
// that ask it find it so; the address that one left behind when it crashed may be
// somebody else's by now, who must not get the token.
type seat struct{ f *os.File }

// glance is how long a command that looks who serves may hold the lock.
const glance = 200 * time.Millisecond

func (s state) seatFile() string { return s.path("console") }

// sit takes the seat, or says who has it.
func (s state) sit() (*seat, error) {
	for end := time.Now().Add(glance); ; time.Sleep(5 * time.Millisecond) {
		f, err := os.OpenFile(s.seatFile(), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && leadsTo(s.seatFile(), f) {
			return &seat{f}, f.Truncate(0)
		}
		f.Close()
		switch {
		case err != nil && !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, fmt.Errorf("%s: %w", s.seatFile(), err)
		case err != nil && time.Now().After(end):
			addr, _ := os.ReadFile(s.seatFile())
			return nil, usage(fmt.Errorf("another outvet serves %s, with its console at %s", s, strings.TrimSpace(string(addr))),
				"end it first, or give this one a state directory of its own with --state DIR")
		}
	}
}

// leadsTo reports whether the file at path is f: who rises removes it.
func leadsTo(path string, f *os.File) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// say writes the address where the API is.
func (s *seat) say(addr string) error {
	_, err := s.f.WriteAt([]byte(addr+"\n"), 0)
	return err
}

// rise leaves the seat to the next. It may be called again.
func (s *seat) rise() {
	if s.f != nil {
		os.Remove(s.f.Name())
		s.f.Close()
		s.f = nil
	}
}

// taken reports whether another process holds the lock of f. Closing f ends the
// lock that asking takes.
func taken(f *os.File) bool {
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// served returns the address of the API of the outvet that serves s, if one does.
func (s state) served() (addr string, ok bool) {
	f, err := os.Open(s.seatFile())
	if err != nil {
		return "", false
	}
	defer f.Close()
	if !taken(f) {
		return "", false
	}
	b, err := os.ReadFile(s.seatFile())
	addr = strings.TrimSpace(string(b))
	return addr, err == nil && addr != ""
}
