package app

import (
	"context"
	"math"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/worker"
)

// levelsTimeout bounds what a scrape may cost; Prometheus gives up after 10 s by default.
const levelsTimeout = 5 * time.Second

// levels takes stock for a scrape. What cannot be read is left at zero and said in the log.
func (s *service) levels() metrics.Levels {
	ctx, cancel := context.WithTimeout(context.Background(), levelsTimeout)
	defer cancel()
	var l metrics.Levels
	var pending int64
	owned := s.store.Owned()
	for _, p := range owned {
		books, err := p.Ledger(ctx)
		if err != nil {
			s.log.Warn("the ledger could not be read for a scrape", zap.Int("partition", p.Number()), zap.Error(err))
			lease, _ := p.LeaseLeft()
			l.Partitions = append(l.Partitions, metrics.PartitionLevels{Number: p.Number(), Unread: true, Lease: lease})
			continue
		}
		one := partitionLevels(p.Number(), books)
		one.Lease, _ = p.LeaseLeft()
		l.Partitions = append(l.Partitions, one)
		pending += books.Pending
	}
	s.quotaLevels(&l, pending)
	l.Total, l.Waiting, l.Ready = s.store.Partitions(), s.store.Waiting(), s.store.Ready(ctx) == nil
	if free, ok := s.store.DiskFree(ctx); ok {
		l.DiskFree = free
	}
	if len(owned) == 0 || owned[0].Number() != 0 {
		return l // the size is told once, by the owner of the first partition
	}
	sizes, err := s.store.Sizes(ctx)
	if err != nil {
		s.log.Warn("the store's size could not be read for a scrape", zap.Error(err))
	}
	l.StoreBytes, l.StoreLimit = map[string]uint64{}, map[string]uint64{}
	for stream, size := range sizes {
		l.StoreBytes[strings.ToLower(stream)], l.StoreLimit[strings.ToLower(stream)] = size.Bytes, size.Limit
	}
	if s.replays != nil { // not yet, at the very beginning
		ages := s.replays.Ages()
		l.OldestLetter, l.Expiring = ages.Oldest, ages.Expiring
	}
	return l
}

// quotaLevels adds what the workers know of the account's calls, and when what is pending here will be delivered.
func (s *service) quotaLevels(l *metrics.Levels, pending int64) {
	if s.pool == nil { // this process only takes calls in
		return
	}
	l.Depth = metrics.Depth(s.pool.Depth())
	for _, w := range s.pool.Status().Quota {
		l.Quota = append(l.Quota, metrics.Quota{Window: w.Window, Limit: w.Limit, Reserve: w.Reserve, Allowed: w.Allowed, Used: w.Used, Remaining: w.Left})
	}
	l.BacklogClear = math.Inf(1)
	if estimate := s.pool.BacklogClear(pending); estimate != worker.Never {
		l.BacklogClear = estimate.Seconds()
	}
}

func partitionLevels(number int, books queue.Ledger) metrics.PartitionLevels {
	l := metrics.PartitionLevels{Number: number, Pending: int(books.Pending), OldestPending: books.Oldest, Dead: map[string]int{}, LedgerDifference: books.Difference()}
	if books.Reading { // pending counts what an earlier run has settled until it was read again
		l.LedgerDifference = 0
	}
	for count, n := range books.Counts {
		if count.Outcome == queue.Dead {
			l.Dead[count.Reason] += int(n)
		}
	}
	return l
}

// sending is the workers' state in the words of the admin API.
func (s *service) sending() admin.Sending {
	if s.pool == nil { // this process only takes calls in
		return admin.Sending{}
	}
	out := sendingOf(s.pool.Status(), s.started)
	out.BacklogClear = func(pending int64) *float64 {
		estimate := s.pool.BacklogClear(pending)
		if estimate == worker.Never {
			return nil
		}
		seconds := estimate.Seconds()
		return &seconds
	}
	return out
}

func sendingOf(st worker.Status, started time.Time) admin.Sending {
	out := admin.Sending{Mode: st.Mode, API: admin.API{LastSuccess: moment(st.LastSuccess), LastFailure: moment(st.LastFailure)}}
	for _, w := range st.Quota {
		out.Quota = append(out.Quota, admin.Quota(w))
	}
	if b := st.Backfill; b != nil {
		out.Backfill = &admin.Backfill{
			Reading: b.Reading, Pages: b.Pages, Of: b.Of, Contacts: b.Contacts, Calls: b.Calls, Waiting: b.Waiting, Began: b.Began, Left: b.Left.Seconds(),
		}
	}
	for _, p := range st.Pauses {
		out.Paused = append(out.Paused, admin.Pause{Reason: string(p.Reason), Since: p.Since, Detail: p.Detail, By: p.By, Note: p.Note})
	}
	if !st.Catalogue && len(st.Pauses) == 0 {
		// Nothing is held, yet nothing can be mapped: what the API said last is why. Without a failure it is being asked.
		pause := admin.Pause{Reason: metrics.PausedCatalogue, Since: started, Detail: "the fields are being read"}
		if st.LastError != nil {
			pause.Detail = st.LastError.Error()
		}
		out.Paused = append(out.Paused, pause)
	}
	if e := st.LastError; e != nil {
		out.API.LastError = &admin.APIError{Operation: e.Op, Kind: string(e.Kind), Status: e.Status}
	}
	return out
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
