package worker

import (
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// SourceOperator is the source of delete calls that `freshrelay forget` makes. No configured source can be called so.
const SourceOperator = "(operator)"

// undoKey in a delete call of an operator lets an erased user come again.
const undoKey = "undo"

// DeleteCall is the entry that erases a user, or with undo lets an erased one come again.
func DeleteCall(userID, messageID string, undo bool, now time.Time) queue.Entry {
	members := []segment.Member{
		{Key: "type", Raw: segment.Quote("delete")}, {Key: "userId", Raw: segment.Quote(userID)}, {Key: "messageId", Raw: segment.Quote(messageID)},
	}
	if undo {
		members = append(members, segment.Member{Key: undoKey, Raw: []byte("true")})
	}
	r := segment.Received{
		Source: SourceOperator, Surface: segment.SurfaceWebhook, At: now.UTC(), Type: segment.Delete, MessageID: messageID, UserID: userID, Body: segment.Join(members),
	}
	return queue.Entry{UserID: r.Lane(), Data: r.Encode()}
}

// DeleteActivities is the entry that erases a user's letters of track and page calls, to go with a delete call.
func DeleteActivities(userID, messageID string, now time.Time) queue.Entry {
	e := DeleteCall(userID, messageID+segment.ActivitiesHalf, false, now)
	e.Activity, e.Erases = true, true
	return e
}

// undoes says whether a delete call lets its user come again.
func (c *call) undoes() bool {
	o, err := segment.ParseObject(c.received.Body)
	return err == nil && c.received.Source == SourceOperator && string(o.Get(undoKey)) == "true"
}

// hears says whether the call is one that changes whether its user is known, and is to be heard.
func (d Deletion) hears(c *call) bool {
	return c.mapped() && c.received.Type == segment.Delete && !c.event.Disabled && (c.event.UserID != "" || c.heir() != "" || c.named() != "") &&
		(c.received.Source == SourceOperator || d.Webhooks)
}

// in is the index of the first such call, -1 without one.
func (d Deletion) in(calls []call) int {
	return slices.IndexFunc(calls, func(c call) bool { return d.hears(&c) })
}
