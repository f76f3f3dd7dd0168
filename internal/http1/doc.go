// Package http1 reads and writes HTTP/1.1 messages (RFC 9112), strictly and as
// they came.
//
// # Laws
//
//  1. One framing. What a message means does not depend on who reads it: two
//     lengths, a length beside chunks, a coding other than chunked, a bare CR or
//     LF in a request, folded fields, spaces where none belong and control
//     characters are errors, not puzzles.
//  2. A subset of net/http, understood alike: where this package accepts a
//     message, net/http gives the same method, target, host, fields, body, trailer
//     and rest of the stream (FuzzRequest, FuzzResponse).
//  3. As it came. Names of fields keep their spelling and their order beside the
//     http.Header in which they are looked up; reasons of status lines are kept.
//     Nothing is added.
//
// Answers are read a little more leniently than requests, because what is
// written on is spelt anew: lines may end in a bare LF, the reason may be absent,
// and a length may be repeated with the same value.
//
// # Memory
//
// A Reader borrows its buffer when there is something to read and gives it back
// when it is empty, so that an idle connection holds none. A head is one string,
// from which names and values are cut.
//
// # Concurrency
//
// A Reader and the bodies read from it belong to one goroutine at a time.
package http1
