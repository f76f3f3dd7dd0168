// Package secret finds credentials in what leaves.
package secret
