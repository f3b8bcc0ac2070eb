package worker

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
)

const (
	// catalogueAge is after how long the account's fields are read again: people add fields during a day.
	catalogueAge = time.Hour
	// catalogueUnknown is how old they may be when a call has a label or a choice that they do not have: somebody may have
	// just made it. Many calls have such traits all day long, so this bounds what they cost: six API calls an hour.
	catalogueUnknown = 10 * time.Minute
	// catalogueDoubt is how old they may be once the API refused, or did not store, what should be right by them. Some values
	// it will never take, so this too bounds what they cost.
	catalogueDoubt = 5 * time.Minute
	// catalogueRetry is how long a failed refresh waits; the known fields serve meanwhile.
	catalogueRetry = time.Minute
)

// catalogue keeps the account's fields.
type catalogue struct {
	ask     func(context.Context) ([]freshmarketer.FieldMeta, error)
	make    func([]mapping.Field) *mapping.Catalogue
	gate    *gate
	metrics *metrics.Metrics
	log     *zap.Logger
	options mapping.Options

	lock    chan struct{} // capacity 1: held by whoever is reading the fields
	current atomic.Pointer[loadedCatalogue]
	nextTry atomic.Int64 // unix ns: no refresh before
	doubted atomic.Bool  // the API has contradicted the fields since they were read
	expired atomic.Bool  // somebody wants them read again
}

type loadedCatalogue struct {
	fields *mapping.Catalogue
	list   []mapping.Field // what fields was made from
	at     time.Time
}

func newCatalogue(cfg Config, g *gate, log *zap.Logger) *catalogue {
	return &catalogue{
		ask: cfg.Client.ContactFields, make: mapping.NewCatalogue, gate: g, metrics: cfg.Metrics, log: log, options: cfg.Mapping, lock: make(chan struct{}, 1),
	}
}

func (c *catalogue) known() bool { return c.current.Load() != nil }

// doubt says that the API contradicts the fields: they are read again soon.
func (c *catalogue) doubt() { c.doubted.Store(true) }

// expire has the fields read again before the next call is mapped.
func (c *catalogue) expire() { c.expired.Store(true) }

// get returns the account's fields. It waits only as long as none are known; waitCtx ends the wait, callCtx the call.
func (c *catalogue) get(waitCtx, callCtx context.Context) (*mapping.Catalogue, error) {
	limit := catalogueAge
	switch {
	case c.expired.Load():
		limit = 0
	case c.doubted.Load():
		limit = catalogueDoubt
	}
	return c.younger(waitCtx, callCtx, limit)
}

// younger returns the fields as they were no longer ago than limit, or the known ones if they cannot be read now.
func (c *catalogue) younger(waitCtx, callCtx context.Context, limit time.Duration) (*mapping.Catalogue, error) {
	have := c.current.Load()
	if have != nil && (time.Since(have.at) < limit || time.Now().UnixNano() < c.nextTry.Load()) {
		return have.fields, nil
	}
	if have != nil {
		select {
		case c.lock <- struct{}{}:
			defer func() { <-c.lock }()
			return c.refresh(waitCtx, callCtx, have), nil
		default:
			return have.fields, nil // somebody else is at it
		}
	}
	select {
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-waitCtx.Done():
		return nil, context.Cause(waitCtx)
	}
	return c.first(waitCtx, callCtx)
}

// first reads the fields until it succeeds: nothing can be mapped without them.
func (c *catalogue) first(waitCtx, callCtx context.Context) (*mapping.Catalogue, error) {
	if have := c.current.Load(); have != nil {
		return have.fields, nil
	}
	c.metrics.SetPaused(metrics.PausedCatalogue, true)
	waits := newBackOff(time.Second, probeMax)
	for {
		pass, _, err := c.gate.enter(waitCtx, classSystem, 1)
		if err != nil {
			return nil, err
		}
		fields, err := c.read(callCtx, pass)
		if err == nil {
			c.metrics.SetPaused(metrics.PausedCatalogue, false)
			return fields, nil
		}
		if errors.Is(err, errHeld) {
			continue
		}
		wait := waits.NextBackOff()
		if api, ok := errors.AsType[*freshmarketer.Error](err); ok {
			wait = max(wait, api.RetryAfter)
		}
		c.log.Warn("the account's fields cannot be read yet", zap.String("kind", string(freshmarketer.KindOf(err))), zap.Duration("wait", wait))
		switch freshmarketer.KindOf(err) {
		case freshmarketer.KindPermission, freshmarketer.KindMisrouted:
			c.gate.verify(waitCtx, callCtx)
		}
		if !sleep(waitCtx, wait) {
			return nil, context.Cause(waitCtx)
		}
	}
}

func (c *catalogue) refresh(waitCtx, callCtx context.Context, have *loadedCatalogue) *mapping.Catalogue {
	c.nextTry.Store(time.Now().Add(catalogueRetry).UnixNano())
	if !c.gate.mayPass() {
		return have.fields
	}
	pass, _, err := c.gate.enter(waitCtx, classSystem, 1) // nobody waits long: it goes before all changes
	if err != nil {
		return have.fields
	}
	fields, err := c.read(callCtx, pass)
	if err != nil {
		c.log.Warn("the account's fields could not be refreshed, keeping the known ones", zap.String("kind", string(freshmarketer.KindOf(err))))
		return have.fields
	}
	return fields
}

// read makes the call and ends the pass.
func (c *catalogue) read(ctx context.Context, pass *pass) (*mapping.Catalogue, error) {
	defer pass.leave()
	if err := pass.admit(); err != nil {
		return nil, err
	}
	metas, err := c.ask(ctx)
	pass.reportRead("", err)
	if err != nil {
		return nil, err
	}
	loaded := &loadedCatalogue{list: FieldsOf(metas), at: time.Now()}
	loaded.fields = c.make(loaded.list)
	before := c.current.Swap(loaded)
	c.doubted.Store(false)
	c.expired.Store(false)
	if before == nil || !reflect.DeepEqual(before.list, loaded.list) {
		c.complain(loaded.fields)
	}
	return loaded.fields, nil
}

// FieldsOf gives the fields in the words of package mapping.
func FieldsOf(metas []freshmarketer.FieldMeta) []mapping.Field {
	fields := make([]mapping.Field, len(metas))
	for i, m := range metas {
		fields[i] = mapping.Field{Name: m.Name, Label: m.Label, Type: m.Type, Custom: !m.Default, Required: m.Required}
		for _, choice := range m.Choices {
			fields[i].Choices = append(fields[i].Choices, mapping.Choice{ID: choice.ID, Value: choice.Value})
		}
	}
	return fields
}

// complain says what is wrong with the fields, or with the configuration in their light. "freshrelay check" says more.
func (c *catalogue) complain(fields *mapping.Catalogue) {
	for _, d := range fields.Duplicates() {
		c.log.Warn("several fields share a label; traits go to the first", zap.String("label", d.Label), zap.String("kept", d.Kept), zap.Strings("dropped", d.Dropped))
	}
	for _, trait := range fields.Unresolved(c.options) {
		c.log.Warn("mapping.traits names a field that the account does not have; make the field or correct the line", zap.String("trait", trait), zap.String("field", c.options.Traits[trait]))
	}
	_, wrong := fields.Defaults(c.options)
	for _, w := range wrong {
		c.log.Warn("a line of contacts.on_create gives new contacts nothing; correct it", zap.String("line", w.Trait), zap.String("reason", string(w.Reason)))
	}
}
