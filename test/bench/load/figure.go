package load

import (
	"math"
	"slices"
	"time"
)

// Median returns the middle of v, NaN if it is empty.
func Median(v []float64) float64 { return Percentile(v, 50) }

// Percentile returns the p-th percentile of v, interpolated; NaN if v is empty.
func Percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Clone(v)
	slices.Sort(s)
	at := p / 100 * float64(len(s)-1)
	low := int(at)
	if low+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[low] + (at-float64(low))*(s[low+1]-s[low])
}

// Micros is d in microseconds.
func Micros(d time.Duration) float64 { return float64(d) / 1e3 }
