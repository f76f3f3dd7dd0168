package wsframe

// A Walker follows the frames of a server without holding them. The zero value
// is ready; it belongs to one goroutine.
type Walker struct {
	Deflate bool // permessage-deflate was agreed on; set before the first Next

	order order
	left  int64 // bytes of the frame that are to come
}

// Next returns how many bytes of b belong to the frame under way, or to the
// one that begins there: its end at most. It is 0 if the frame's header is not
// whole in b. The error is a *Fault: that frame must not be passed on.
func (w *Walker) Next(b []byte) (int, error) {
	n := 0
	if w.left == 0 {
		h, used, err := Parse(b)
		if used == 0 || err != nil {
			return 0, err
		}
		w.order.deflate = w.Deflate
		if err := w.order.take(&h); err != nil {
			return 0, err
		}
		n, w.left = used, h.Length
	}
	m := min(w.left, int64(len(b)-n))
	w.left -= m
	return n + int(m), nil
}

// Between reports whether no frame is under way, so that one may be put in.
func (w *Walker) Between() bool { return w.left == 0 }

// Inside reports whether a message is under way: only control frames may be put
// in between its frames.
func (w *Walker) Inside() bool { return w.order.inside }

// Closed reports whether the server has sent a Close frame, after which nothing
// may come.
func (w *Walker) Closed() bool { return w.order.closed }
