// Package sandbox is a Freshmarketer in this process: an http.Handler that answers the contact part of the Freshworks
// CRM API the way the real one does, for trying the product without an account and for testing it.
//
// The contract: it checks what the real API checks (authentication, uniqueness, lengths, choices), is silent where the
// real API is silent (unknown custom fields, values of the wrong type), answers in the same shapes, and can be told to
// misbehave. It knows nothing of freshrelay; whatever talks to it talks HTTP. Every effect is atomic and can be seen
// by a Go method or below /_sandbox/.
//
// Source: Freshworks CRM API, developers.freshworks.com/crm/api, and where that is silent, behaviour seen in recorded
// answers and in client code; comments say "inferred" where nobody has been seen to state it.
package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// DefaultAPIKey is accepted when Options.APIKeys is empty.
const DefaultAPIKey = "sandbox-api-key"

// The ids of a sandbox come from ranges that real accounts never have (theirs seen so far start at 17000000000 and
// 70000000000), so that a sandbox's id is recognised wherever it turns up.
const (
	firstContactID  int64 = 990_000_000_000_001
	firstOtherID    int64 = 980_000_000_000_001 // choices, views, fields' owners
	firstEmailID    int64 = 970_000_000_000_001
	firstJobID      int64 = 960_000_000_000_001
	firstAccountID  int64 = 950_000_000_000_001
	firstActivityID int64 = 940_000_000_000_001
	firstNoteID     int64 = 930_000_000_000_001
	firstListID     int64 = 920_000_000_000_001
	firstTaskID     int64 = 910_000_000_000_001

	firstAppointmentID int64 = 900_000_000_000_001
)

// defaultMaxJobs is how many bulk jobs may be under way. That there is a limit is seen in client code, not which.
const defaultMaxJobs = 5

// defaultCallLog is how many calls are remembered when Options.CallLog is zero.
const defaultCallLog = 10_000

// Mode says what an update does to the custom fields it does not name.
type Mode string

const (
	// Merge keeps them. It is the default, and what accounts did until about July 2026.
	Merge Mode = "merge"
	// Replace empties them, as one account is reported to do since. Source: seen in client code, no changelog.
	Replace Mode = "replace"
)

// Options configure a Sandbox. The zero value is a well-behaved account with the default custom fields.
type Options struct {
	APIKeys      []string // keys that may do everything; none: DefaultAPIKey
	ReadOnlyKeys []string // keys that are answered 403 on anything but GET

	CustomFields  []Field  // nil: DefaultCustomFields()
	AccountFields []Field  // custom fields of sales accounts; nil: DefaultAccountFields()
	Required      []string // further fields that a new contact must have (the email address always is)

	StateFile string           // append-only JSON Lines of contact states; "": nothing is kept
	Now       func() time.Time // nil: time.Now

	// The quota, of all keys together, 0: none. Beyond it calls are answered as Throttle says ("": ThrottlePlain).
	PerHour, PerMinute int
	Throttle           Throttle
	LimitHeaders       bool // tell the quota by X-RateLimit-Total and -Remaining in every answer

	IndexLag               time.Duration // how long lookups and views do not see a write
	CustomFieldMode        Mode          // "": Merge
	UpsertCustomFieldMode  Mode          // for upserts alone; "": CustomFieldMode
	BulkCustomFieldMode    Mode          // for bulk upserts alone; "": UpsertCustomFieldMode
	UpsertAlways200        bool          // do not tell a created contact by 201
	RefuseExternalIDUpsert bool          // upsert knows no external_id identifier, as nobody documents it
	SharedAddresses        bool          // several contacts may have one address, as an administrator can allow
	RestoreClearsCustom    bool          // a restored contact has lost its custom fields
	NoEvents               bool          // there is no events endpoint
	EventsNeedContact      bool          // an event of an address that no contact has is refused
	LenientBody            bool          // accept a contact without its {"contact":…} envelope
	Language               Language      // of error texts; "": English

	// A bulk job does its first record after BulkWait and its last one BulkDuration later. With BulkPolls it also waits
	// to be asked that many times. With zero it is done before it is answered.
	BulkWait, BulkDuration time.Duration
	BulkPolls              int
	MaxJobs                int    // jobs under way before a bulk upsert is answered 405; 0: 5
	Seed                   uint64 // of the order in which a job does its records, and of faults that have none of their own

	Faults   []Fault // active from the start
	Contacts int     // made up at the start, unless the state file holds some: user-1 with contact1@sandbox.test, …

	CallLog  int        // how many calls to remember; 0: 10,000
	Changes  bool       // keep every change of every field of every contact, for Changes
	History  bool       // keep every state of every contact, for History
	OnEffect func(Call) // called after a write took effect and before it is answered, outside all locks
}

// Sandbox is one account. It is safe for concurrent use.
type Sandbox struct {
	opt    Options
	fields *catalogue
	faults faults
	calls  callLog

	mu      sync.Mutex // guards what follows; held for one API call at a time and never while waiting
	store   *store
	jobs    []*bulk // all bulk jobs, by id
	running []*bulk // those of them that are not done
	effects []Call  // of jobs, not yet given to OnEffect

	accountFields  *catalogue
	quota          quota
	throttledCalls int
	activities     []Activity // by id, without the deleted ones
	activitiesMade int64      // also those
	notes          []Activity
	tasks          []*task
	appointments   []*task
	tracked        []Tracked
	mails          []Mail
	lists          []*marketingList
	events         []Event
	attributes     map[string]string // types of the events' attributes
}

// New checks the options, reads the state file if there is one, and returns an account ready to serve.
func New(opt Options) (*Sandbox, error) {
	opt = opt.withDefaults()
	fields, err := newCatalogue("Contact", standardFields(), opt.CustomFields, opt.Required)
	ofAccounts, accountErr := newCatalogue("SalesAccount", accountFields(), opt.AccountFields, nil)
	if err = errors.Join(err, accountErr, opt.validate()); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	store, err := openStore(opt)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s := &Sandbox{
		opt: opt, fields: fields, accountFields: ofAccounts, store: store, calls: newCallLog(opt.CallLog),
		quota: quota{perHour: opt.PerHour, perMinute: opt.PerMinute}, attributes: map[string]string{},
	}
	for _, f := range opt.Faults {
		err = errors.Join(err, s.AddFault(f))
	}
	if opt.Contacts > 0 && len(store.order) == 0 {
		err = errors.Join(err, s.Preload(opt.Contacts, madeUp))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), store.log.close())
	}
	return s, nil
}

// Close closes the state file. Writes after it are answered 500.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.log.close()
}

// Handler serves the API below /crm/sales/api/ and the controls below /_sandbox/.
func (s *Sandbox) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (o Options) withDefaults() Options {
	if len(o.APIKeys) == 0 {
		o.APIKeys = []string{DefaultAPIKey}
	}
	if o.CustomFields == nil {
		o.CustomFields = DefaultCustomFields()
	}
	if o.AccountFields == nil {
		o.AccountFields = DefaultAccountFields()
	}
	if o.Throttle == "" {
		o.Throttle = ThrottlePlain
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CustomFieldMode == "" {
		o.CustomFieldMode = Merge
	}
	if o.UpsertCustomFieldMode == "" {
		o.UpsertCustomFieldMode = o.CustomFieldMode
	}
	if o.BulkCustomFieldMode == "" {
		o.BulkCustomFieldMode = o.UpsertCustomFieldMode
	}
	if o.MaxJobs == 0 {
		o.MaxJobs = defaultMaxJobs
	}
	if o.Language == "" {
		o.Language = English
	}
	if o.CallLog == 0 {
		o.CallLog = defaultCallLog
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	for _, mode := range []Mode{o.CustomFieldMode, o.UpsertCustomFieldMode, o.BulkCustomFieldMode} {
		if mode != Merge && mode != Replace {
			errs = append(errs, fmt.Errorf("custom field mode %q: expected %q or %q", mode, Merge, Replace))
		}
	}
	if o.Throttle != ThrottlePlain && o.Throttle != ThrottleText && o.Throttle != ThrottleHidden {
		errs = append(errs, fmt.Errorf("throttle %q: expected %q, %q or %q", o.Throttle, ThrottlePlain, ThrottleText, ThrottleHidden))
	}
	if texts[o.Language] == nil {
		errs = append(errs, fmt.Errorf("language %q: expected en, nl or es", o.Language))
	}
	if o.IndexLag < 0 || o.CallLog < 0 || o.BulkWait < 0 || o.BulkDuration < 0 || o.BulkPolls < 0 || o.MaxJobs < 0 ||
		o.PerHour < 0 || o.PerMinute < 0 || o.Contacts < 0 {
		errs = append(errs, errors.New("times and counts must not be negative"))
	}
	return errors.Join(errs...)
}
