package wsframe

// An order is what may come next in one direction (RFC 6455 §5.4).
type order struct {
	masked  bool // as a client must, and a server must not
	deflate bool // permessage-deflate was agreed on
	inside  bool // a message was begun and is not over
	closed  bool // a Close frame came
}

// take notes a frame, or says what is wrong with its place.
func (o *order) take(h *Header) error {
	switch {
	case h.Masked != o.masked && o.masked:
		return wrong("a frame of the client is not masked")
	case h.Masked != o.masked:
		return wrong("a frame of the server is masked")
	case h.Compressed && (!o.deflate || h.Op.Control() || h.Op == Continuation):
		return wrong("a frame is marked as compressed that must not be")
	case h.Op == Continuation && !o.inside:
		return wrong("a continuation continues nothing")
	case (h.Op == Text || h.Op == Binary) && o.inside:
		return wrong("a message begins inside another")
	}
	if h.Op == Close {
		o.closed = true
	}
	if !h.Op.Control() {
		o.inside = !h.Fin
	}
	return nil
}
