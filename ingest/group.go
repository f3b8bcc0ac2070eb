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

// storeDeletion stores a delete call once more, for its user's track and page calls, which have a log of their own.
func (in *intake) storeDeletion(r segment.Received, lane string) {
	if !in.source.erase || r.Type != segment.Delete {
		return
	}
	r.MessageID += segment.ActivitiesHalf
	if in.store(r, lane); !in.full {
		e := &in.entries[len(in.entries)-1]
		e.Activity, e.Erases = true, true
	}
}

// storePrevious stores an alias call in the lane of its previousId too, before the call itself.
func (in *intake) storePrevious(r segment.Received) {
	if !in.source.aliases {
		return
	}
	if previous, ok := r.Previous(); ok {
		in.store(previous, previous.Lane())
	}
}
