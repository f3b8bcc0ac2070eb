package worker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	// clockSlack is added to both windows: clocks of brokers and of the API run a little apart, and calls take their time.
	clockSlack = time.Second
	// grain is how exactly calls of more than a minute ago are remembered.
	grain = 10 * time.Second
)

// spending is what was taken from the account's quota lately, by all processes: what STATE keeps under quotaKey. Times are
// Unix milliseconds by the broker's clock, because processes may have wrong ones.
type spending struct {
	Taken []taken  `json:"taken"`
	Learn []learnt `json:"learnt,omitempty"`
}

const quotaKey = "quota"

// taken is a number of calls of which none is made after End.
type taken struct {
	ID    string `json:"id,omitempty"` // while its process may give some back
	End   int64  `json:"end"`
	Calls int    `json:"calls"`
}

func decodeSpending(data []byte) (spending, error) {
	var s spending
	if len(data) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return spending{}, fmt.Errorf("STATE %s is unreadable: %w", quotaKey, err)
	}
	return s, nil
}

// tidy forgets what no window reaches any more, and remembers older calls less exactly, so that the whole stays small
// whatever the number of calls. now is by the broker's clock.
func (s *spending) tidy(now time.Time) {
	// Whoever wrote a later end had a wrong clock; its calls cannot be made later than those of a block taken now.
	latest := now.Add(blockLife + callMax).UnixMilli()
	gone := now.Add(-time.Hour - clockSlack).UnixMilli()
	old := now.Add(-time.Minute - clockSlack - grain).UnixMilli()
	for i := range s.Taken {
		s.Taken[i].End = min(s.Taken[i].End, latest)
	}
	s.Taken = slices.DeleteFunc(s.Taken, func(t taken) bool { return t.End <= gone || t.Calls <= 0 })
	slices.SortStableFunc(s.Taken, func(a, b taken) int { return cmp.Compare(a.End, b.End) })
	var kept []taken
	for _, t := range s.Taken {
		if n := len(kept) - 1; n >= 0 && t.ID == "" && kept[n].ID == "" && t.End <= old && t.End/grain.Milliseconds() == kept[n].End/grain.Milliseconds() {
			kept[n].Calls += t.Calls
			kept[n].End = t.End
			continue
		}
		kept = append(kept, t)
	}
	s.Taken = kept
	s.Learn = slices.DeleteFunc(s.Learn, func(l learnt) bool { return l.over(now) })
}

// used counts the calls of a window that ends now.
func (s *spending) used(now time.Time, window time.Duration) int {
	n, after := 0, now.Add(-window-clockSlack).UnixMilli()
	for _, t := range s.Taken {
		if t.End > after {
			n += t.Calls
		}
	}
	return n
}

// room is how many calls may be taken now, at most wanted. If they are fewer than needed, it is 0, and wait is how long
// until enough of those that were taken have left their window.
func (s *spending) room(now time.Time, allowed budget, needed, wanted int) (calls int, wait time.Duration) {
	calls = wanted
	for _, w := range []struct {
		length time.Duration
		limit  int
	}{{time.Hour, allowed.hour}, {time.Minute, allowed.minute}} {
		free := w.limit - s.used(now, w.length)
		calls = min(calls, free)
		for _, t := range s.Taken { // in order of their ends
			if free >= needed {
				break
			}
			if leaves := time.UnixMilli(t.End).Add(w.length + clockSlack).Sub(now); leaves > 0 {
				free += t.Calls
				wait = max(wait, leaves)
			}
		}
	}
	if calls < needed {
		return 0, max(wait, time.Millisecond)
	}
	return calls, 0
}

// put writes a block down, or corrects it. Without calls it goes.
func (s *spending) put(t taken, id string) {
	at := slices.IndexFunc(s.Taken, func(o taken) bool { return o.ID == id })
	switch {
	case at < 0 && t.Calls > 0:
		s.Taken = append(s.Taken, t)
	case at >= 0 && t.Calls > 0:
		s.Taken[at] = t
	case at >= 0:
		s.Taken = slices.Delete(s.Taken, at, at+1)
	}
}
