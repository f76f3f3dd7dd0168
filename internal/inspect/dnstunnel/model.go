package dnstunnel

import (
	"math"
	"strings"
)

// symbols is the size of the alphabet: the end of a label, 26 letters, 10 digits,
// '-' and '_'.
const symbols = 39

// symbol returns the number of c, 0 if it is none of the alphabet.
func symbol(c byte) int {
	switch {
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 1
	case 'A' <= c && c <= 'Z':
		return int(c-'A') + 1
	case '0' <= c && c <= '9':
		return int(c-'0') + 27
	case c == '-':
		return 37
	case c == '_':
		return 38
	}
	return 0
}

// A bits is an amount of information in sixteenths of a bit.
type bits uint32

const (
	bit       bits = 16
	costMax        = 255 // of one symbol, in sixteenths
	foreign        = 10 * bit
	contexts2      = symbols * symbols
	contexts3      = contexts2 * symbols
)

// A row is what each symbol costs after one context.
type row [symbols]uint8

// A model says what labels cost: 4-grams of symbols, interpolated after Witten
// and Bell. Contexts of three symbols that were never seen share the row of
// their last two.
type model struct {
	rows []row
	at   [contexts3]uint16 // index into rows
}

// counts are how often a symbol came after the contexts of one length.
type counts []struct {
	n    uint32
	kind uint32 // different symbols
	of   [symbols]uint32
}

func (c counts) add(context, symbol int, weight uint32) {
	x := &c[context]
	if x.of[symbol] == 0 {
		x.kind++
	}
	x.of[symbol] += weight
	x.n += weight
}

// learn returns the model of labels, each with a weight.
func learn(labels func(yield func(label string, weight uint32) bool)) *model {
	order := [4]counts{make(counts, 1), make(counts, symbols), make(counts, contexts2), make(counts, contexts3)}
	size := [4]int{1, symbols, contexts2, contexts3}
	for label, w := range labels {
		context := 0
		emit := func(s int) {
			for o := range order {
				order[o].add(context%size[o], s, w)
			}
			context = (context*symbols + s) % contexts3
		}
		for i := range len(label) {
			emit(symbol(label[i]))
		}
		emit(0)
	}
	m := &model{rows: make([]row, contexts2, contexts2+contexts3/4)}
	var base [symbols]float64
	for i := range base {
		base[i] = 1.0 / symbols
	}
	order[0].mix(0, &base)
	p1 := make([][symbols]float64, symbols)
	for c := range p1 {
		p1[c] = base
		order[1].mix(c, &p1[c])
	}
	p2 := make([][symbols]float64, contexts2)
	for c := range p2 {
		p2[c] = p1[c%symbols]
		order[2].mix(c, &p2[c])
		m.rows[c] = price(&p2[c])
	}
	for c := range m.at {
		if m.at[c] = uint16(c % contexts2); order[3][c].n > 0 && len(m.rows) < math.MaxUint16 {
			p := p2[c%contexts2]
			order[3].mix(c, &p)
			m.at[c] = uint16(len(m.rows))
			m.rows = append(m.rows, price(&p))
		}
	}
	return m
}

// mix makes of p, the distribution after a shorter context, that after context.
func (c counts) mix(context int, p *[symbols]float64) {
	x := &c[context]
	if x.n == 0 {
		return
	}
	lambda := float64(x.n) / float64(x.n+x.kind)
	for s := range p {
		p[s] = lambda*float64(x.of[s])/float64(x.n) + (1-lambda)*p[s]
	}
}

func price(p *[symbols]float64) (r row) {
	for s := range p {
		r[s] = uint8(min(-math.Log2(p[s])*float64(bit), costMax) + 0.5)
	}
	return r
}

// label returns the code length of one label by the model.
func (m *model) label(s string) bits {
	context, sum := 0, bits(0)
	for i := range len(s) {
		c := symbol(s[i])
		if c == 0 {
			sum += foreign
			continue
		}
		sum += bits(m.rows[m.at[context]][c])
		context = (context*symbols + c) % contexts3
	}
	return sum + bits(m.rows[m.at[context]][0])
}

// cost returns what the labels of sub can say at most, joined by dots.
func (m *model) cost(sub string) (sum bits) {
	for label := range strings.SplitSeq(sub, ".") {
		if label != "" {
			sum += min(m.label(label), plain(label))
		}
	}
	return sum
}

// plain returns the code length of a label by the cheapest code that knows no
// words: digits, hexadecimal digits or anything, and the price of saying which.
func plain(label string) bits {
	decimal, hex, odd := true, true, bits(0)
	for i := range len(label) {
		switch c := label[i]; {
		case '0' <= c && c <= '9':
		case 'a' <= c && c <= 'f':
			decimal = false
		default:
			decimal, hex = false, false
			if symbol(c) == 0 {
				odd++
			}
		}
	}
	n := bits(len(label))
	switch {
	case decimal:
		return n*53 + 4*bit // log2 10 is 3.32
	case hex:
		return n*4*bit + 5*bit
	}
	return n*84 + 6*bit + odd*8*bit // 5.25
}
