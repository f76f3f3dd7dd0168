// Package xconnect lets the HTTP/2 server of net/http take extended CONNECT
// (RFC 8441), on which WebSockets over HTTP/2 begin.
//
// net/http can do it but offers it only where GODEBUG holds http2xconnect=1
// when its package is initialised; a //go:debug line does not reach that. The
// other ways are worse: to start the program again with the variable, to
// reach for a private variable with linkname, or to rewrite frames, for which
// every header of every request would have to be decoded and encoded again.
//
// So the variable is set before net/http looks, and as it was right after:
//
//	xconnect    sets it; it imports os alone
//	net/http    looks at it
//	a listener  calls Settle when its own package is initialised, later than
//	            net/http because it imports that
//
// Packages are initialised in the order of their paths once what they import is
// (Go specification, Program initialization). net/http waits for packages
// below vendor/, which sort after this one, so that this one comes first. A test
// of the proxy holds it: a client must see the offer.
package xconnect

import (
	"os"
	"strings"
)

const (
	variable = "GODEBUG"
	setting  = "http2xconnect="
)

// was is what the variable was, nil if it was left as it is.
var was = ask()

type value struct {
	text string
	set  bool
}

// ask asks for extended CONNECT unless whoever starts us has a word on it.
func ask() *value {
	text, set := os.LookupEnv(variable)
	if strings.Contains(text, setting) {
		return nil
	}
	more := setting + "1"
	if text != "" {
		more = text + "," + more
	}
	if os.Setenv(variable, more) != nil {
		return nil
	}
	return &value{text, set}
}

// Settle restores the environment: it is that of the programs that we start,
// too. It reports whether extended CONNECT was asked for. It is called while
// packages are initialised, and not after.
func Settle() bool {
	switch {
	case was == nil:
		return strings.Contains(os.Getenv(variable), setting+"1")
	case was.set:
		os.Setenv(variable, was.text)
	default:
		os.Unsetenv(variable)
	}
	return true
}
