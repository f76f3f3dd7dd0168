package gate

import "sync"

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

// A debt is the loan of a body that another goroutine reads than the one that
// closes the call.
type debt struct {
	// mu keeps who borrows and who ends the call apart.
	mu   sync.Mutex
	loan loan
	over bool
}

// lend asks for the memory that the messages of a body take while they are held.
func (p *Passage) lend(size int64) bool {
	d := &p.debt
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return false
	}
	if size <= free {
		d.loan.repay()
		return true
	}
	d.loan.m = p.g.Memory
	return d.loan.grow(p.live, size, p.g.patience())
}

func (d *debt) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.loan.repay()
}
