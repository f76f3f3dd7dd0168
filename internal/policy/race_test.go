//go:build race

package policy

// racing says that the race detector is on: pools forget and all is slow.
const racing = true
