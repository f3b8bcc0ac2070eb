package ingest

import "github.com/freshrelay/freshrelay/segment"

// storeAccount stores what a group call says about its company, as an entry of the company's own lane, before the call itself.
// It returns true if that was all, because the call has no user. A repeat after half of it was stored does no harm: either
// lane knows the messageId.
func (in *intake) storeAccount(r segment.Received, lane string) (all bool) {
	if !in.source.accounts {
		return false
	}
	account, ok := r.Account()
	if !ok {
		return false
	}
	in.store(account, account.Lane())
	return lane == ""
}
