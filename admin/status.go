package admin

import (
	"cmp"
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

	Ledger        Ledger     `json:"ledger"`
	OldestPending *time.Time `json:"oldest_pending"` // arrival; null while nothing waits
	Discards      []Tally    `json:"discards"`       // most frequent first
	Dead          []Tally    `json:"dead"`           // likewise
	Paused        []Pause    `json:"paused"`         // why nothing is sent; empty while sending
	API           API        `json:"api"`
	Quota         []Quota    `json:"quota"` // the windows that have a limit
	// BacklogClear estimates the seconds until what is pending is delivered; null while nobody can tell.
	BacklogClear *float64          `json:"backlog_clear_seconds"`
	StoreBytes   map[string]uint64 `json:"store_bytes"` // by stream
	// Unmapped are the traits that find no field, the most frequent ten; /api/mapping/unmapped has the others.
	Unmapped []mapping.Unmapped `json:"unmapped"`
}

// statusUnmapped keeps the status one screen.
const statusUnmapped = 10

// Ledger is the account of all events ever stored: Accepted = Delivered + Discarded + Dead + Pending.
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
	bytes, err := s.Books.Bytes(r.Context())
	if err != nil {
		return err
	}
	sending := s.Sending()
	st := Status{
		Version: s.Version, Started: s.Started, Mode: s.Mode, Account: s.Account,
		Ledger: Ledger{
			Accepted: books.Accepted, Delivered: books.Delivered, Discarded: books.Discarded, Dead: books.Dead,
			Pending: books.Pending, Difference: books.Difference(), SettledReading: !books.Reading,
		},
		Discards:   tallies(books.Counts, queue.Discarded, AboutDiscard),
		Dead:       tallies(books.Counts, queue.Dead, AboutDead),
		Delivery:   sending.Mode,
		Paused:     advised(sending.Paused),
		API:        sending.API,
		Quota:      append([]Quota{}, sending.Quota...),
		StoreBytes: make(map[string]uint64, len(bytes)),
	}
	if sending.BacklogClear != nil {
		st.BacklogClear = sending.BacklogClear(books.Pending)
	}
	for stream, n := range bytes {
		st.StoreBytes[strings.ToLower(stream)] = n
	}
	unmapped := s.Mapping.Unmapped()
	st.Unmapped = append([]mapping.Unmapped{}, unmapped[:min(len(unmapped), statusUnmapped)]...)
	if !books.Oldest.IsZero() {
		st.OldestPending = &books.Oldest
	}
	return answer(w, http.StatusOK, st)
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
