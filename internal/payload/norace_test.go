//go:build !race

package payload

const racing = false
