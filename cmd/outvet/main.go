// Command outvet vets what agents send out. Each verb has a file of its own;
// wire.go is the only list of parts.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"outvet/internal/sandbox"
)

// version is set by the linker of a release build.
var version = "0.1-dev"

func main() {
	sandbox.Hook() // does not return in stage 1 of a sandbox
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}
