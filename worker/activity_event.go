package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

const (
	attributesKey = "events" // in STATE: the types of the events' attributes
	// noEventsFor is how long no event is tried once the account has said for noEventsAfter that it takes none. A single 404 can be a
	// proxy's, or a deployment's: until then events wait, and one of them asks again every noEventsAgain.
	noEventsFor   = 24 * time.Hour
	noEventsAfter = 30 * time.Minute
	noEventsAgain = 10 * time.Minute
	// addressFor is how long a contact's address is believed, and addressesMax of how many it is kept.
	addressFor   = 10 * time.Minute
	addressesMax = 10_000
)

// events is what the pool knows for sending events: the types of their attributes, and the addresses of contacts.
type events struct {
	store   *queue.Store
	metrics *metrics.Metrics

	mu        sync.Mutex
	off       time.Time          // until then none is tried, and all are discarded
	since     time.Time          // of the first 404 without a success after it
	heldAt    time.Duration      // of gate.idleFor at since
	next      time.Time          // when one may ask again while the others wait
	addresses map[string]address // by contact id
}

type address struct {
	email string
	at    time.Time
}

var errNoEvents = &freshmarketer.Error{Op: freshmarketer.OpSendEvent, Kind: freshmarketer.KindUnsupported, Unsent: true}

// performEvent sends the call as an event of the contact's address.
func (t *turn) performEvent(c *call) error {
	if t.p.events.isOff() {
		return errNoEvents
	}
	if wait := t.p.events.wait(); wait > 0 {
		return eventsWait(wait)
	}
	email, err := t.address()
	if err != nil {
		return err
	}
	if email == "" {
		return errNoAddress
	}
	fields, leftOut, err := t.p.events.fit(t.callCtx, t.act)
	if err != nil {
		return err
	}
	c.outcome.LeftOut = leftOut
	err = t.once(c, freshmarketer.OpSendEvent, email, func(ctx context.Context) error {
		return t.p.cfg.Client.SendEvent(ctx, freshmarketer.Event{Email: email, Name: t.act.Name, At: t.act.At, Properties: fields})
	})
	if err == nil {
		t.p.events.works()
	}
	return err
}

// withoutEvents ends the turn of an event that the account does not seem to take.
func (t *turn) withoutEvents(api *freshmarketer.Error) error {
	e := t.p.events
	if !e.isOff() {
		sure := e.refused(t.p.gate.idleFor(), t.p.log)
		if t.leave(); !sure || !t.p.gate.verify(t.waitCtx, t.callCtx) {
			t.attempted(metrics.WaySingle, metrics.AttemptHeld, api, noEventsAgain)
			// It surely did not happen: whoever takes the lane after a crash must not take it for one that may have.
			if err := t.keep(t.unintended(), nil, nil); err != nil {
				return err
			}
			t.part.backlog.shelve(t.lane, time.Now().Add(noEventsAgain))
			return nil
		}
		e.refuse(t.p.log)
	}
	return t.dismiss(mapping.ReasonNoEvents)
}

// errNoAddress says that the contact has no address, by which alone an event finds it.
var errNoAddress = errors.New("the contact has no address")

// address is the contact's, as it was read not long ago.
func (t *turn) address() (string, error) {
	if email, known := t.p.events.address(t.target); known {
		return email, nil
	}
	var err error
	if t.pass, _, err = t.p.gate.enter(t.waitCtx, classActivity, 1); err != nil {
		return "", err
	}
	t.p.events.reading(t.target)
	var contact freshmarketer.Contact
	err = t.ask(freshmarketer.OpGetContact, func(ctx context.Context) error {
		var err error
		contact, err = t.p.cfg.Client.GetContact(ctx, t.target)
		return err
	})
	t.leave()
	if err != nil {
		return "", err
	}
	t.p.events.remember(t.target, contact.Email)
	return contact.Email, nil
}

func (e *events) address(contact string) (email string, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, ok := e.addresses[contact]
	return a.email, ok && time.Since(a.at) < addressFor
}

// still says whether a contact's address is as it was read, whenever that was.
func (e *events) still(contact, email string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.addresses[contact].email == email
}

// reading notes that an address is being read, so that remember knows whether the contact was changed meanwhile.
func (e *events) reading(contact string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.addresses == nil || len(e.addresses) >= addressesMax {
		e.addresses = map[string]address{}
	}
	e.addresses[contact] = address{}
}

func (e *events) remember(contact, email string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, unchanged := e.addresses[contact]; unchanged {
		e.addresses[contact] = address{email, time.Now()}
	}
}

// changed forgets the address of a contact that we have changed: it may be another, and the old one somebody else's.
func (e *events) changed(contact string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.addresses, contact)
}

// known are the types of attributes that are remembered, and the revision of STATE that says so.
func (e *events) known(ctx context.Context) (mapping.Attributes, uint64, error) {
	data, rev, err := e.store.State(ctx, attributesKey)
	if err != nil {
		return nil, 0, err
	}
	known, err := mapping.DecodeAttributes(data)
	return known, rev, err
}

// fit makes the event's attributes, and stores the types of new ones before the account learns them: all processes go by them.
func (e *events) fit(ctx context.Context, a mapping.Activity) (map[string]any, []mapping.LeftOut, error) {
	const tries = 5 // others may store some at the same moment
	var last error
	for range tries {
		known, rev, err := e.known(ctx)
		if err != nil {
			return nil, nil, err
		}
		fields, leftOut, next := known.Fit(a.Name, a.Properties)
		if next == nil {
			return fields, leftOut, nil
		}
		data, err := next.Encode()
		if err != nil {
			return nil, nil, err
		}
		if _, last = e.store.PutState(ctx, attributesKey, data, rev); last == nil {
			return fields, leftOut, nil
		}
		if !errors.Is(last, queue.ErrConflict) {
			break
		}
	}
	return nil, nil, last
}

func (e *events) isOff() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Now().Before(e.off)
}

// eventsWait is the error of an event that waits until another has found out whether the account takes any.
type eventsWait time.Duration

func (w eventsWait) Error() string { return "it is being found out whether the account takes events" }

// wait is how long an event waits for another one that asks whether the account takes any; 0 says that it is the one to ask.
func (e *events) wait() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	switch {
	case e.since.IsZero():
		return 0
	case now.Before(e.next):
		return e.next.Sub(now)
	}
	e.next = now.Add(noEventsAgain)
	return 0
}

// refused notes a 404. It says whether that is the account's word by now, and not a passing trouble's: time in which nobody could ask
// again does not count.
func (e *events) refused(held time.Duration, log *zap.Logger) (sure bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since.IsZero() {
		e.since, e.heldAt = time.Now(), held
		e.metrics.SetPaused(metrics.PausedActivities, true)
		log.Warn("the address for events answers 404: track and page calls wait, and are discarded if it goes on", zap.Duration("discarded_in", noEventsAfter))
	}
	e.next = time.Now().Add(noEventsAgain)
	return time.Since(e.since)-(held-e.heldAt) >= noEventsAfter
}

// refuse says that the account does not take events.
func (e *events) refuse(log *zap.Logger) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().Before(e.off) {
		return
	}
	e.off = time.Now().Add(noEventsFor)
	log.Error("the account does not take events: track and page calls are discarded (no_events); set activities.as to activity",
		zap.Duration("tried_again_in", noEventsFor))
}

func (e *events) works() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.since.IsZero() {
		e.off, e.since, e.next = time.Time{}, time.Time{}, time.Time{}
		e.metrics.SetPaused(metrics.PausedActivities, false)
	}
}

// pause is why events are not sent, nil if they are.
func (e *events) pause() *Pause {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since.IsZero() {
		return nil
	}
	detail := "the address for events answers 404: track and page calls wait; if that goes on for " + noEventsAfter.String() + " they are discarded (no_events)"
	if time.Now().Before(e.off) {
		detail = "the account answers that it has no events (404): its plan may lack them; track and page calls are discarded (no_events)"
	}
	return &Pause{Reason: HoldActivities, Since: e.since, Detail: detail + "; contacts go on; activities.as: activity does without"}
}
