package worker

import (
	"context"
	"encoding/json"
	"sync"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/queue"
)

// identityKey is where STATE keeps what is known of how the account finds contacts.
const identityKey = "finding"

// identity is what the lanes share about finding contacts: what the account's API can do, which contacts are being
// adopted, and how many unknown users turned out to have one.
type identity struct {
	store *queue.Store
	log   *zap.Logger

	mu      sync.Mutex
	learnt  learntIdentity
	rev     uint64
	loaded  bool
	claims  map[string]string // contact id → lane that is about to adopt it
	existed int
	made    int
}

// learntIdentity is the stored form.
type learntIdentity struct {
	// UpsertByExternalID: nil while nothing is known. Nobody documents that the API takes this identifier; two clients
	// have been seen to use it.
	UpsertByExternalID *bool `json:"upsert_by_external_id,omitempty"`
}

func newIdentity(store *queue.Store, log *zap.Logger) *identity {
	return &identity{store: store, log: log, claims: map[string]string{}}
}

// load reads what an earlier run has learnt. Without it everything works, at the price of a few calls.
func (i *identity) load(ctx context.Context) {
	data, rev, err := i.store.State(ctx, identityKey)
	var learnt learntIdentity
	if err == nil && rev > 0 {
		err = json.Unmarshal(data, &learnt)
	}
	if err != nil {
		i.log.Warn("what is known of the account's ways to find contacts could not be read, it is learnt anew", zap.Error(err))
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.learnt, i.rev, i.loaded = learnt, rev, true
}

// upserts says whether an upsert by external_id is worth a call: it is known to work, or nothing is known.
func (i *identity) upserts() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.learnt.UpsertByExternalID == nil || *i.learnt.UpsertByExternalID
}

// learn remembers whether the API takes external_id as an identifier.
func (i *identity) learn(ctx context.Context, works bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if known := i.learnt.UpsertByExternalID; known != nil && *known == works {
		return
	}
	i.learnt.UpsertByExternalID = &works
	i.log.Info("learnt whether the API finds a contact by external_id in an upsert", zap.Bool("works", works))
	if !i.loaded {
		return // we do not know what is stored: another run learns it again
	}
	data, err := json.Marshal(i.learnt)
	if err == nil {
		i.rev, err = i.store.PutState(ctx, identityKey, data, i.rev)
	}
	if err != nil {
		i.loaded = false
		i.log.Warn("what was learnt of the account could not be stored, the next start learns it again", zap.Error(err))
	}
}

func (i *identity) claim(contact, lane string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if by, taken := i.claims[contact]; taken && by != lane {
		return false
	}
	i.claims[contact] = lane
	return true
}

func (i *identity) release(contact, lane string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.claims[contact] == lane {
		delete(i.claims, contact)
	}
}

// count notes that an unknown user turned out to have a contact, or not.
func (i *identity) count(existed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if existed {
		i.existed++
	} else {
		i.made++
	}
	if i.existed+i.made > lately {
		i.existed, i.made = i.existed/2, i.made/2
	}
}

// share is which part of the unknown users had a contact lately, 0 while too few were seen.
func (i *identity) share() float64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	const few = 20
	if i.existed+i.made < few {
		return 0
	}
	return float64(i.existed) / float64(i.existed+i.made)
}
