package call

import (
	"math/rand/v2"
	"time"
)

// An ID names one call: 20 characters of Crockford's base 32, of which the
// first ten are the time in milliseconds and the rest is random. IDs sort by
// time. An ID proves nothing by itself: any page can print one.
type ID string

const (
	alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	idLen    = 20
	shortLen = 6
)

// NewID returns a new ID for a call that starts at t. It allocates once.
func NewID(t time.Time) ID {
	var b [idLen]byte
	hi, lo := uint64(t.UnixMilli()), rand.Uint64()
	for i := idLen/2 - 1; i >= 0; i-- {
		b[i] = alphabet[hi&31]
		b[i+idLen/2] = alphabet[lo&31]
		hi, lo = hi>>5, lo>>5
	}
	return ID(b[:])
}

// Short returns the form that people read: the last six characters. Commands
// take any unambiguous tail of an ID.
func (id ID) Short() string {
	if len(id) <= shortLen {
		return string(id)
	}
	return string(id[len(id)-shortLen:])
}
