package worker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

const (
	// customRetry is how long a try to find out waits after one that told nothing.
	customRetry = time.Minute
	// maxUnfit is how many contacts may be tried one right after the other.
	maxUnfit = 10
	// maxConfirmed bounds what is remembered of values that were stored.
	maxConfirmed = 20_000
)

// bulkCustom knows which fields may go into a bulk. An account that replaces custom_field whole would lose those that are
// not sent, and a job does not tell which values it silently dropped. So custom fields go into a bulk only while this
// account's bulk upsert is known to merge, and of all fields only such as a single call's answer has shown to be stored:
// of a field with choices, that very choice.
type bulkCustom struct {
	mu        sync.Mutex
	trying    bool
	late      bool     // for so long that nobody waits for it any more
	parked    []func() // changes that wait for what is being found out
	unfit     int      // contacts in a row from which nothing could be learnt
	notBefore time.Time
	fields    *loadedCatalogue // that confirmed belongs to
	confirmed map[string]bool
}

func newBulkCustom() *bulkCustom { return &bulkCustom{confirmed: map[string]bool{}} }

// bulkable says whether the field may go into a bulk.
func (c *bulkCustom) bulkable(cat *catalogue, f mapping.FieldChange) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(cat)
	return f.Value == nil || c.confirmed[c.proof(f)]
}

// confirm notes that the account has stored the field as it was sent.
func (c *bulkCustom) confirm(cat *catalogue, f mapping.FieldChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(cat)
	if len(c.confirmed) < maxConfirmed {
		c.confirmed[c.proof(f)] = true
	}
}

// follow forgets what was stored once the fields have been read again: somebody may have changed them.
func (c *bulkCustom) follow(cat *catalogue) {
	if now := cat.current.Load(); now != c.fields {
		c.fields = now
		clear(c.confirmed)
	}
}

// proof is what stands for a value that was stored: the field alone, or with the choice.
func (c *bulkCustom) proof(f mapping.FieldChange) string {
	if c.fields != nil {
		for _, field := range c.fields.list {
			if field.Name == f.Name && len(field.Choices) > 0 {
				return f.Name + "\x00" + fmt.Sprint(f.Value)
			}
		}
	}
	return f.Name
}

// begin says whether somebody should find out now what a bulk does to custom fields.
func (c *bulkCustom) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trying || time.Now().Before(c.notBefore) {
		return false
	}
	c.trying = true
	return true
}

// park keeps a lane until somebody has found out, if somebody is about to and it does not take too long.
func (c *bulkCustom) park(giveBack func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.trying || c.late {
		return false
	}
	c.parked = append(c.parked, giveBack)
	return true
}

// letGo lets those go on, alone, who wait for somebody whose job hangs.
func (c *bulkCustom) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trying {
		c.late = true
		c.unpark()
	}
}

func (c *bulkCustom) unpark() {
	for _, giveBack := range c.parked {
		giveBack()
	}
	c.parked = nil
}

// end lets those go on who waited for somebody to find out; learnt says whether that worked.
func (c *bulkCustom) end(learnt bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trying, c.late = false, false
	c.unpark()
	if c.unfit++; learnt {
		c.unfit = 0
	} else if c.unfit >= maxUnfit {
		c.unfit, c.notBefore = 0, time.Now().Add(customRetry)
	}
}

// learnBulk finds out, on this turn's contact, whether a bulk upsert keeps the custom fields that it does not name. The
// bulk holds all the contact has and the change sets but for one field, which the change overwrites anyway and which this
// turn goes on to write. So whatever the account does, and wherever we crash, nothing is lost.
//
// Others wait until the turn has ended, because its own answer is the first to show which fields are stored.
func (t *turn) learnBulk() {
	learnt := false
	t.learning = func() {
		t.p.custom.end(learnt)
		t.learning = nil
	}
	pass, _, err := t.p.gate.enter(t.waitCtx, classContact, 3)
	if err != nil {
		return
	}
	t.pass = pass
	defer t.leave()
	if t.lane.guess != nil {
		if err := t.settleGuess(); !errors.Is(err, errMapAgain) || t.lane.record.ContactID == "" || t.fold() != nil {
			return
		}
	}
	id := t.lane.record.ContactID
	contact, err := t.current(id)
	if err != nil || t.ours(contact) != nil {
		return
	}
	left, write := t.experiment(contact)
	if left == "" {
		if contact, err = t.prime(contact); err != nil {
			return
		}
		left, write = t.experiment(contact)
	}
	if left == "" {
		t.fresh, t.freshAt = &contact, time.Now()
		return
	}
	var slot int
	select {
	case slot = <-t.part.bulks.free:
	default: // all are in use; who has them may wait for us to leave the gate
		return
	}
	defer func() { t.part.bulks.free <- slot }()
	f := &flight{
		b: t.part.bulks, waitCtx: t.waitCtx, callCtx: t.callCtx, slot: slot, pass: pass, turns: []*turn{t},
		rows: []freshmarketer.BulkRow{{Identifier: "id", Value: id, Write: write}}, alone: true,
	}
	defer time.AfterFunc(bulkPatience, t.p.custom.letGo).Stop()
	job, err := f.post()
	if err != nil && unclear(err) {
		sleep(t.waitCtx, time.Until(f.mark.At.Add(bulkUnclear)))
	}
	if err != nil {
		if t.waitCtx.Err() == nil {
			f.clear()
		}
		return
	}
	status, certain := f.follow(job)
	if t.waitCtx.Err() != nil {
		return
	}
	f.clear()
	t.api = append(t.api, f.calls...)
	if !certain || status.Failed > 0 {
		return
	}
	t.pass = nil
	if _, err := t.enter(); err != nil {
		return
	}
	after, err := t.get(id)
	if err != nil || t.ours(after) != nil {
		return
	}
	mode := CustomFieldsMerge
	if isNull(after.Custom[left]) {
		mode = CustomFieldsReplace
	}
	t.p.customs.learn(t.callCtx, freshmarketer.OpBulkUpsert, mode)
	learnt = true
}

// experiment is what a bulk is sent to learn from, and the field that it leaves out; "" if the change does not lend itself
// to it. It must overwrite a custom field that has a value, and leave something else to send.
func (t *turn) experiment(c freshmarketer.Contact) (left string, w freshmarketer.ContactWrite) {
	custom := freshmarketer.Fields{}
	for name, value := range c.Custom {
		if !isNull(value) {
			custom[name] = value
		}
	}
	maps.Copy(custom, write(t.result.Change).Custom)
	for _, f := range t.result.Change.Fields {
		if f.Custom && !isNull(c.Custom[f.Name]) && len(custom) > 1 {
			delete(custom, f.Name)
			return f.Name, freshmarketer.ContactWrite{Custom: custom}
		}
	}
	return "", freshmarketer.ContactWrite{}
}

// prime writes one of the change's custom fields if the contact has none of them yet, so that there is one to leave out.
func (t *turn) prime(c freshmarketer.Contact) (freshmarketer.Contact, error) {
	var set []mapping.FieldChange
	for _, f := range t.result.Change.Fields {
		if f.Custom && f.Value != nil {
			set = append(set, f)
		}
	}
	if len(set) < 2 {
		return c, nil
	}
	return t.put(c.ID, freshmarketer.ContactWrite{Custom: union(c.Custom, freshmarketer.Fields{set[0].Name: set[0].Value})})
}

// mayLearn says whether this turn should find out what a bulk does to custom fields: it could go into one but for that.
func (t *turn) mayLearn() bool {
	custom := slices.ContainsFunc(t.result.Change.Fields, func(f mapping.FieldChange) bool { return f.Custom })
	return custom && t.p.customs.mode(freshmarketer.OpBulkUpsert) == CustomFieldsAuto && t.mayFly() && t.part.bulks.pressed() && t.p.custom.begin()
}
