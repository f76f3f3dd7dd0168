package terminal

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// A kind is why something was held back.
type kind byte

const (
	_         kind = iota
	clipboard      // OSC 52 and the like
	links          // OSC 8
	folders        // OSC 7
	notices        // notifications
	reports        // answers that are typed
	windows        // moving and sizing
	printing       // CSI i
	c1             // C1 controls
	strings_       // DCS, APC, PM, SOS
	malformed
	controls // all else
	kinds
)

var kindNames = [kinds]string{"", "clipboard", "link", "folder", "notification", "report", "window", "printing", "C1 control", "string", "malformed", "other"}

func (f *Filter) hold(k kind) { f.held[k]++ }

// Held says what was held back and how often.
func (f *Filter) Held() map[string]int {
	m := map[string]int{}
	for k, n := range f.held {
		if n > 0 {
			m[kindNames[k]] = n
		}
	}
	return m
}

// mayEscape reports whether an escape sequence passes.
func mayEscape(seq []byte) bool {
	last := seq[len(seq)-1]
	switch len(seq) {
	case 2:
		// save, restore, keypad, index, next line, tab, reverse index, single shifts, what are you, reset, locking shifts
		return strings.IndexByte(`78=>DEHMNOZclmno|}~`, last) >= 0
	case 3:
		switch seq[1] {
		case '(', ')', '*', '+', '-', '.', '/': // character sets
			return true
		case '#': // line heights, test picture
			return strings.IndexByte("34568", last) >= 0
		}
	case 4:
		return strings.IndexByte("()*+", seq[1]) >= 0 && strings.IndexByte(`%"&`, seq[2]) >= 0 // character sets of two letters
	}
	return false
}

// A csi is a control sequence in parts.
type csi struct {
	prefix byte // one of <=>?, or 0
	params []byte
	inter  string
	final  byte
}

// parse takes a control sequence apart, without ESC [.
func parse(s []byte) (c csi, ok bool) {
	if len(s) == 0 {
		return c, false
	}
	c.final, s = s[len(s)-1], s[:len(s)-1]
	if len(s) > 0 && s[0] >= '<' && s[0] <= '?' {
		c.prefix, s = s[0], s[1:]
	}
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == ';' || s[n] == ':') {
		n++
	}
	c.params, s = s[:n], s[n:]
	for _, b := range s {
		if b > 0x2f {
			return c, false
		}
	}
	if len(s) > 1 {
		return c, false
	}
	c.inter = inters[:0]
	if len(s) == 1 {
		c.inter = inters[s[0]-0x20 : s[0]-0x20+1]
	}
	return c, true
}

// inters are the intermediates, so that one is a string without allocation.
const inters = " !\"#$%&'()*+,-./"

// numbers calls f with each parameter, of which an absent one is -1, and one that is
// too great 1<<20.
func (c csi) numbers(f func(int)) {
	n := -1
	for _, b := range c.params {
		if b < '0' || b > '9' {
			f(n)
			n = -1
			continue
		}
		n = min(max(n, 0)*10+int(b-'0'), 1<<20)
	}
	f(n)
}

// first returns the first parameter.
func (c csi) first() int {
	v, seen := -1, false
	c.numbers(func(n int) {
		if !seen {
			v, seen = n, true
		}
	})
	return v
}

func (c csi) each(ok func(int) bool) bool {
	all := true
	c.numbers(func(n int) { all = all && ok(n) })
	return all
}

// kind returns why c is held back, or 0.
func (c csi) kind() kind {
	switch c.inter {
	case "":
	case " ": // cursor shape, scroll left and right
		return pass(c.prefix == 0 && strings.IndexByte("q@A", c.final) >= 0, controls)
	case "!":
		return pass(c.prefix == 0 && c.final == 'p', controls) // soft reset
	case "$": // is that mode set; rectangles
		return pass((c.prefix == 0 || c.prefix == '?') && c.final == 'p' || c.prefix == 0 && strings.IndexByte("rtvxz{", c.final) >= 0, reports)
	case "#": // push and pop attributes
		return pass(c.prefix == 0 && strings.IndexByte("{}pq", c.final) >= 0, reports)
	case "*":
		return pass(c.prefix == 0 && c.final == 'x', reports)
	default:
		return controls
	}
	switch c.prefix {
	case 0:
		return c.kindOfANSI()
	case '?':
		switch c.final {
		case 'h', 'l', 's', 'r':
			return pass(c.each(mayMode), controls)
		case 'J', 'K', 'm', 'u', 'S', 'c', 'g':
			return 0
		case 'n': // where is the cursor, is the background dark
			return pass(c.first() == 6 || c.first() == 996, reports)
		}
	case '>': // what are you, keys, keyboard flags, version
		return pass(strings.IndexByte("cmnuqfp", c.final) >= 0, controls)
	case '=':
		return pass(c.final == 'c' || c.final == 'u', controls)
	case '<':
		return pass(c.final == 'u', controls)
	}
	return controls
}

// kindOfANSI is kind for sequences without prefix and intermediate.
func (c csi) kindOfANSI() kind {
	switch c.final {
	case 'i':
		return printing
	case 't':
		switch n := c.first(); n {
		case 11, 13, 14, 15, 16, 18, 19, 22, 23: // state, place and sizes; the stack of titles
			return 0
		case 20, 21:
			return reports
		}
		return windows
	case 'n':
		return pass(c.first() == 5 || c.first() == 6, reports)
	case 'h', 'l':
		return pass(c.each(func(n int) bool { return n == 4 || n == 20 }), controls) // insert, newline
	}
	return pass(strings.IndexByte("@ABCDEFGHIJKLMPSTXZ`abcdefgmrsu", c.final) >= 0, controls)
}

func pass(ok bool, else_ kind) kind {
	if ok {
		return 0
	}
	return else_
}

// mayMode reports whether the command may set and reset a private mode.
func mayMode(n int) bool {
	switch n {
	case 1, 3, 4, 5, 6, 7, 8, 9, 12, 25, 45, 47, 66, 69, 1015, 1016, 1034, 1036, 1039, 1042, 1047, 1048, 1049, 2004, 2026, 2027, 2031, 2048:
		return true
	}
	return n >= 1000 && n <= 1007
}

// asks reports whether the terminal answers c.
func (c csi) asks() bool {
	switch c.final {
	case 'c', 'n':
		return true
	case 'p':
		return c.inter == "$"
	case 't':
		return c.inter == "" && c.first() < 22
	case 'u', 'm', 'S', 'g':
		return c.prefix == '?'
	case 'q':
		return c.prefix == '>'
	}
	return false
}

// kindOfCommand returns why a command is held back, or 0, and whether the
// terminal answers it. s is without OSC and end.
func kindOfCommand(s []byte) (k kind, asks bool) {
	number, rest, _ := bytes.Cut(s, []byte(";"))
	switch string(number) {
	case "0", "1", "2", "":
		return pass(string(number) != "" && printable(rest), controls), false
	case "4", "5", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
		"104", "105", "110", "111", "112", "113", "114", "115", "116", "117", "118", "119":
		return pass(colour(rest), controls), bytes.IndexByte(rest, '?') >= 0
	case "7":
		return folders, false
	case "8":
		return links, false
	case "9":
		return pass(progress(rest), notices), false
	case "99", "777":
		return notices, false
	case "52", "5522":
		return clipboard, false
	}
	return controls, false
}

// printable reports whether s is text of one line.
func printable(s []byte) bool {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError && n == 1 || r < ' ' || r >= del && r < 0xa0 {
			return false
		}
		s = s[n:]
	}
	return true
}

// colour reports whether s has only what names and numbers of colours have.
func colour(s []byte) bool {
	for _, b := range s {
		if b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || strings.IndexByte(";:/#?,.-+% ", b) >= 0 {
			continue
		}
		return false
	}
	return true
}

// progress reports whether s is 4;STATE or 4;STATE;PERCENT.
func progress(s []byte) bool {
	if len(s) < 3 || len(s) > 7 || s[0] != '4' || s[1] != ';' {
		return false
	}
	for _, b := range s[2:] {
		if (b < '0' || b > '9') && b != ';' {
			return false
		}
	}
	return true
}
