package layer

import (
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	leastFold   = 6      // bytes of a folded run that are worth a layer
	leastHidden = 6      // tags or selectors; a flag has five
	keycap      = 0x20e3 // the mark around a digit that makes an emoji of it
	foldApart   = 64     // bytes between two folded words of one run
)

// A word counts what it is made of.
type word struct {
	ascii, digits int // ASCII letters and digits; digits
	dropped       int // shows nothing, between two characters of ASCII
	lookalikes    int // letters that look like ASCII
	compatibles   int
	accents       int
	marks         int
	selectors     int
	tags          int
	others        int // letters that fold to nothing
}

// hides reports whether the word was made to be read as another. What people
// write in their own scripts does not: a word that mixes ASCII with letters
// that look like it does, and a word of nothing but look-alikes if it is long.
func (w *word) hides() bool {
	all := w.ascii + w.lookalikes + w.compatibles + w.accents
	switch {
	case w.dropped > 0, w.tags > 0, w.selectors >= 4:
		return true
	case w.compatibles >= 2, w.compatibles == 1 && w.ascii >= leastFold && w.others == 0:
		return true
	case w.lookalikes > 0 && w.others == 0 && (w.ascii > 0 || all >= 10):
		return true
	case w.lookalikes > 0 && w.ascii+w.compatibles >= 4*w.others && w.ascii >= leastFold:
		return true
	}
	return w.accents+w.marks > 0 && w.others == 0 && all >= 10 && (w.digits > 0 && w.ascii > 0 || w.marks >= 4)
}

// fold emits the runs of text that look like ASCII and are not.
func (f *finder) fold(text []byte) {
	p := highFrom(text, 0)
	if p < 0 {
		return
	}
	table := foldingTable()
	start, end := -1, 0 // the run in f.out; start is -1 if there is none
	for floor := 0; p >= 0; p = highFrom(text, floor) {
		r, n := utf8.DecodeRune(text[p:])
		if fo := table.of(r); fo.kind == wall || fo.kind == blank || r == utf8.RuneError && n == 1 {
			floor = p + n // it folds to itself and ends a word
			continue
		}
		s := wordStart(text, floor, p)
		if start >= 0 && s-end > foldApart {
			f.giveFold(start, end)
			start = -1
		}
		if start < 0 {
			f.out, f.at, end = f.out[:0], f.at[:0], s
		}
		n = len(f.out)
		f.copy(text, end, s)
		var w word
		floor, w = f.foldWord(text, s, table)
		if w.tags+w.selectors >= leastHidden {
			f.giveHidden(text, s, floor)
		}
		switch {
		case w.hides():
			if start < 0 {
				start = s
			}
			end = floor
		case start >= 0:
			f.out, f.at = f.out[:n], f.at[:min(n, len(f.at))]
		}
	}
	if start >= 0 {
		f.giveFold(start, end)
	}
}

func (f *finder) giveFold(start, end int) {
	if len(f.out) >= leastFold {
		f.give("fold", start, end, f.out, false)
	}
}

// giveHidden emits what the tag characters and variation selectors in
// text[s:e] say by themselves. They cannot be seen, so what they are written
// into may be any text. There are 128 of the ones and 256 of the others: a
// character or a byte each.
func (f *finder) giveHidden(text []byte, s, e int) {
	f.bytes = f.bytes[:0]
	from, to := -1, 0
	for i := s; i < e; {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if fo := foldingTable().of(r); fo.kind == tag && class[fo.to]&inText != 0 || fo.kind == selector {
			if from < 0 {
				from = i
			}
			f.bytes, to = append(f.bytes, fo.to), i+n
		}
		i += n
	}
	if len(f.bytes) >= leastHidden {
		f.give("hidden", from, to, f.bytes, false)
	}
}

// foldWord appends the word that begins at text[i], folded, to f.out. It
// returns its end and what it is made of.
func (f *finder) foldWord(text []byte, i int, table *foldings) (int, word) {
	var w word
	dst := f.out
	visible := false // the last character that shows is ASCII
	hidden := 0      // characters that do not show behind it
	n := 0
	for last := false; i < len(text) && !last; i += n {
		c := text[i]
		if c < utf8.RuneSelf {
			if class[c]&inSpace != 0 {
				break
			}
			w.countASCII(c)
			w.dropped += hidden
			dst, visible, hidden = append(dst, c), true, 0
			n = 1
		} else {
			var r rune
			r, n = utf8.DecodeRune(text[i:])
			fo := table.of(r)
			switch {
			case fo.kind == wall, fo.kind == blank, r == utf8.RuneError && n == 1:
				dst, last = append(dst, text[i:i+n]...), true
			default:
				dst = w.count(dst, text[i:i+n], r, fo)
			}
			switch {
			case fo.kind == dropped && visible:
				hidden++
			case fo.kind != dropped && fo.kind != mark && fo.kind != selector:
				visible, hidden = false, 0
			}
		}
		if f.tracks {
			for len(f.at) < len(dst) {
				f.at = append(f.at, i)
			}
		}
	}
	f.out = dst
	return i, w
}

func (w *word) countASCII(c byte) {
	switch {
	case '0' <= c && c <= '9':
		w.digits++
		w.ascii++
	case class[c]&inWord != 0 && c != '_':
		w.ascii++
	}
}

// count counts r, which is src in the text, and appends what it becomes to dst.
func (w *word) count(dst, src []byte, r rune, fo folding) []byte {
	switch fo.kind {
	case dropped:
		return dst
	case lookalike:
		if class[fo.to]&inWord != 0 {
			w.lookalikes++
		}
	case compatible:
		w.compatibles++
	case accented:
		w.accents++
	case mark:
		if len(dst) == 0 || dst[len(dst)-1] >= utf8.RuneSelf {
			return append(dst, src...)
		}
		w.marks++
		if c := dst[len(dst)-1]; r != keycap && (class[c]&inWord == 0 || c <= '9' || c == '_') {
			w.dropped++ // no script puts a mark there
		}
		return dst
	case selector:
		w.selectors++
		return dst
	case tag:
		if class[fo.to]&inText == 0 {
			return dst
		}
		w.tags++
	case special:
		return norm.NFKC.Append(dst, src...)
	case letter:
		w.others++
		return append(dst, src...)
	default:
		return append(dst, src...)
	}
	return append(dst, fo.to)
}
