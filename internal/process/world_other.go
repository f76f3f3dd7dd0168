//go:build !linux

package process

// world is empty: how other systems tell is not known here.
type world struct{}

func (*world) begin(int, Sockets) {}
func (*world) end() error         { return nil }
func (*world) pass(batch []*Search) ([]*Search, int) {
	for _, s := range batch {
		s.end(Chain{}, "processes cannot be looked up on this system")
	}
	return nil, 0
}
