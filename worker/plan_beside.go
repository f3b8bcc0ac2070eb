package worker

import (
	"context"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

const (
	// besideMost bounds how many waiting calls of another lane are looked at for one call: what comes after them is not foreseen.
	besideMost = 1000
	// besideDeep bounds how far a lane is followed from which another has its contact.
	besideDeep = 4
)

// sideLane is a lane of contacts that another lane's calls depend on: alias calls on that of the previousId, links on that of their
// company, activities on that of their user.
type sideLane struct {
	record mapping.Record
	calls  []call // that are not in the record yet
	from   uint64 // what waited before this position is in it
}

// beside is the record of a lane of contacts as it would be once what waits in it before a position is done. What waits in other
// processes is not known here.
func (pl *planner) beside(ctx context.Context, user string, before uint64) (mapping.Record, error) {
	s := pl.lanes[user]
	if s == nil || before < s.from {
		record, err := pl.record(ctx, user, false)
		if err != nil {
			return record, err
		}
		s = &sideLane{record: record}
		if pl.waiting != nil {
			items := pl.waiting(user)
			s.calls = waitingCalls(record, items[:min(len(items), besideMost)])
		}
		pl.keep(user, s)
	}
	n := 0
	for n < len(s.calls) && s.calls[n].item < before {
		n++
	}
	if n == 0 || pl.depth >= besideDeep {
		return s.record, nil
	}
	calls := s.calls[:n:n]
	s.calls, s.from = s.calls[n:], before
	pl.depth++
	defer func() { pl.depth-- }()
	_, record, err := pl.lane(ctx, user, s.record, calls)
	s.record = record
	return record, err
}

// settled notes what a planned lane comes to, for what is planned after it.
func (pl *planner) settled(user string, record mapping.Record) {
	pl.keep(user, &sideLane{record: record})
}

func (pl *planner) keep(user string, s *sideLane) {
	if pl.lanes == nil {
		pl.lanes = map[string]*sideLane{}
	}
	pl.lanes[user] = s
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
