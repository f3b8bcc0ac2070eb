package worker

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// CustomFields says what the account does to custom fields that a write does not name.
type CustomFields string

// What an account does to custom fields that a write does not name.
// Source: both seen in client code, the second since July 2026; the vendor documents neither.
const (
	CustomFieldsAuto    CustomFields = ""        // find out
	CustomFieldsMerge   CustomFields = "merge"   // it keeps them
	CustomFieldsReplace CustomFields = "replace" // it empties them
)

const (
	customsKey   = "custom_fields" // in STATE
	customPrefix = "cf_"           // begins the names of all custom fields. Source: Freshworks CRM API reference, "Field metadata"
)

// customs is what is known of that, by operation: they may differ. Until it is known, and where the account replaces, a
// contact is read before its custom fields are written, and the union goes out.
type customs struct {
	store      *queue.Store
	log        *zap.Logger
	configured CustomFields

	mu     sync.Mutex
	learnt map[string]CustomFields
	bulks  time.Time // when it was found out, or read, what bulks do
}

// bulkBelief is how long it is believed that bulks keep what they do not name: nothing they answer would tell that they no
// longer do. Then it is found out anew, with four calls.
const bulkBelief = 24 * time.Hour

// mode is what is known of an operation, CustomFieldsAuto for nothing.
func (c *customs) mode(op string) CustomFields {
	if c.configured != CustomFieldsAuto {
		return c.configured
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if op == freshmarketer.OpBulkUpsert && time.Since(c.bulks) >= bulkBelief {
		return CustomFieldsAuto
	}
	return c.learnt[op]
}

// load reads what an earlier run has learnt. Without it everything works, at the price of a few calls.
func (c *customs) load(ctx context.Context) {
	learnt, _, err := c.read(ctx)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("what is known of the account's custom fields could not be read, it is learnt anew", zap.Error(err))
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learnt, c.bulks = learnt, time.Now()
}

func (c *customs) read(ctx context.Context) (map[string]CustomFields, uint64, error) {
	learnt := map[string]CustomFields{}
	data, rev, err := c.store.State(ctx, customsKey)
	if err == nil && rev > 0 {
		err = json.Unmarshal(data, &learnt)
	}
	return learnt, rev, err
}

// learn remembers what an operation does; forget, that nothing is known.
func (c *customs) learn(ctx context.Context, op string, mode CustomFields) {
	if c.mode(op) == mode {
		return
	}
	if op == freshmarketer.OpBulkUpsert {
		c.mu.Lock()
		c.bulks = time.Now()
		c.mu.Unlock()
	}
	c.log.Info("learnt what the account does to custom fields that a write does not name", zap.String("operation", op), zap.String("does", string(mode)))
	c.change(ctx, func(learnt map[string]CustomFields) {
		if learnt[op] != "" && learnt[op] != mode {
			clear(learnt) // an account that has changed one way may have changed the others
		}
		learnt[op] = mode
	})
}

func (c *customs) forget(ctx context.Context) {
	c.change(ctx, func(learnt map[string]CustomFields) { clear(learnt) })
}

func (c *customs) change(ctx context.Context, do func(map[string]CustomFields)) {
	for {
		learnt, rev, err := c.read(ctx)
		do(learnt)
		c.mu.Lock()
		c.learnt = maps.Clone(learnt)
		c.mu.Unlock()
		if err == nil {
			var data []byte
			if data, err = json.Marshal(learnt); err == nil {
				_, err = c.store.PutState(ctx, customsKey, data, rev)
			}
		}
		if errors.Is(err, queue.ErrConflict) {
			continue
		}
		if err != nil {
			c.log.Warn("what was learnt of the account could not be stored, the next start learns it again", zap.Error(err))
		}
		return
	}
}

// reads reports whether a contact must be read before a change of it is written.
func reads(c mapping.Change, mode CustomFields) bool {
	return slices.ContainsFunc(c.Fields, func(f mapping.FieldChange) bool {
		return f.Add || f.Custom && mode != CustomFieldsMerge
	})
}

// set puts a field into a request.
func set(w freshmarketer.ContactWrite, f mapping.FieldChange) {
	if f.Custom {
		w.Custom[f.Name] = f.Value
	} else {
		w.Fields[f.Name] = f.Value
	}
}

// join is a change as it must go out for a contact that was read: with the lists and, unless the account keeps them, the
// custom fields that it has.
func (t *turn) join(w freshmarketer.ContactWrite, contact freshmarketer.Contact) freshmarketer.ContactWrite {
	w.Fields = t.joinLists(w.Fields, contact)
	t.before = contact.Custom
	if len(w.Custom) > 0 && t.p.customs.mode(freshmarketer.OpUpdateContact) != CustomFieldsMerge {
		w.Custom = union(contact.Custom, w.Custom)
	}
	return w
}

// joinLists adds to what the contact has where the change does not replace it: tags.
func (t *turn) joinLists(fields freshmarketer.Fields, contact freshmarketer.Contact) freshmarketer.Fields {
	for _, f := range t.result.Change.Fields {
		added, isList := f.Value.([]string)
		var has []string
		if !f.Add || !isList || json.Unmarshal(contact.Fields[f.Name], &has) != nil {
			continue
		}
		for _, item := range added {
			if !slices.Contains(has, item) {
				has = append(has, item)
			}
		}
		fields = maps.Clone(fields)
		fields[f.Name] = has
	}
	return fields
}

// union is what custom_field must hold so that nothing else in it is lost.
func union(has map[string]json.RawMessage, set freshmarketer.Fields) freshmarketer.Fields {
	all := freshmarketer.Fields{}
	for name, value := range has {
		if !isNull(value) {
			all[name] = value
		}
	}
	maps.Copy(all, set)
	return all
}

// learnCustom finds out what an update does to custom fields that it does not name. It may do harm only where that can be
// mended: on a contact that holds no custom field but those of this very change. One of them is written once more by
// itself; if the others are gone then, all of them are written again. A crash in between leaves the change uncommitted, so
// that the next try writes all of it.
func (t *turn) learnCustom(contact freshmarketer.Contact, custom freshmarketer.Fields) (freshmarketer.Contact, error) {
	const op = freshmarketer.OpUpdateContact
	if t.p.customs.mode(op) != CustomFieldsAuto {
		return contact, nil
	}
	var held []string
	for name, value := range contact.Custom {
		if isNull(value) {
			continue
		}
		if custom[name] == nil {
			return contact, nil // somebody else's
		}
		held = append(held, name)
	}
	const few = 2 // one to write, one to lose
	if len(held) < few {
		return contact, nil
	}
	slices.Sort(held)
	answer, err := t.put(contact.ID, freshmarketer.ContactWrite{Custom: freshmarketer.Fields{held[0]: custom[held[0]]}})
	if err != nil {
		return answer, err
	}
	if !slices.ContainsFunc(held, func(name string) bool { return isNull(answer.Custom[name]) }) {
		t.p.customs.learn(t.callCtx, op, CustomFieldsMerge)
		return answer, nil
	}
	if answer, err = t.put(contact.ID, freshmarketer.ContactWrite{Custom: custom}); err == nil {
		t.p.customs.learn(t.callCtx, op, CustomFieldsReplace)
	}
	return answer, err
}

// noteLost looks at the answer to an update that was made without reading the contact first. If all other custom fields
// that are remembered as set are gone, the account may not merge any more: that is found out anew, and no longer relied on
// until then. Or a person has emptied them all. Either way what is gone is sent again when a call carries it. One alone that is
// gone was emptied by somebody.
func (t *turn) noteLost(record *mapping.Record, contact freshmarketer.Contact, custom freshmarketer.Fields) {
	var gone []string
	for _, name := range record.Filled() {
		if _, written := custom[name]; written || !strings.HasPrefix(name, customPrefix) {
			continue
		}
		if !isNull(contact.Custom[name]) {
			return
		}
		gone = append(gone, name)
	}
	const several = 2
	if len(gone) < several {
		return
	}
	t.p.log.Warn("custom fields are gone that a write did not name: somebody has emptied them, or the account does not keep them any more, which is found out anew", zap.Int("lost", len(gone)))
	t.p.customs.forget(t.callCtx)
	for _, name := range gone {
		record.ForgetSent(name)
	}
}
