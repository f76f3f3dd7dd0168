//go:build !race

package secret

const racing = false
