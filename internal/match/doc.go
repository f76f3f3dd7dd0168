// Package match finds all patterns of all inspectors in one pass over a text.
package match
