package sandbox

import (
	"slices"
	"strings"
	"time"
)

// store holds the contacts. It has no lock of its own: the Sandbox's guards it.
type store struct {
	contacts map[int64]*contact // also those in the recycle bin, not the forgotten ones
	order    []int64            // all ids ever given, ascending

	// live contacts by what must be unique; an account can be told that addresses need not be
	byMobile, byExternal map[string]int64
	byEmail              map[string][]int64

	nextID, nextEmailID int64

	lag     time.Duration
	pending []pendingWrite // writes that lookups may not see yet, oldest first

	accounts      map[int64]*salesAccount // also those that are deleted, not the forgotten ones
	byAccount     map[string]int64        // live ones by accountKey
	nextAccountID int64

	log     *stateLog
	history map[int64][]Snapshot // nil: not kept
	changes changeLog
}

// pendingWrite is a write on its way into the index.
type pendingWrite struct {
	id     int64
	before *contact // what lookups see until then, nil if there was no contact
	until  time.Time
}

func openStore(opt Options) (*store, error) {
	st := &store{
		contacts: map[int64]*contact{},
		byEmail:  map[string][]int64{}, byMobile: map[string]int64{}, byExternal: map[string]int64{},
		nextID: firstContactID, nextEmailID: firstEmailID,
		accounts: map[int64]*salesAccount{}, byAccount: map[string]int64{}, nextAccountID: firstAccountID,
		lag:     opt.IndexLag,
		changes: changeLog{writes: map[string]int64{}},
	}
	if opt.History {
		st.history = map[int64][]Snapshot{}
	}
	if opt.Changes {
		st.changes.of = map[int64][]change{}
	}
	if opt.StateFile == "" {
		return st, nil
	}
	states, err := readStates(opt.StateFile)
	if err != nil {
		return nil, err
	}
	for _, state := range states {
		if state.Account != nil {
			st.placeAccount(nil, state.Account)
		} else {
			st.place(nil, state.contact)
		}
	}
	st.log, err = openStateLog(opt.StateFile, states)
	return st, err
}

// put stores a new state in place of before (nil: a new contact), on disk first. in is what the request sent.
func (st *store) put(before, c *contact, snapshot Snapshot, in map[string]any) error {
	if err := st.log.append(stateLine{contact: c}); err != nil {
		return err
	}
	st.place(before, c)
	if st.lag > 0 {
		st.pending = append(st.pending, pendingWrite{id: c.ID, before: before, until: snapshot.At.Add(st.lag)})
	}
	st.changes.record(before, c, snapshot, in)
	if st.history != nil {
		snapshot.Contact = c.public()
		st.history[c.ID] = append(st.history[c.ID], snapshot)
	}
	return nil
}

// place puts the state into the maps and keeps the counters ahead of every id.
func (st *store) place(before, c *contact) {
	if before.live() {
		st.index(before, 0)
	}
	if c.live() {
		st.index(c, c.ID)
	}
	if before == nil {
		st.order = append(st.order, c.ID)
	}
	st.contacts[c.ID] = c
	if c.Forgotten {
		delete(st.contacts, c.ID)
	}
	st.nextID = max(st.nextID, c.ID+1)
	for _, e := range c.Emails {
		st.nextEmailID = max(st.nextEmailID, e.ID+1)
	}
}

// putAccount stores a new state of a sales account, on disk first.
func (st *store) putAccount(before, a *salesAccount) error {
	if err := st.log.append(stateLine{Account: a}); err != nil {
		return err
	}
	st.placeAccount(before, a)
	return nil
}

func (st *store) placeAccount(before, a *salesAccount) {
	if before != nil && !before.Deleted { // the name of a deleted one may be another's by now
		delete(st.byAccount, accountKey(before.name()))
	}
	if !a.Deleted {
		st.byAccount[accountKey(a.name())] = a.ID
	}
	st.accounts[a.ID] = a
	if a.Forgotten {
		delete(st.accounts, a.ID)
	}
	st.nextAccountID = max(st.nextAccountID, a.ID+1)
}

// index points the contact's unique values at id; 0 frees them for others.
func (st *store) index(c *contact, id int64) {
	if key := emailKey(c.email()); id != 0 && key != "" {
		st.byEmail[key] = append(st.byEmail[key], id)
	} else if left := slices.DeleteFunc(st.byEmail[key], func(other int64) bool { return other == c.ID }); len(left) > 0 {
		st.byEmail[key] = left
	} else {
		delete(st.byEmail, key)
	}
	for _, entry := range []struct {
		of  map[string]int64
		key string
	}{
		{st.byMobile, c.text("mobile_number")},
		{st.byExternal, c.text("external_id")},
	} {
		if id == 0 {
			delete(entry.of, entry.key)
		} else if entry.key != "" {
			entry.of[entry.key] = id
		}
	}
}

// emailKey is what addresses are compared by. Source: duplicates differing in case only are refused (seen live).
func emailKey(address string) string { return strings.ToLower(address) }

// unique finds the live contact with this value of a unique field, nil if there is none. Of several with one address it is the
// one that has had it longest (inferred).
func (st *store) unique(field, value string) *contact {
	var id int64
	switch field {
	case "emails":
		if ids := st.byEmail[emailKey(value)]; len(ids) > 0 {
			id = ids[0]
		}
	case "mobile_number":
		id = st.byMobile[withoutSeparators(value)]
	case "external_id":
		id = st.byExternal[value]
	}
	if value == "" || id == 0 {
		return nil
	}
	return st.contacts[id]
}

func (st *store) newEmailID() int64 {
	st.nextEmailID++
	return st.nextEmailID - 1
}

// stale maps ids to the state that lookups still see at now, for contacts written within the lag: the state before the
// oldest write that is still on its way.
func (st *store) stale(now time.Time) map[int64]*contact {
	for len(st.pending) > 0 && !st.pending[0].until.After(now) {
		st.pending = st.pending[1:]
	}
	seen := make(map[int64]*contact, len(st.pending))
	for _, write := range st.pending {
		if _, older := seen[write.id]; !older {
			seen[write.id] = write.before
		}
	}
	return seen
}
