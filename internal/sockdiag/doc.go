// Package sockdiag asks the kernel about one TCP connection of this machine: which
// socket is the client's end, and whether any program still holds it. The answer
// comes from sock_diag(7) at once, and does not cost more where there are many
// sockets, as reading /proc/net/tcp does.
package sockdiag
