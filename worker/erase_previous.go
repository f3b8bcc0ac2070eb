package worker

import (
	"fmt"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// Who is erased may have had other userIds before, which alias calls made one with it. Their records are in other lanes, maybe of
// other processes, so each gets a delete call of its own into the log. The calls are there before anything of the erasure is
// committed: after a crash they are there twice, and the second finds nothing left to do.

const (
	// previousOfKey in a delete call of ours names, by its token, the user of whom its lane's user is a previous id. Such a call has
	// no userId: nobody remembers it.
	previousOfKey = "previousOf"
	// namingKey in a delete call of ours names an erased user whose alias calls the lane's user has: it erases the letters of these alone.
	namingKey = "lettersNaming"
)

// heir is the user, by its token, for whose sake the call erases a previous id; "" if it erases the user that it names.
func (c *call) heir() string { return c.ofOurs(previousOfKey) }

// named is the user, by its token, whom the letters name that the call erases; "" if it erases all of its lane's user.
func (c *call) named() string { return c.ofOurs(namingKey) }

func (c *call) ofOurs(key string) string {
	if c.received.Source != SourceOperator {
		return ""
	}
	o, err := segment.ParseObject(c.received.Body)
	if err != nil {
		return ""
	}
	return segment.Text(o.Get(key))
}

// concerns says whether a delete call is about the lane's user still: a previous id may have taken its contact back since.
func (c *call) concerns(record mapping.Record, heirs func(mapping.Record) ([]string, mapping.Record, error)) (bool, error) {
	heir := c.heir()
	if heir == "" {
		return true, nil
	}
	chain, _, err := heirs(record)
	return slices.Contains(chain, heir), err
}

// leftOf is what stays of the record of a user who is erased, until its contact is, too. Which ids are one person's stays known,
// by tokens alone: none of them may bring the person back.
func leftOf(r mapping.Record) *mapping.Record {
	return &mapping.Record{
		ContactID: r.ContactID, Suppressed: time.Now().Unix(), Allowed: r.Allowed, Aliased: r.Aliased, Given: r.Given,
		Previous: r.Previous, Taken: r.Taken,
	}
}

// erasePrevious puts a call into the lanes of the user's previous ids that does with them what last does, and one into those of
// users whose alias calls may become dead letters that name this one: those that are letters by now go by eraseAliases.
func (t *turn) erasePrevious(last *call) error {
	var entries []queue.Entry
	if last.heir() == "" {
		for _, token := range t.lane.record.Previous {
			entries = append(entries, ownCall(token, previousOfKey, t.lane.user, last, ""))
			if !last.undoes() {
				activities := ownCall(token, previousOfKey, t.lane.user, last, segment.ActivitiesHalf)
				activities.Activity, activities.Erases = true, true
				entries = append(entries, activities)
			}
		}
	}
	for _, alias := range t.lane.record.Aliased {
		if !last.undoes() && alias.To != last.heir() { // that one's letters go anyway
			entries = append(entries, ownCall(alias.To, namingKey, t.lane.user, last, ""))
		}
	}
	if len(entries) == 0 || t.lane.spread == last.item {
		return nil
	}
	if err := t.p.store.Publish(t.callCtx, entries); err != nil {
		return fmt.Errorf("erasing previous ids: %w", err)
	}
	t.lane.spread = last.item
	return nil
}

// ownCall is the entry for the lane of another. Its message id is the same after a crash, and no other lane's.
func ownCall(token, key, about string, last *call, half string) queue.Entry {
	id := fmt.Sprintf("%s-%d%s", key, last.item, half)
	members := []segment.Member{
		{Key: "type", Raw: segment.Quote("delete")}, {Key: key, Raw: segment.Quote(about)}, {Key: "messageId", Raw: segment.Quote(id)},
	}
	if last.undoes() {
		members = append(members, segment.Member{Key: undoKey, Raw: []byte("true")})
	}
	r := segment.Received{
		Source: SourceOperator, Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Delete, MessageID: id, Body: segment.Join(members),
	}
	return queue.Entry{User: token, Data: r.Encode()}
}

// eraseNaming is the turn of a delete call that erases the dead letters of alias calls which name another user, who is erased. What
// stands before it goes first.
func (t *turn) eraseNaming(last *call) (done bool, _ error) {
	if len(t.items) > 1 {
		t.lane.limit = len(t.items) - 1
		return false, nil
	}
	last.outcome, t.naming = mapping.Outcome{Delivered: true}, last.named()
	if err := t.collectLetters(); err != nil {
		return false, err
	}
	record := t.lane.record.Clone()
	record.Remember(last.received.Source, last.received.MessageID, last.received.At)
	t.result = mapping.Result{Record: record}
	return true, t.settle(record, nil, "")
}
