package gate

// Lend asks for the memory that a message of a long-lived stream takes while a
// listener holds it whole: size bytes in all, not more of them. It waits a while
// where memory is short, and reports false if there is none. It belongs to the
// goroutine that opened the call.
func (p *Passage) Lend(size int64) bool {
	p.loan.m = p.g.Memory
	return p.loan.grow(p.live, size, p.g.patience())
}

// Repay gives back what Lend gave. Close does it, too.
func (p *Passage) Repay() { p.loan.repay() }
