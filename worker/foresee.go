package worker

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// readPatience is how long somebody who looks waits for a call of the quota.
const readPatience = 5 * time.Second

// Forecast plans everything that waits for another mode, with today's mapping and what is remembered of its users. It writes
// nothing, and calls the account only for its fields, if they are not known yet.
func (p *Pool) Forecast(ctx context.Context) (mapping.Forecast, error) {
	f := mapping.Forecast{Partial: p.mode.full.Load() > 0}
	if q := p.cfg.Quota; q.PerHour > 0 {
		f.PerHour = q.allowed().hour
	}
	pl, err := p.forecaster(ctx)
	if err != nil {
		return f, err
	}
	for _, lane := range p.waitingForMode("") {
		if ctx.Err() != nil {
			return f, context.Cause(ctx)
		}
		seen, err := p.foresee(ctx, pl, lane)
		if err != nil {
			return f, err
		}
		if seen.Calls > 0 {
			f.Add(seen)
		}
	}
	f.Sum()
	return f, nil
}

// ForecastUser is Forecast for one user, with values. read has the contact read, which takes a call of the quota; it is left
// out while there is none to spare.
func (p *Pool) ForecastUser(ctx context.Context, user string, read bool) (mapping.UserForecast, error) {
	pl, err := p.forecaster(ctx)
	if err != nil {
		return mapping.UserForecast{}, err
	}
	record, err := p.remembered(ctx, user)
	if err != nil {
		return mapping.UserForecast{}, err
	}
	seen := mapping.Foreseen{Known: record.ContactID != ""}
	for _, lane := range p.waitingForMode(user) {
		part, err := p.foresee(ctx, pl, lane)
		if err != nil {
			return mapping.UserForecast{}, err
		}
		part.Known, part.Result.Change.Fields = seen.Known, append(seen.Result.Change.Fields, part.Result.Change.Fields...) // activities change none
		part.Result.Outcomes = append(seen.Result.Outcomes, part.Result.Outcomes...)
		part.Calls, part.Halves = part.Calls+seen.Calls, part.Halves+seen.Halves
		part.Discarded, part.Dead = append(seen.Discarded, part.Discarded...), append(seen.Dead, part.Dead...)
		part.Requests, part.Notes = append(seen.Requests, part.Requests...), append(seen.Notes, part.Notes...)
		seen = part
	}
	var before map[string]json.RawMessage
	if read && seen.Known && len(seen.Result.Change.Fields) > 0 {
		if contact, there, _ := p.readOnce(ctx, record.ContactID); there {
			before = map[string]json.RawMessage{}
			maps.Copy(before, contact.Fields)
			maps.Copy(before, contact.Custom)
		}
	}
	out := seen.ForUser(before)
	out.User, out.ContactID = user, record.ContactID
	return out, nil
}

// forecaster plans what waits, each lane with what waits in those that it depends on.
func (p *Pool) forecaster(ctx context.Context) (pl *planner, err error) {
	pl = p.planner()
	pl.waiting, pl.again = p.waitingItems, true
	pl.contacts, err = p.catalogue.get(ctx, ctx)
	return pl, err
}

// waitingLane is what waits in one lane.
type waitingLane struct {
	user       string
	activities bool
	items      []queue.Item
}

// waitingForMode is what waits for another mode, of one user or with "" of all: as far as this process has read it. Lanes of contacts
// come before those of activities.
func (p *Pool) waitingForMode(user string) []waitingLane {
	var contacts, activities []waitingLane
	p.backlogs.each(func(b *backlog) {
		for name, l := range b.lanes {
			switch lane := (waitingLane{name, b.activities, slices.Clone(l.waiting)}); {
			case p.mode.writes(name) || user != "" && name != user:
			case b.activities:
				activities = append(activities, lane)
			default:
				contacts = append(contacts, lane)
			}
		}
	})
	return append(contacts, activities...)
}

// waitingItems is what waits in a lane of contacts.
func (p *Pool) waitingItems(user string) (items []queue.Item) {
	p.backlogs.each(func(b *backlog) {
		if l := b.lanes[user]; l != nil && !b.activities {
			items = slices.Clone(l.waiting)
		}
	})
	return items
}

// each calls do with each backlog, locked.
func (s *backlogs) each(do func(*backlog)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range s.set {
		b.mu.Lock()
		do(b)
		b.mu.Unlock()
	}
}

// foresee plans a lane's waiting calls.
func (p *Pool) foresee(ctx context.Context, pl *planner, lane waitingLane) (mapping.Foreseen, error) {
	record, err := pl.record(ctx, lane.user, lane.activities)
	if err != nil {
		return mapping.Foreseen{}, err
	}
	calls := waitingCalls(record, lane.items)
	out := mapping.Foreseen{Known: record.ContactID != "", Activity: lane.activities, Calls: len(calls)}
	for _, c := range calls {
		if c.received.Type == segment.Account || c.received.Type == segment.Group {
			if err := p.planAccounts(ctx, pl); err != nil {
				return out, err
			}
			break
		}
	}
	pl.lanes = nil // they would add up
	do := pl.lane
	if lane.activities {
		do = pl.happening
	}
	list, _, err := do(ctx, lane.user, record, calls)
	if err != nil {
		return out, err
	}
	for i := range list {
		list[i].into(&out)
	}
	return out, nil
}

// into adds one change to what is foreseen of its lane.
func (p *plan) into(out *mapping.Foreseen) {
	out.Company, out.Renamed, out.Erased = out.Company || p.company, out.Renamed || p.renames, out.Erased || p.erases
	for _, c := range p.calls {
		f := c.fate("")
		if c.received.Type == segment.Previous || p.activity && c.received.Type == segment.Delete {
			out.Halves++
			continue
		}
		switch f.outcome {
		case queue.Discarded:
			out.Discarded = append(out.Discarded, f.reason)
		case queue.Dead:
			out.Dead = append(out.Dead, f.reason)
		}
	}
	if p.delivers() {
		out.Requests = append(out.Requests, p.requests...)
	}
	if p.note != "" {
		out.Notes = append(out.Notes, p.note)
	}
	change, more := &out.Result.Change, p.result.Change
	for _, f := range more.Fields {
		change.Fields = slices.DeleteFunc(change.Fields, func(had mapping.FieldChange) bool { return had.Name == f.Name })
	}
	change.Fields, change.Links = append(change.Fields, more.Fields...), append(change.Links, more.Links...)
	out.Result.Outcomes = append(out.Result.Outcomes, p.result.Outcomes...)
}
