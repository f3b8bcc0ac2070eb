// Package admin is the listener for the people who run freshrelay and for their tools: health, metrics, and the API
// of the command line.
//
// What is promised: /healthz, /readyz and /metrics are open and say nothing about anybody; everything below /api
// needs the token. Ready means that events can be stored, nothing else: trouble of the Freshmarketer API does not
// make it red, because turning senders away would not help them. The content of an event is shown with its values
// masked unless the caller asks for them by name, and never logged. An error is a JSON object that says what is wrong
// and what to do about it.
package admin

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
)

// requestTimeout bounds one request: looking through a million dead letters takes most of a minute on a busy machine.
const requestTimeout = 2 * time.Minute

// Letters reads dead letters. *queue.Store is one.
type Letters interface {
	Letters(ctx context.Context, q queue.LetterQuery) (queue.LetterPage, error)
	LetterGroups(ctx context.Context, f queue.LetterFilter) (groups []queue.LetterGroup, total int, err error)
	Letter(ctx context.Context, id string) (queue.Letter, error)
}

// Operator stops all sending and lets it go on. *worker.Pool is one.
type Operator interface {
	Pause(ctx context.Context, by, note string) error
	Resume(ctx context.Context) error
}

// Journal tells what became of an event. *queue.Store is one.
type Journal interface {
	Journal(ctx context.Context, q queue.JournalQuery) ([]queue.JournalEntry, error)
	JournalBack(ctx context.Context, messageID string, since time.Time, before uint64) (lines []queue.JournalEntry, next uint64, err error)
	JournalTail(ctx context.Context, after uint64, limit int) (lines []queue.JournalEntry, next uint64, err error)
	JournalOff() bool
}

// Books takes stock of the store. *queue.Store is one.
type Books interface {
	Ledger(ctx context.Context) (queue.Ledger, error)
	Sizes(ctx context.Context) (map[string]queue.Size, error)
}

// Around tells who shares the store. *queue.Store is one.
type Around interface {
	Sharing(ctx context.Context) (queue.Sharing, error)
}

// Config is what the handler shows and works on. All fields are needed.
type Config struct {
	Token   string       // asked for below /api; while it is "" everything there is refused
	Metrics http.Handler // answers /metrics
	Logger  *zap.Logger

	Version string    // of this program
	Started time.Time // when this process began to serve
	Mode    string    // ModeLive or ModeSandbox
	Account string    // host of the Freshmarketer account
	// Durability is what a call's 200 is worth.
	Durability Durability

	Calls []CallFate            // what happens to each type of call
	Door  func() []metrics.Came // what came by the door of this process

	Ready    func(ctx context.Context) error // nil: events can be stored now
	Sending  func() Sending                  // what the sender is doing
	User     func(userID string) string      // the token a userId is filed under
	Operator Operator                        // nil: this process does not send
	Letters  Letters
	Replays  Replays
	Journal  Journal
	Books    Books
	Around   Around
	Mapping  Mapping
	AuditLog AuditLog
	Exchange Exchange
	// Preview says what would become of letters if they were sent again, with values changed.
	Preview func(ctx context.Context, letters []queue.Letter, edits []queue.Edit) ([]Preview, error)
	Ages    func() replay.Ages // of the dead letters
	// Waiting looks for calls that are stored and not settled, of a user (a token), with a message id, or both; nil: this process
	// does not deliver.
	Waiting func(ctx context.Context, user, messageID string, limit int) (WaitingList, error)
	Level   Leveler // nil: how much is logged cannot be changed
	// Forecaster says what would be done with what waits; nil: this process does not send.
	Forecaster Forecaster
	// Forget puts calls into the log that erase users, or let erased ones come again, and returns their message ids.
	Forget func(ctx context.Context, userIDs []string, undo bool) (messageIDs []string, err error)
	// Erasing says whether calls of erased users may still be in the log's files.
	Erasing func(ctx context.Context) (bool, error)
	// Erased says since when a user is erased; the zero time: that user is not.
	Erased func(ctx context.Context, userID string) (time.Time, error)
}

// Modes of a service.
const (
	ModeLive    = "live"    // contacts of a real account are written
	ModeSandbox = "sandbox" // the account is the built-in sandbox
)

// server carries the configuration to the handlers.
type server struct {
	Config

	token [32]byte // digest of the token
}

// New returns the handler of the admin listener.
func New(cfg Config) http.Handler {
	s := &server{Config: cfg, token: digest(cfg.Token)}
	mux := http.NewServeMux()
	mux.Handle("/healthz", s.open(get(s.health)))
	mux.Handle("/readyz", s.open(get(s.ready)))
	mux.Handle("/metrics", cfg.Metrics)
	mux.Handle("/api/status", s.closed(get(s.status)))
	mux.Handle("/api/pause", s.closed(post(s.pause)))
	mux.Handle("/api/resume", s.closed(post(s.resume)))
	mux.Handle("/api/log-level", s.closed(byMethod(s.logLevel, s.setLogLevel)))
	mux.Handle("/api/letters", s.closed(get(s.letters)))
	mux.Handle("/api/letters/{id}", s.closed(get(s.letter)))
	mux.Handle("/api/letters/groups", s.closed(get(s.groups)))
	mux.Handle("/api/letters/count", s.closed(post(s.count)))
	mux.Handle("/api/letters/preview", s.closed(post(s.preview)))
	mux.Handle("/api/letters/export", s.closed(get(s.export)))
	mux.Handle("/api/letters/import", s.closed(post(s.importLetters)))
	mux.Handle("/api/replays", s.closed(byMethod(s.replays, s.startReplay)))
	mux.Handle("/api/replays/{id}", s.closed(get(s.replayRoute(s.Replays.Report, ""))))
	mux.Handle("/api/replays/{id}/stop", s.closed(post(s.replayRoute(s.Replays.Stop, "stop"))))
	mux.Handle("/api/replays/{id}/resume", s.closed(post(s.replayRoute(s.Replays.Continue, "resume"))))
	mux.Handle("/api/forget", s.closed(byMethod(s.erasing, s.forget)))
	mux.Handle("/api/events", s.closed(get(s.events)))
	s.mappingRoutes(mux)
	mux.Handle("/api/events/tail", s.closed(get(s.tail)))
	mux.Handle("/api/observe/report", s.closed(get(s.observeReport)))
	mux.Handle("/api/observe/user", s.closed(get(s.observeUser)))
	mux.Handle("/api/audit", s.closed(get(s.auditLog)))
	mux.Handle("/api/", s.closed(nothingHere))
	mux.Handle("/", s.open(nothingHere))
	return mux
}

// nothingHere answers paths that do not exist.
func nothingHere(http.ResponseWriter, *http.Request) error {
	return &problem{http.StatusNotFound, "there is nothing at this path", "see the documentation of the admin API"}
}
