package queue

import (
	"sync"
	"time"
)

// standing is this process's right to a partition, which its two logs share: the lease, and the failure that ends both.
type standing struct {
	failed chan struct{} // closed on an error after which this process must not go on
	fence  letterFence   // of a partition's letters, both logs'; without a lease nobody asks for it

	mu       sync.Mutex
	err      error
	lease    *lease // nil with an embedded broker
	renewing bool   // a renewal is on its way to the committer
}

// Failed is closed when the store can no longer be trusted by this process; Err says why.
func (st *standing) Failed() <-chan struct{} { return st.failed }

// Err is the reason why the partition failed, or nil.
func (st *standing) Err() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.err
}

func (st *standing) fail(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err == nil {
		st.err = err
		close(st.failed)
	}
}

// held is a copy of the lease, nil with an embedded broker, and its holder.
func (st *standing) held() (*lease, holder) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.lease == nil {
		return nil, holder{}
	}
	l := *st.lease
	return &l, l.holder
}

// toRenew says that a renewal is due and none is on its way; from then on one is.
func (st *standing) toRenew() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	due := st.err == nil && st.lease.due(time.Now()) && !st.renewing
	st.renewing = st.renewing || due
	return due
}

func (st *standing) renewalAnswered() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.renewing = false
}
