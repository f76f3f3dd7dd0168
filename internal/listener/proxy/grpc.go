package proxy

import (
	"errors"
	"net/http"
	"strconv"

	"golang.org/x/net/http2"

	"outvet/internal/answer"
)

// closeGRPC ends an answer of gRPC whose head is sent as gRPC ends it: by a
// trailer that says why. What the server says of its end does not count any
// more. It reports false for all others.
func (x *exchange) closeGRPC(err error, res *http.Response) bool {
	if x.c.Op.Protocol != "grpc" || x.r.ProtoMajor != 2 || res.ContentLength >= 0 || x.r.Context().Err() != nil {
		return false
	}
	res.Trailer = nil
	h := x.w.Header()
	if s := x.p.Stopped(); s != nil {
		a := answer.For(x.r, nil, &s.Decision, x.c)
		for _, name := range [...]string{"Grpc-Status", "Grpc-Message"} {
			h[http.TrailerPrefix+name] = a.Header[name]
		}
		return true
	}
	h[http.TrailerPrefix+"Grpc-Status"] = []string{strconv.Itoa(grpcStatus(err))}
	h[http.TrailerPrefix+"Grpc-Message"] = []string{ascii(x.out.Error, 200)} // has no byte that the server sent
	return true
}

// grpcStatus returns the status that a client of gRPC would make of how its
// server's stream ended (gRPC over HTTP2, Errors).
func grpcStatus(err error) int {
	const cancelled, permissionDenied, resourceExhausted, internal, unavailable = 1, 7, 8, 13, 14
	stream, ok := errors.AsType[http2.StreamError](err)
	if !ok {
		return unavailable
	}
	switch stream.Code {
	case http2.ErrCodeRefusedStream:
		return unavailable
	case http2.ErrCodeCancel:
		return cancelled
	case http2.ErrCodeEnhanceYourCalm:
		return resourceExhausted
	case http2.ErrCodeInadequateSecurity:
		return permissionDenied
	}
	return internal
}
