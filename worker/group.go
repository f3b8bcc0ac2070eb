package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/segment"
)

// A group call is two entries of the log. The company's own, of type account, is in the company's lane: it has a record, with
// clocks, like a user, and its account is found or made by name. The user's, of type group, links the contact to that
// account, whose id it reads in the company's record. The two lanes may belong to different processes, so nothing but STATE
// goes from one to the other.

// accountName is the field that an account is found by.
const accountName = "name"

// maxAccounts bounds the ids of accounts in memory.
const maxAccounts = 50_000

// accounts is what the lanes share about sales accounts.
type accounts struct {
	catalogue *catalogue

	mu  sync.Mutex
	ids map[string]string // by company, as its record has it
	bad time.Time         // when the fields of accounts were last asked for in vain; zero: they are known, or were not asked for
}

func newAccounts(cfg Config, g *gate, log *zap.Logger) *accounts {
	return &accounts{ids: map[string]string{}, catalogue: &catalogue{
		ask: cfg.Client.AccountFields, make: mapping.NewAccountCatalogue, gate: g, metrics: cfg.Metrics, log: log,
		options: mapping.Options{Traits: cfg.Mapping.AccountTraits}, lock: make(chan struct{}, 1),
	}}
}

// company is the lane of a group call's company, "" for any other call. As a keyed hash it can stand in a user's record.
func (p *Pool) company(ev segment.Event) string { return tokens(p.store.User).company(ev) }

// know notes the id of a company's account; "" that there is none.
func (a *accounts) know(company, id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case id == "":
		delete(a.ids, company)
	case len(a.ids) < maxAccounts:
		a.ids[company] = id
	default:
		clear(a.ids) // what is needed comes again
		a.ids[company] = id
	}
}

func (a *accounts) id(company string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ids[company]
}

// fieldsFailed notes whether the fields of accounts can be read.
func (a *accounts) fieldsFailed(failed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bad = time.Time{}
	if failed {
		a.bad = time.Now()
	}
}

// stuck says that no account can be made at present, so no link should wait for one.
func (a *accounts) stuck() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.bad.IsZero()
}

// account says whether the turn is one of a company.
func (t *turn) account() bool {
	for _, c := range t.calls {
		if c.received.Type == segment.Account {
			return true
		}
	}
	return false
}

func (t *turn) catalogue() *catalogue {
	if t.account() {
		return t.p.accounts.catalogue
	}
	return t.p.catalogue
}

// fields are the account's, of contacts or of sales accounts. Without those of contacts nothing at all can be done, so
// everybody waits for them; for those of sales accounts no runner does: an account may well keep them from us.
func (t *turn) fields(cat *catalogue) (*mapping.Catalogue, error) {
	if cat == t.p.catalogue || cat.known() {
		return cat.get(t.waitCtx, t.callCtx)
	}
	fields, err := cat.tryFirst(t.waitCtx, t.callCtx)
	t.p.accounts.fieldsFailed(err != nil)
	return fields, err
}

// errResting says that the fields of sales accounts could not be read a moment ago.
var errResting = &freshmarketer.Error{
	Op: freshmarketer.OpAccountFields, Kind: freshmarketer.KindPermission, Text: "the fields of sales accounts could not be read a moment ago",
}

// rests is how long nobody asks for the fields again.
func (c *catalogue) rests() time.Duration { return time.Until(time.Unix(0, c.nextTry.Load())) }

// tryFirst reads the fields once, or takes those that somebody else has read meanwhile.
func (c *catalogue) tryFirst(waitCtx, callCtx context.Context) (*mapping.Catalogue, error) {
	select {
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-waitCtx.Done():
		return nil, context.Cause(waitCtx)
	}
	if have := c.current.Load(); have != nil {
		return have.fields, nil
	}
	if c.rests() > 0 {
		return nil, errResting
	}
	pass, _, err := c.gate.enter(waitCtx, classContact, 1)
	if err != nil {
		return nil, err
	}
	fields, err := c.read(callCtx, pass)
	if refused := apiError(err); refused != nil {
		c.nextTry.Store(time.Now().Add(max(catalogueRetry, refused.RetryAfter)).UnixNano())
		c.log.Warn("the fields of sales accounts cannot be read, so no group call can be delivered", zap.String("kind", string(freshmarketer.KindOf(err))))
	}
	return fields, err
}

// unmappable acts on calls of a company that cannot even be mapped because the fields of sales accounts cannot be read: a
// trouble like any other, for theirs must not hold the log for ever. again is as failed says it.
func (t *turn) unmappable(err error) (again bool, _ error) {
	if !t.account() || apiError(err) == nil && !errors.Is(err, errHeld) {
		return false, err
	}
	record := t.lane.record.Clone()
	for i := range t.calls {
		if c := &t.calls[i]; c.mapped() {
			c.outcome = mapping.Outcome{Delivered: true}
			record.Remember(c.received.Source, c.received.MessageID, c.received.At)
		}
	}
	t.result, t.counts = mapping.Result{Record: record}, true
	if errors.Is(err, errResting) {
		return false, t.rest()
	}
	return t.failed(err)
}

// rest has the lane come again when the fields may be asked for again. Nothing was asked, so there is nothing that a probe could
// tell of; and the turn did not get as far as the gate, so it must not simply be given back: it would come again at once.
func (t *turn) rest() error {
	l, held := t.lane, t.p.gate.idleFor()
	l.failed(t.p.cfg.Retry, held)
	if l.age(held) >= t.p.cfg.Retry.MaxAge {
		t.attempted(metrics.WaySingle, metrics.AttemptSetAside, errResting, 0)
		return t.settle(t.broken(), errResting, ReasonExhausted)
	}
	wait := t.p.accounts.catalogue.rests()
	t.attempted(metrics.WaySingle, metrics.AttemptRetry, errResting, wait)
	t.part.retryLater(l, wait)
	return nil
}

// accountNeeds is needs for an account.
func (t *turn) accountNeeds() int {
	change := t.result.Change
	switch custom := reads(change, t.p.customs.mode(freshmarketer.OpUpdateAccount)); {
	case t.lane.record.ContactID == "" && (hasCustom(change) || renames(change)), t.lane.record.ContactID != "" && custom:
		return 2
	}
	return 1
}

// renames says that a new account is to have another name than the one by which it is made.
func renames(c mapping.Change) bool {
	return slices.ContainsFunc(c.Fields, func(f mapping.FieldChange) bool { return f.Name == accountName && f.Value != c.MadeAs })
}

func hasCustom(c mapping.Change) bool {
	for _, f := range c.Fields {
		if f.Custom {
			return true
		}
	}
	return false
}

// sendAccount makes the change of a company's account and returns the record as it then is. An account that is not known is
// upserted by its first name: it may be there, made by people. Its custom fields are written in a second step, because an upsert
// may replace those that it does not name; repeated, both end the same. So is a newer name, once the account's id is committed: no
// later try would find it by the first name.
func (t *turn) sendAccount(w freshmarketer.ContactWrite) (mapping.Record, error) {
	account := freshmarketer.Contact{ID: t.lane.record.ContactID}
	var err error
	t.before = nil
	if account.ID == "" {
		name, newest := t.result.Change.MadeAs, w.Fields[accountName]
		w.Fields[accountName] = name
		if account, err = t.accountCall(freshmarketer.OpUpsertAccount, func(ctx context.Context) (freshmarketer.Account, error) {
			return t.p.cfg.Client.UpsertAccount(ctx, name, freshmarketer.AccountWrite{Fields: w.Fields})
		}); err != nil {
			return mapping.Record{}, err
		}
		w.Fields = nil
		if renames(t.result.Change) {
			record := t.lane.record.Clone()
			record.ForgetContact()
			record.ContactID = account.ID
			if err := t.keep(record, nil, nil); err != nil {
				return mapping.Record{}, err
			}
			w.Fields = freshmarketer.Fields{accountName: newest}
		}
	}
	if len(w.Fields)+len(w.Custom) > 0 {
		if account, err = t.updateAccount(account, w); err != nil {
			return mapping.Record{}, err
		}
	}
	record := t.result.Record
	record.ContactID = account.ID
	for _, f := range t.result.Change.Fields {
		got := account.Fields[f.Name]
		if f.Custom {
			got = account.Custom[f.Name]
		} else if f.Type != "text" || got == nil {
			continue // as with contacts
		}
		if f.Value != nil && !t.stored(f, got) {
			t.p.accounts.catalogue.doubt()
			t.leaveOut(f.Name, reasonNotStored)
			record.ForgetSent(f.Name)
		}
	}
	return record, nil
}

// updateAccount changes a known account, with the custom fields that it has unless the account keeps those by itself.
func (t *turn) updateAccount(account freshmarketer.Contact, w freshmarketer.ContactWrite) (freshmarketer.Contact, error) {
	id, client := account.ID, t.p.cfg.Client
	if len(w.Custom) > 0 && t.p.customs.mode(freshmarketer.OpUpdateAccount) != CustomFieldsMerge {
		if account.Custom == nil {
			var err error
			if account, err = t.accountCall(freshmarketer.OpGetAccount, func(ctx context.Context) (freshmarketer.Account, error) { return client.GetAccount(ctx, id) }); err != nil {
				return account, err
			}
		}
		t.before = account.Custom
		w.Custom = union(account.Custom, w.Custom)
	}
	return t.accountCall(freshmarketer.OpUpdateAccount, func(ctx context.Context) (freshmarketer.Account, error) {
		return client.UpdateAccount(ctx, id, freshmarketer.AccountWrite(w))
	})
}

// accountCall is call for sales accounts: what is looked at of a contact and of an account is the same.
func (t *turn) accountCall(op string, do func(context.Context) (freshmarketer.Account, error)) (freshmarketer.Contact, error) {
	return t.call(op, func(ctx context.Context) (freshmarketer.Contact, error) {
		a, err := do(ctx)
		return freshmarketer.Contact{ID: a.ID, Fields: a.Fields, Custom: a.Custom, Status: a.Status}, err
	})
}
