// Package record keeps the tamper-evident log.
package record
