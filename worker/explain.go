package worker

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// afterAll is the position of the first explained call: it comes after everything that is in the log.
const afterAll = 1 << 62

// OutcomeUnknown is that of an explained call of which nothing can be said with what is at hand.
const OutcomeUnknown = "unknown"

// Reasons of calls that the door drops, as ingest counts them; those of track and page calls are mapping's.
const (
	dropScreen      mapping.Reason = "screen"
	dropInvalidType mapping.Reason = "invalid_type"
)

// Forward says whether a source's track or page call of that name ("" if it has none) is let in.
type Forward func(source string, typ segment.Type, name string) bool

// Explainer says what calls would do, without doing it. Each call is taken by itself, after those before it.
type Explainer struct {
	Fields   *mapping.Catalogue
	Accounts *mapping.Catalogue // the fields of sales accounts; nil: not at hand
	Options  mapping.Options
	// Record is what is remembered of a lane (mapping.Options.Lane). nil: nothing of anybody.
	Record     func(ctx context.Context, lane string) (mapping.Record, error)
	Custom     CustomFields // what is known of the account's custom fields
	UpdateOnly bool         // no contact is created
	Deletion   Deletion
	Now        time.Time
	// Activities says what track and page calls become, and Forward which of a source's are let in; nil: none is.
	Activities mapping.Activities
	Forward    Forward

	plan *planner // that of a running pool; nil: of what is above
}

// Explain explains the calls of one source, as a webhook would bring them: JSON objects of Segment's spec. A call that is several
// entries of the log (a group call of a user and a company, an alias call) has an explanation for each, in their order. It returns
// the records as they would be then, by lane. Errors are those of Record.
func (e Explainer) Explain(ctx context.Context, source string, bodies [][]byte) ([]mapping.Explanation, map[string]mapping.Record, error) {
	pl, records := e.planner(), map[string]mapping.Record{}
	var list []mapping.Explanation
	for i, body := range bodies {
		received, dropped := e.receive(source, body)
		if dropped != "" {
			x := mapping.Explained(nil, mapping.Record{}, mapping.Call{}, mapping.Outcome{}, mapping.Change{})
			x.MessageID, x.Type, x.UserID, x.Source = received.MessageID, string(received.Type), received.UserID, source
			x.Outcome, x.Reason = metrics.OutcomeDropped, dropped
			list = append(list, x)
			continue
		}
		for _, entry := range e.entries(received) {
			lane := e.Options.Lane(entry)
			x, record, err := pl.explain(ctx, lane, entry, afterAll+uint64(i)*2)
			if err != nil {
				return nil, nil, err
			}
			list, records[lane] = append(list, x), record
		}
	}
	return list, records, nil
}

// receive is what the door makes of a call, or why it drops it.
func (e Explainer) receive(source string, body []byte) (r segment.Received, dropped mapping.Reason) {
	r = segment.Received{Source: source, Surface: segment.SurfaceWebhook, At: e.Now, Type: segment.Identify, Body: body}
	o, err := segment.ParseObject(body)
	if err != nil {
		return r, "" // Event says so too
	}
	r.MessageID, r.UserID = segment.ID(o.Get("messageId")), segment.ID(o.Get("userId"))
	if text := segment.Text(o.Get("type")); text != "" { // without one it is taken for an identify, whose path says so
		var ok bool
		if r.Type, ok = segment.ParseType(text); !ok {
			return r, dropInvalidType
		}
	}
	switch {
	case r.Type == segment.Screen:
		return r, dropScreen
	case r.Type.Happens() && (e.Forward == nil || !e.Forward(source, r.Type, r.Type.Named(o))):
		return r, mapping.ReasonNotForwarded
	}
	return r, ""
}

// entries are those of the log that the door makes of a call, but for the one that erases letters of track and page calls.
func (e Explainer) entries(r segment.Received) []segment.Received {
	if previous, ok := r.Previous(); ok && e.Options.Aliases {
		return []segment.Received{previous, r}
	}
	if account, ok := r.Account(); ok && e.Options.Accounts {
		if e.Options.Lane(r) == "" {
			return []segment.Received{account}
		}
		return []segment.Received{account, r}
	}
	return []segment.Received{r}
}

func (e Explainer) planner() *planner {
	if e.plan != nil {
		return e.plan
	}
	return &planner{
		options: e.Options, deletion: e.Deletion, activities: e.Activities, updateOnly: e.UpdateOnly, now: e.Now, contacts: e.Fields, accounts: e.Accounts,
		customs: func(string) CustomFields { return e.Custom },
		token:   func(lane string) string { return lane },
		record: func(ctx context.Context, lane string, activities bool) (mapping.Record, error) {
			if e.Record == nil || activities {
				return mapping.Record{}, nil
			}
			return e.Record(ctx, lane)
		},
	}
}

// explain plans one entry and says what becomes of its traits.
func (pl *planner) explain(ctx context.Context, lane string, r segment.Received, position uint64) (mapping.Explanation, mapping.Record, error) {
	if r.Type == segment.Previous || r.Type == segment.Account {
		position-- // comes before its other half
	}
	c := call{received: r, position: position, item: position}
	c.event, c.broken = r.Event()
	user := pl.token(lane)
	record, err := pl.beside(ctx, user, math.MaxUint64)
	if err != nil {
		return mapping.Explanation{}, record, err
	}
	var list []plan
	next := record
	if r.Type.Happens() {
		var before mapping.Record
		if before, err = pl.record(ctx, user, true); err == nil {
			list, _, err = pl.happening(ctx, user, before, []call{c})
		}
	} else {
		list, next, err = pl.lane(ctx, user, record, []call{c})
		pl.settled(user, next)
	}
	if err != nil {
		return mapping.Explanation{}, record, err
	}
	return list[0].explained(pl, r), next, nil
}

// explained puts what would become of a single call in the words of mapping.
func (p *plan) explained(pl *planner, r segment.Received) mapping.Explanation {
	c, fields := p.calls[0], pl.contacts
	if p.company {
		fields = pl.accounts
	}
	x := mapping.Explained(fields, p.before, mapping.Call{Event: c.event}, c.outcome, p.result.Change)
	x.Type, x.Source = string(r.Type), r.Source
	f := c.fate("")
	x.Outcome, x.Reason, x.Note = f.outcome, mapping.Reason(f.reason), p.note
	if x.Requests = append(x.Requests, p.requests...); p.unknown {
		x.Outcome = OutcomeUnknown
	}
	if f.outcome == queue.Discarded {
		x.Requests, x.Note = []mapping.Request{}, ""
	}
	return x
}

// ContactFields are the account's fields and when they were read; none while they are not known.
func (p *Pool) ContactFields() ([]mapping.Field, time.Time) {
	have := p.catalogue.current.Load()
	if have == nil {
		return nil, time.Time{}
	}
	return have.list, have.at
}

// Explain says what calls of a source would do now, with what is remembered of their users.
func (p *Pool) Explain(ctx context.Context, source string, calls [][]byte) ([]mapping.Explanation, error) {
	e := Explainer{Options: p.cfg.Mapping, Forward: p.cfg.Forward, Now: time.Now(), plan: p.planner()}
	if have := p.catalogue.current.Load(); have != nil {
		e.plan.contacts = have.fields
	}
	for _, body := range calls {
		if r, _ := e.receive(source, body); r.Type == segment.Group && p.cfg.Mapping.Accounts {
			if err := p.planAccounts(ctx, e.plan); err != nil {
				return nil, err
			}
		}
	}
	list, _, err := e.Explain(ctx, source, calls)
	return list, err
}

// planner plans with what the pool knows, but for the account's fields.
func (p *Pool) planner() *planner {
	return &planner{
		options: p.cfg.Mapping, deletion: p.cfg.Deletion, activities: p.cfg.Activities, updateOnly: p.cfg.UpdateOnly, now: time.Now(),
		customs: p.customs.mode, token: p.store.User, kinds: p.kinds, events: p.events, noFields: ReasonExhausted, aside: p.identifyAside,
		record: func(ctx context.Context, user string, activities bool) (mapping.Record, error) {
			if activities {
				return p.state(ctx, "activity."+user)
			}
			return p.remembered(ctx, user)
		},
	}
}

// planAccounts gives a planner the fields of sales accounts, if they can be read.
func (p *Pool) planAccounts(ctx context.Context, pl *planner) (err error) {
	if pl.accounts != nil {
		return nil
	}
	if pl.accounts = p.accounts.fieldsNow(); pl.accounts == nil {
		if pl.accounts, err = p.accounts.catalogue.tryFirst(ctx, ctx); apiError(err) != nil {
			return nil // it says so of the calls
		}
	}
	return err
}

// fieldsNow are the fields of sales accounts, nil while they are not known.
func (a *accounts) fieldsNow() *mapping.Catalogue {
	if have := a.catalogue.current.Load(); have != nil {
		return have.fields
	}
	return nil
}

// remembered is a user's record as the next change would begin with it.
func (p *Pool) remembered(ctx context.Context, user string) (mapping.Record, error) {
	record, err := p.recorded(ctx, user)
	if err != nil {
		return mapping.Record{}, err
	}
	record.ForgetSentUntil(p.resyncs.since(user))
	if len(record.Aliased) > 0 && !record.Given {
		heir, _, _, err := p.heir(ctx, user, &record)
		if err != nil {
			return mapping.Record{}, err
		}
		record.Given = heir != ""
	}
	return record, nil
}

// recorded is a user's record as it is stored.
func (p *Pool) recorded(ctx context.Context, user string) (mapping.Record, error) {
	return p.state(ctx, "user."+user)
}

// state is a record under its key.
func (p *Pool) state(ctx context.Context, key string) (mapping.Record, error) {
	data, _, err := p.store.State(ctx, key)
	if err != nil {
		return mapping.Record{}, err
	}
	record, err := mapping.DecodeRecord(data)
	if err != nil {
		return mapping.Record{}, fmt.Errorf("%s: %w", key, err)
	}
	return record, nil
}

// readOnce reads what a contact has; ok is false if that cannot be done soon.
func (p *Pool) readOnce(ctx context.Context, id string) (c freshmarketer.Contact, there, ok bool) {
	limited, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	pass, _, err := p.gate.enter(limited, classSystem, 1)
	if err != nil {
		return c, false, false
	}
	defer pass.leave()
	if pass.admit() != nil {
		return c, false, false
	}
	c, err = p.cfg.Client.GetContact(ctx, id)
	pass.reportRead("", err)
	return c, err == nil, err == nil || freshmarketer.KindOf(err) == freshmarketer.KindGone
}
