package worker

import (
	"context"
	"slices"
	"time"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/segment"
)

// Whose the contact of a previousId is, an alias call's userId decides in its own lane. Its record says so, and outlives the
// erasure of either. So what comes later for the previousId waits until that call has had its turn there, and then has one fate,
// whenever it comes: see docs/calls.md.

// maxHeirs bounds a chain of alias calls that is followed.
const maxHeirs = 16

// tokens gives the token of a lane.
type tokens func(lane string) string

// heir is the token of the userId of an alias call, for its half about the previousId; "" for any other call.
func (of tokens) heir(ev segment.Event) string {
	if ev.Type != segment.Previous {
		return ""
	}
	return of(segment.Received{UserID: ev.AliasID}.Lane())
}

// company is the lane of a group call's company, "" for any other call. As a keyed hash it can stand in a user's record.
func (of tokens) company(ev segment.Event) string {
	if ev.Type != segment.Group || ev.GroupID == "" {
		return ""
	}
	return of(segment.GroupLane(ev.GroupID))
}

// records gives the record of a user by its token.
type records func(ctx context.Context, user string) (mapping.Record, error)

func (p *Pool) heir(ctx context.Context, user string, r *mapping.Record) (to string, heir mapping.Record, waits bool, _ error) {
	return records(p.recorded).heir(ctx, user, r, p.mode.writes)
}

func (p *Pool) heirs(ctx context.Context, user string, r mapping.Record) (chain []string, last mapping.Record, _ error) {
	return records(p.recorded).heirs(ctx, user, r, p.mode.writes)
}

// heir looks for the user to whom an alias call gave the contact of another, by their tokens: "" if none did. waits says that an
// alias call has not had its turn yet; those of r.Aliased that had are noted there.
func (of records) heir(ctx context.Context, user string, r *mapping.Record, writes func(user string) bool) (to string, heir mapping.Record, waits bool, _ error) {
	for i := range r.Aliased {
		a := &r.Aliased[i]
		other, err := of(ctx, a.To)
		if err != nil {
			return "", mapping.Record{}, false, err
		}
		if r.GivenTo(user, *a, &other) {
			return a.To, other, false, nil
		}
		a.Over = a.Over || other.Heard(*a, time.Now()) || !writes(a.To)
		waits = waits || !a.Over
	}
	return "", mapping.Record{}, waits, nil
}

// heirs are the users to whom the contact of a user was given, one after the other, and the record of the last.
func (of records) heirs(ctx context.Context, user string, r mapping.Record, writes func(user string) bool) (chain []string, last mapping.Record, _ error) {
	for last = r; len(chain) < maxHeirs; {
		now := last.Clone() // what is noted in it is not for others
		to, heir, _, err := of.heir(ctx, user, &now, writes)
		if err != nil || to == "" || slices.Contains(chain, to) {
			return chain, last, err
		}
		chain, user, last = append(chain, to), to, heir
	}
	return chain, last, nil
}

// given finds out whether an alias call gave the lane's contact away. With wait the lane comes again later.
func (t *turn) given() (wait bool, _ error) {
	r := &t.lane.record
	if len(r.Aliased) == 0 || r.Given || r.Suppressed != 0 {
		return false, nil
	}
	*r = r.Clone() // shared with what was committed
	to, _, waits, err := t.p.heir(t.callCtx, t.lane.user, r)
	switch {
	case err != nil:
		return false, err
	case to != "":
		r.Given = true
	case waits:
		if t.await(0) {
			t.lane.hearing = true
			return true, nil
		}
		for i := range r.Aliased { // in trouble for very long: the contact itself is looked at, see ours
			r.Aliased[i].Over = true
		}
	}
	if t.lane.hearing { // any other wait goes on
		t.lane.hearing, t.lane.awaited = false, nil
	}
	return false, nil
}
