package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// Status is the answer of /api/status: how the service is, on one screen.
type Status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Mode    string    `json:"mode"`    // ModeLive or ModeSandbox
	Account string    `json:"account"` // host
	// Delivery says whose contacts are written: live (all), canary or observe (none).
	Delivery string `json:"delivery"`

	// Sends is false in a process that only takes calls in: Paused, API, Quota and Delivery then say nothing.
	Sends bool `json:"sends"`

	// Calls are the types of call: what happens to each, and what came of it at the doors since CallsSince.
	Calls      []Call    `json:"calls"`
	CallsSince time.Time `json:"calls_since"` // the start of the oldest process that shares the store

	Ledger        Ledger     `json:"ledger"`         // of the whole store, whichever process is asked
	OldestPending *time.Time `json:"oldest_pending"` // arrival; null while nothing waits
	Discards      []Tally    `json:"discards"`       // most frequent first
	Dead          []Tally    `json:"dead"`           // likewise
	Paused        []Pause    `json:"paused"`         // why this process sends nothing; empty while sending
	API           API        `json:"api"`
	Quota         []Quota    `json:"quota"` // the windows that have a limit
	// BacklogClear estimates the seconds until what is pending is delivered; null while nobody can tell.
	BacklogClear *float64          `json:"backlog_clear_seconds"`
	Backfill     *Backfill         `json:"backfill"`    // null while the account's contacts are neither read nor indexed
	StoreBytes   map[string]uint64 `json:"store_bytes"` // by stream
	Durability   Durability        `json:"durability"`
	StoreFull    map[string]int    `json:"store_full"` // percent of its room, for the streams that refuse when they are full
	// Causes are the dead letters by cause, the most frequent first, while there are few enough to look at each.
	Causes  []queue.LetterGroup `json:"causes"`
	Letters LetterAges          `json:"letters"`
	Journal bool                `json:"journal"` // what becomes of calls is written down
	// Unmapped are the traits that find no field, the most frequent ten; /api/mapping/unmapped has the others.
	Unmapped []mapping.Unmapped `json:"unmapped"`
	// Processes are those that share the store, and Unowned the partitions whose calls nobody delivers at this moment. Both
	// are empty with the embedded broker: there is one process and it owns all.
	Processes []Process `json:"processes"`
	Unowned   []int     `json:"unowned"`
}

// Durability is what a call's 200 is worth: "fsync" (it is on disk) or "replicated" (most servers have it, perhaps not on disk).
type Durability struct {
	Means    string `json:"means"`
	Declared bool   `json:"declared"` // by nats.durability: clients cannot ask NATS servers. Otherwise it is our own broker, which syncs
}

// LetterAges says how long dead letters have waited. Times are null without letters, or when they are kept for ever.
type LetterAges struct {
	Oldest   *time.Time `json:"oldest"`   // first try of the oldest, as of the last hourly look
	Expires  *time.Time `json:"expires"`  // when the first one is given up
	Expiring int        `json:"expiring"` // letters that are given up within a week
}

const (
	maxCauses = 5
	// causesUpTo is how many letters are looked at for a status: more would make it slow.
	causesUpTo = 20_000
)

// statusUnmapped keeps the status one screen.
const statusUnmapped = 10

// Ledger is the account of all events ever stored, in entries of the log (a group, alias or delete call can be two): Accepted = Delivered + Discarded + Dead + Pending.
type Ledger struct {
	Accepted   int64 `json:"accepted"`
	Delivered  int64 `json:"delivered"`
	Discarded  int64 `json:"discarded"`
	Dead       int64 `json:"dead"`
	Pending    int64 `json:"pending"`
	Difference int64 `json:"difference"` // 0 is right; under load it may be off by what happens between two look-ups
	// SettledReading is false while the events of an earlier run are still being read again after a start; Pending is
	// too high until then.
	SettledReading bool `json:"settled_reading"`
	// Uncounted are partitions whose pending events cannot be told until somebody owns them. Pending and Difference lack them.
	Uncounted []int `json:"uncounted"`
}

// Tally counts events that share a reason, with the way to mend it.
type Tally struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
	Mend   string `json:"mend"`
}

// Sending is what the sender says about itself.
type Sending struct {
	Paused []Pause
	API    API
	Mode   string // whose contacts are written: live, canary or observe
	Quota  []Quota
	// BacklogClear estimates how long it takes until so many events are delivered; nil: it cannot be told.
	BacklogClear func(pending int64) *float64
	Backfill     *Backfill // nil: there is none
}

// Backfill is how far the reading of the account's contacts is that finds very many unknown users.
type Backfill struct {
	Reading  bool      `json:"reading"` // false: all are read, and the index is in use
	Pages    int       `json:"pages"`   // read, of about Of
	Of       int       `json:"of"`
	Contacts int       `json:"contacts"` // read
	Calls    int       `json:"calls"`    // made so far
	Waiting  int       `json:"waiting"`  // users who wait for it in this process
	Began    time.Time `json:"began"`
	Left     float64   `json:"left_seconds"` // until all pages are read, about; 0: nobody can tell
}

// Quota is how many API calls a window of the account's quota has, over all processes.
type Quota struct {
	Window  string `json:"window"`  // hour or minute
	Limit   int    `json:"limit"`   // the account's
	Reserve int    `json:"reserve"` // of them for people and other integrations
	Allowed int    `json:"allowed"` // for us at present: limit less reserve, or less after a 429
	Used    int    `json:"used"`    // by us in the window that ends now
	Left    int    `json:"left"`    // for us
}

// Pause is one reason why nothing is being sent.
type Pause struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since,omitzero"` // zero: not known
	Detail string    `json:"detail"`         // redacted text of the answer that caused it
	Mend   string    `json:"mend"`           // filled in here
	By     string    `json:"by,omitempty"`   // who paused it, for the reason operator
	Note   string    `json:"note,omitempty"` // why, if that was said
}

// API is how the Freshmarketer API answered last. Pointers are null for what has not happened since the start.
type API struct {
	LastSuccess *time.Time `json:"last_success"`
	LastFailure *time.Time `json:"last_failure"`
	LastError   *APIError  `json:"last_error"`
}

// APIError is the last failure of an API call.
type APIError struct {
	Operation string `json:"operation"`
	Kind      string `json:"kind"`
	Status    int    `json:"status"` // 0: no answer came
}

func (s *server) status(w http.ResponseWriter, r *http.Request) error {
	books, err := s.Books.Ledger(r.Context())
	if err != nil {
		return err
	}
	sizes, err := s.Books.Sizes(r.Context())
	if err != nil {
		return err
	}
	around, err := s.Around.Sharing(r.Context())
	if err != nil {
		return err
	}
	causes, err := s.causes(r.Context(), books.Dead)
	if err != nil {
		return err
	}
	calls, since := s.calls(around)
	ages := s.Ages()
	sending := s.Sending()
	st := Status{
		Version: s.Version, Started: s.Started, Mode: s.Mode, Account: s.Account, Calls: calls, CallsSince: since,
		Ledger: Ledger{
			Accepted: books.Accepted, Delivered: books.Delivered, Discarded: books.Discarded, Dead: books.Dead,
			Pending: books.Pending, Difference: books.Difference(), SettledReading: !books.Reading, Uncounted: append([]int{}, books.Uncounted...),
		},
		Sends:      s.Operator != nil,
		Processes:  processes(around),
		Unowned:    append([]int{}, around.Unowned...),
		Discards:   tallies(books.Counts, queue.Discarded, AboutDiscard),
		Dead:       tallies(books.Counts, queue.Dead, AboutDead),
		Delivery:   sending.Mode,
		Paused:     advised(sending.Paused),
		API:        sending.API,
		Quota:      append([]Quota{}, sending.Quota...),
		Backfill:   sending.Backfill,
		StoreBytes: make(map[string]uint64, len(sizes)),
		Durability: s.Durability,
		StoreFull:  map[string]int{},
		Causes:     causes,
		Letters:    LetterAges{Oldest: moment(ages.Oldest), Expires: moment(ages.Expires), Expiring: ages.Expiring},
		Journal:    !s.Journal.JournalOff(),
	}
	if sending.BacklogClear != nil {
		st.BacklogClear = sending.BacklogClear(books.Pending)
	}
	for stream, size := range sizes {
		name := strings.ToLower(stream)
		st.StoreBytes[name] = size.Bytes
		if size.Limit > 0 && slices.Contains([]string{"EVENTS", "STATE", "DEAD"}, stream) {
			st.StoreFull[name] = int(size.Bytes * 100 / size.Limit)
		}
	}
	unmapped := s.Mapping.Unmapped()
	st.Unmapped = append([]mapping.Unmapped{}, unmapped[:min(len(unmapped), statusUnmapped)]...)
	if !books.Oldest.IsZero() {
		st.OldestPending = &books.Oldest
	}
	return answer(w, http.StatusOK, st)
}

// causes groups the dead letters while they are few.
func (s *server) causes(ctx context.Context, dead int64) ([]queue.LetterGroup, error) {
	if dead == 0 || dead > causesUpTo {
		return []queue.LetterGroup{}, nil
	}
	groups, _, err := s.Letters.LetterGroups(ctx, queue.LetterFilter{})
	if err != nil {
		return nil, err
	}
	return append([]queue.LetterGroup{}, groups[:min(len(groups), maxCauses)]...), nil
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// tallies lists the counters of one outcome, the most frequent first. Counters that went back to 0 (letters that were
// replayed) are left out.
func tallies(counts map[queue.Count]int64, outcome string, about About) []Tally {
	out := []Tally{}
	for c, n := range counts {
		if c.Outcome == outcome && n != 0 {
			out = append(out, Tally{Type: c.Type, Reason: c.Reason, Count: n, Mend: Advise(about, c.Reason).Mend})
		}
	}
	slices.SortFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Type, b.Type))
	})
	return out
}
