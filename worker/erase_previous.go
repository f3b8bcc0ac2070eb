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

// previousOfKey in a delete call of ours names, by its token, the user of whom its lane's user is a previous id. Such a call has
// no userId: nobody remembers it.
const previousOfKey = "previousOf"

// heir is the user, by its token, for whose sake the call erases a previous id; "" if it erases the user that it names.
func (c *call) heir() string {
	if c.received.Source != SourceOperator {
		return ""
	}
	o, err := segment.ParseObject(c.received.Body)
	if err != nil {
		return ""
	}
	return segment.Text(o.Get(previousOfKey))
}

// concerns says whether a delete call is about the lane's user still: a previous id may have taken its contact back since.
func (t *turn) concerns(c *call, record mapping.Record) (bool, error) {
	heir := c.heir()
	if heir == "" {
		return true, nil
	}
	chain, _, err := t.p.heirs(t.callCtx, t.lane.user, record)
	return slices.Contains(chain, heir), err
}

// leftOf is what stays of the record of a user who is erased, until its contact is, too. Which ids are one person's stays known,
// by tokens alone: none of them may bring the person back.
func leftOf(r mapping.Record) *mapping.Record {
	return &mapping.Record{
		ContactID: r.ContactID, Suppressed: time.Now().Unix(), Allowed: r.Allowed, Aliased: r.Aliased, Given: r.Given, Previous: r.Previous,
	}
}

// erasePrevious puts a call into the lanes of the user's previous ids that does with them what last does, once for each try.
func (t *turn) erasePrevious(last *call) error {
	if last.heir() != "" || len(t.lane.record.Previous) == 0 || t.lane.spread == last.item {
		return nil
	}
	var entries []queue.Entry
	for _, token := range t.lane.record.Previous {
		entries = append(entries, previousCall(token, t.lane.user, last, ""))
		if !last.undoes() {
			activities := previousCall(token, t.lane.user, last, segment.ActivitiesHalf)
			activities.Activity, activities.Erases = true, true
			entries = append(entries, activities)
		}
	}
	if err := t.p.store.Publish(t.callCtx, entries); err != nil {
		return fmt.Errorf("erasing previous ids: %w", err)
	}
	t.lane.spread = last.item
	return nil
}

// previousCall is the entry for one previous id. Its message id is the same after a crash.
func previousCall(token, heir string, last *call, half string) queue.Entry {
	id := fmt.Sprintf("previous-%d%s", last.item, half)
	members := []segment.Member{
		{Key: "type", Raw: segment.Quote("delete")}, {Key: previousOfKey, Raw: segment.Quote(heir)}, {Key: "messageId", Raw: segment.Quote(id)},
	}
	if last.undoes() {
		members = append(members, segment.Member{Key: undoKey, Raw: []byte("true")})
	}
	r := segment.Received{
		Source: SourceOperator, Surface: segment.SurfaceWebhook, At: time.Now().UTC(), Type: segment.Delete, MessageID: id, Body: segment.Join(members),
	}
	return queue.Entry{User: token, Data: r.Encode()}
}
