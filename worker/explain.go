package worker

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// explainedContact stands for the contact that an explained call would create.
const explainedContact = "0"

// Explainer says what calls would do, without doing it. Each call is taken by itself, after those before it.
type Explainer struct {
	Fields  *mapping.Catalogue
	Options mapping.Options
	// Record is what is remembered of a lane (mapping.Options.Lane). nil: nothing of anybody.
	Record func(ctx context.Context, lane string) (mapping.Record, error)
	Custom CustomFields // what is known of the account's custom fields
	Now    time.Time
	// Activities says what track and page calls become, and Forward which of a source's are let in; nil: none is.
	Activities mapping.Activities
	Forward    Forward
}

// Explain explains the calls of one source, as a webhook would bring them: JSON objects of Segment's spec. It returns the
// records as they would be then, by lane. Errors are those of Record.
func (e Explainer) Explain(ctx context.Context, source string, bodies [][]byte) ([]mapping.Explanation, map[string]mapping.Record, error) {
	records := map[string]mapping.Record{}
	list := make([]mapping.Explanation, len(bodies))
	for i, body := range bodies {
		received := receive(source, body, e.Now)
		event, err := received.Event()
		if err != nil {
			list[i] = mapping.Explanation{Source: source, Outcome: queue.Dead, Reason: ReasonUnreadable, Traits: []mapping.Fate{}, Requests: []mapping.Request{}}
			continue
		}
		lane := e.Options.Lane(received)
		rec, known := records[lane]
		if !known && e.Record != nil {
			if rec, err = e.Record(ctx, lane); err != nil {
				return nil, nil, err
			}
		}
		if event.Type.Happens() && e.Forward != nil {
			if list[i], err = e.explainActivity(received, event, rec); err != nil {
				return nil, nil, err
			}
			records[lane] = rec
			continue
		}
		// It comes after everything that is in the log.
		call := mapping.Call{Event: event, Pos: 1<<62 + uint64(i)}
		explanation, result := mapping.Explain(e.Fields, e.Options, rec, call, e.Now)
		explanation.Requests = plannedRequests(result.Change, rec.ContactID, e.Custom)
		next := result.Record
		if next.ContactID == "" && explanation.Outcome == queue.Delivered {
			next.ContactID = explainedContact
		}
		list[i], records[lane] = explanation, next
	}
	return list, records, nil
}

// receive is what the door makes of a call.
func receive(source string, body []byte, now time.Time) segment.Received {
	r := segment.Received{Source: source, Surface: segment.SurfaceWebhook, At: now, Type: segment.Identify, Body: body}
	o, err := segment.ParseObject(body)
	if err != nil {
		return r // Event says so too
	}
	if typ, ok := segment.ParseType(segment.Text(o.Get("type"))); ok {
		r.Type = typ
	}
	r.MessageID, r.UserID = segment.ID(o.Get("messageId")), segment.ID(o.Get("userId"))
	return r
}

// plannedRequests are those that send makes if nothing is refused.
func plannedRequests(c mapping.Change, id string, mode CustomFields) []mapping.Request {
	if c.Empty() {
		return []mapping.Request{}
	}
	if len(c.Links) > 0 {
		links := c.Links
		c.Links = nil
		return append(plannedRequests(c, id, mode), plannedLinks(id, len(links))...)
	}
	w := write(c)
	if id == "" {
		for _, d := range c.Defaults {
			set(w, d)
		}
		if c.UserID != "" {
			w.Fields["external_id"] = c.UserID
		}
		return []mapping.Request{{
			Operation: freshmarketer.OpCreateContact, Method: http.MethodPost, Path: "/contacts", Body: w.Body(),
			Note: "refused if a contact has the address or the userId; that contact is then read and updated instead",
		}}
	}
	path := "/contacts/" + id
	update := mapping.Request{Operation: freshmarketer.OpUpdateContact, Method: http.MethodPut, Path: path, Body: w.Body()}
	if !reads(c, mode) {
		return []mapping.Request{update}
	}
	update.Note = "custom_field and lists go out joined with what the contact was read to have"
	return []mapping.Request{{Operation: freshmarketer.OpGetContact, Method: http.MethodGet, Path: path}, update}
}

// writes are those of the requests that change something.
func writes(list []mapping.Request) []mapping.Request {
	return slices.DeleteFunc(list, func(r mapping.Request) bool { return r.Method == http.MethodGet })
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
	e := Explainer{Options: p.cfg.Mapping, Activities: p.cfg.Activities, Forward: p.cfg.Forward, Custom: p.customs.mode(freshmarketer.OpUpdateContact), Now: time.Now()}
	if have := p.catalogue.current.Load(); have != nil {
		e.Fields = have.fields
	}
	e.Record = func(ctx context.Context, lane string) (mapping.Record, error) {
		return p.remembered(ctx, p.store.User(lane))
	}
	list, _, err := e.Explain(ctx, source, calls)
	return list, err
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
	data, _, err := p.store.State(ctx, "user."+user)
	if err != nil {
		return mapping.Record{}, err
	}
	record, err := mapping.DecodeRecord(data)
	if err != nil {
		return mapping.Record{}, fmt.Errorf("user %s: %w", user, err)
	}
	return record, nil
}
