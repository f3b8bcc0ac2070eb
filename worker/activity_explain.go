package worker

import (
	"net/http"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// Forward says whether a source's track or page call of that name ("" if it has none) is let in.
type Forward func(source string, typ segment.Type, name string) bool

// explainActivity says what a track or page call becomes. contact is what is remembered of its user.
func (e Explainer) explainActivity(r segment.Received, ev segment.Event, contact mapping.Record) (mapping.Explanation, error) {
	x := mapping.Explanation{
		MessageID: ev.MessageID, Type: string(ev.Type), UserID: ev.UserID, Source: ev.Source, Outcome: queue.Discarded, Contact: contact.ContactID,
		Traits: []mapping.Fate{}, Requests: []mapping.Request{},
	}
	o, err := segment.ParseObject(r.Body)
	if err != nil {
		return x, err
	}
	var act mapping.Activity
	switch {
	case !e.Forward(ev.Source, ev.Type, ev.Type.Named(o)):
		x.Reason = mapping.ReasonNotForwarded
	case contact.Suppressed != 0:
		x.Reason = mapping.ReasonSuppressed
	default:
		if x.Reason = mapping.JudgeActivity(mapping.Record{}, mapping.Call{Event: ev}); x.Reason == "" {
			act, x.Reason = e.Activities.Make(r, ev)
		}
		if x.Reason == "" && contact.ContactID == "" {
			x.Reason = mapping.ReasonUnknownContact
		}
	}
	if x.Reason != "" {
		return x, nil
	}
	x.Outcome = queue.Delivered
	if e.Activities.As == mapping.AsEvent {
		return e.explainEvent(x, act), nil
	}
	at := act.At.Format(time.RFC3339)
	x.Requests = append(x.Requests, mapping.Request{
		Operation: freshmarketer.OpCreateActivity, Method: http.MethodPost, Path: "/sales_activities",
		Body: map[string]any{"sales_activity": map[string]any{
			"title": act.Title, "notes": act.Notes, "start_date": at, "end_date": at, "targetable_type": "Contact", "targetable_id": contact.ContactID,
			"sales_activity_type_id": act.Type, "owner_id": e.Activities.Owner,
		}},
		Note: "type and owner go out as their ids; the notes end with a marker by which the activity is found again",
	})
	return x, nil
}

// explainEvent adds the request of an event whose attributes nobody has seen yet.
func (e Explainer) explainEvent(x mapping.Explanation, act mapping.Activity) mapping.Explanation {
	fields, leftOut, _ := mapping.Attributes{}.Fit(act.Name, act.Properties)
	for _, l := range leftOut {
		x.Traits = append(x.Traits, mapping.Fate{Trait: l.Trait, Action: mapping.FateLeftOut, Reason: l.Reason})
	}
	x.Requests = append(x.Requests, mapping.Request{
		Operation: freshmarketer.OpSendEvent, Method: http.MethodPost, Path: freshmarketer.EventsPath, Body: fields,
		Note: "event " + act.Name + ", by the contact's address; undocumented; attributes keep the type of their first value",
	})
	return x
}
