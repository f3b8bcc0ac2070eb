package worker

import "time"

// grant is leave to make a number of calls, soon. A grant without a quota is leave to make any number.
type grant struct {
	quota *quota
	block *block
	left  int
}

// spend begins one call. It reports false if none is left, or it was granted too long ago. Every call is ended by done.
func (g *grant) spend() bool {
	if g.quota == nil {
		return true
	}
	g.quota.mu.Lock()
	defer g.quota.mu.Unlock()
	if g.left == 0 || !time.Now().Before(g.block.end) {
		return false
	}
	g.left--
	g.block.made++
	g.block.flying++
	return true
}

// done ends a call.
func (g *grant) done() {
	if g.quota == nil {
		return
	}
	g.quota.mu.Lock()
	defer g.quota.mu.Unlock()
	g.block.flying--
	g.block.last = time.Now()
	g.quota.over(g.block)
}

// over lets those who wait look again when nothing more can come of a block: until then its calls count as not made yet.
func (q *quota) over(b *block) {
	if b != q.block && b.flying == 0 && b.granted == b.made {
		signal(q.wake)
	}
}

// unspend takes back a spend whose call was not made after all.
func (g *grant) unspend() {
	if g.quota == nil {
		return
	}
	g.quota.mu.Lock()
	defer g.quota.mu.Unlock()
	g.left++
	g.block.made--
	g.block.flying--
}

// giveBack returns the calls that were not made. It may be called twice.
func (g *grant) giveBack() {
	if g.quota == nil {
		return
	}
	g.quota.mu.Lock()
	defer g.quota.mu.Unlock()
	if g.left > 0 {
		g.block.granted -= g.left
		g.quota.cap.spend(-g.left)
		g.left = 0
		signal(g.quota.wake)
	}
}
