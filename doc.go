// Package outvet holds the tests that look at the whole tree: the floors, the
// laws and the size of the house. It has no code of its own.
package outvet
