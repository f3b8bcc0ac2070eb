package worker

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// Forecast maps everything that waits for another mode, with today's mapping and what is remembered of its users. It writes
// nothing, and calls the account only for its fields, if they are not known yet.
func (p *Pool) Forecast(ctx context.Context) (mapping.Forecast, error) {
	f := mapping.Forecast{Partial: p.mode.full.Load() > 0}
	if q := p.cfg.Quota; q.PerHour > 0 {
		f.PerHour = q.allowed().hour
	}
	fields, err := p.previewFields(ctx, nil)
	if err != nil {
		return f, err
	}
	for user, items := range p.waitingForMode() {
		if ctx.Err() != nil {
			return f, context.Cause(ctx)
		}
		record, err := p.remembered(ctx, user)
		if err != nil {
			return f, err
		}
		calls := waitingCalls(record, items)
		if len(calls) == 0 {
			continue
		}
		if calls[0].received.Type == segment.Account && fields.accounts == nil {
			if fields, err = p.previewFields(ctx, []queue.Letter{{Type: string(segment.Account)}}); err != nil {
				return f, err
			}
		}
		f.Add(p.foresee(fields, record, calls))
	}
	f.Sum()
	return f, nil
}

// ForecastUser is Forecast for one user, with values. read has the contact read, which takes a call of the quota; it is left
// out while there is none to spare.
func (p *Pool) ForecastUser(ctx context.Context, user string, read bool) (mapping.UserForecast, error) {
	fields, err := p.previewFields(ctx, nil)
	if err != nil {
		return mapping.UserForecast{}, err
	}
	record, err := p.remembered(ctx, user)
	if err != nil {
		return mapping.UserForecast{}, err
	}
	seen := p.foresee(fields, record, waitingCalls(record, p.waitingForMode()[user]))
	var before map[string]json.RawMessage
	if read && seen.Known && !seen.Result.Change.Empty() {
		before = p.readOnce(ctx, record.ContactID)
	}
	out := seen.ForUser(before)
	out.User, out.ContactID = user, record.ContactID
	return out, nil
}

// readPatience is how long somebody who looks waits for a call of the quota.
const readPatience = 5 * time.Second

// readOnce reads what a contact has; it is nil if that cannot be done soon.
func (p *Pool) readOnce(ctx context.Context, id string) map[string]json.RawMessage {
	limited, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	pass, _, err := p.gate.enter(limited, classSystem, 1)
	if err != nil {
		return nil
	}
	defer pass.leave()
	if pass.admit() != nil {
		return nil
	}
	contact, err := p.cfg.Client.GetContact(ctx, id)
	pass.report("", err)
	if err != nil {
		return nil
	}
	all := maps.Clone(contact.Fields)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	maps.Copy(all, contact.Custom)
	return all
}

// waitingForMode is what waits for another mode, by user: all that this process has read of it.
func (p *Pool) waitingForMode() map[string][]queue.Item {
	out := map[string][]queue.Item{}
	p.backlogs.mu.Lock()
	defer p.backlogs.mu.Unlock()
	for b := range p.backlogs.set {
		if b.activities {
			continue // they change no contact
		}
		b.mu.Lock()
		for user, l := range b.lanes {
			if !p.mode.writes(user) {
				out[user] = slices.Clone(l.waiting)
			}
		}
		b.mu.Unlock()
	}
	return out
}

// waitingCalls are the calls among items that no record knows of yet. Commands about dead letters are none.
func waitingCalls(record mapping.Record, items []queue.Item) []call {
	var calls []call
	for _, it := range items {
		if _, imported, _ := queue.DecodeImport(it.Data); it.Kind == queue.KindReplay || imported || it.Position <= record.Pos {
			continue
		}
		c := call{position: it.Position, item: it.Position, stored: it.Data}
		c.decode()
		calls = append(calls, c)
	}
	return calls
}

// foresee maps a lane's waiting calls onto what is remembered.
func (p *Pool) foresee(fields previewFields, record mapping.Record, calls []call) mapping.Foreseen {
	out := mapping.Foreseen{Known: record.ContactID != "", Calls: len(calls)}
	var mapped []mapping.Call
	for _, c := range calls {
		if c.mapped() {
			out.Company = c.received.Type == segment.Account
			mapped = append(mapped, mapping.Call{Event: c.event, Pos: c.position, Group: p.company(c.event)})
		}
	}
	fold, cat := mapping.Fold, fields.contacts
	if out.Company {
		fold, cat = mapping.FoldAccount, fields.accounts
	}
	out.Result = fold(cat, p.cfg.Mapping, record, mapped, time.Now())
	next := 0
	for _, c := range calls {
		if c.mapped() {
			c.outcome = out.Result.Outcomes[next]
			next++
		}
		if f := c.fate(""); f.outcome != queue.Delivered {
			out.Discarded = append(out.Discarded, f.reason)
		}
	}
	if out.Company {
		out.Requests = plannedAccount(out.Result.Change, record.ContactID)
	} else {
		out.Requests = plannedRequests(out.Result.Change, record.ContactID, p.customs.mode(freshmarketer.OpUpdateContact))
	}
	return out
}
