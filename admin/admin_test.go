package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
	"github.com/freshrelay/freshrelay/segment"
)

const token = "a-token-of-some-length"

// store is the queue of these tests: a list of letters, and errors on demand.
type store struct {
	older    uint64 // before of the step back that JournalBack proposes
	fields   []mapping.Field
	unmapped []mapping.Unmapped
	resynced []string
	list     []queue.Letter
	journal  []queue.JournalEntry
	ledger   queue.Ledger
	sharing  queue.Sharing
	orders   []string
	jobs     []replay.Job
	audits   []queue.AuditEntry
	imported []queue.Letter
	edits    []queue.Edit // of the last preview
	failing  error        // of every call
	query    queue.LetterQuery
}

func (s *store) Letters(_ context.Context, q queue.LetterQuery) (queue.LetterPage, error) {
	s.query = q
	var out []queue.Letter
	for _, l := range s.list {
		if q.Reason == "" || l.Reason == q.Reason {
			l.Event = nil
			out = append(out, l)
		}
	}
	return queue.LetterPage{Letters: out, Total: len(out)}, s.failing
}

func (s *store) Letter(_ context.Context, id string) (queue.Letter, error) {
	for _, l := range s.list {
		if l.ID == id {
			return l, s.failing
		}
	}
	return queue.Letter{}, errors.Join(s.failing, queue.ErrNoLetter)
}

func (s *store) LetterGroups(_ context.Context, f queue.LetterFilter) ([]queue.LetterGroup, int, error) {
	var groups []queue.LetterGroup
	for _, l := range s.list {
		if f.Matches(l) {
			groups = append(groups, queue.LetterGroup{Cause: queue.Cause(l), Reason: l.Reason, Count: 1})
		}
	}
	return groups, len(groups), s.failing
}

func (s *store) Start(_ context.Context, j replay.Job) (replay.Report, error) {
	s.jobs = append(s.jobs, j)
	return replay.Report{ID: replay.Name(7), Action: j.Action, Actor: j.Actor, State: replay.StateRunning}, s.failing
}

func (s *store) about(id uint64, state string) (replay.Report, error) {
	if id != 7 {
		return replay.Report{}, replay.ErrNoJob
	}
	return replay.Report{ID: "7", State: state}, s.failing
}

func (s *store) Stop(_ context.Context, id uint64) (replay.Report, error) {
	return s.about(id, replay.StateStopped)
}

func (s *store) Continue(context.Context, uint64) (replay.Report, error) {
	return replay.Report{}, fmt.Errorf("%w: it is done", replay.ErrState)
}

func (s *store) Report(_ context.Context, id uint64) (replay.Report, error) {
	return s.about(id, replay.StateRunning)
}

func (s *store) Reports(context.Context) ([]replay.Report, error) { return nil, s.failing }

func (s *store) Audit(_ context.Context, e queue.AuditEntry) error {
	if s.failing != nil {
		return s.failing
	}
	s.audits = append(s.audits, e)
	return nil
}

func (s *store) AuditLog(context.Context, uint64, int) ([]queue.AuditEntry, error) {
	return s.audits, s.failing
}

func (s *store) Import(_ context.Context, letters []queue.Letter) error {
	s.imported = append(s.imported, letters...)
	return s.failing
}

func (*store) ID() string { return "this-store" }

func (s *store) JournalTail(_ context.Context, after uint64, _ int) ([]queue.JournalEntry, uint64, error) {
	return s.journal, after + 1, s.failing
}

func (*store) JournalOff() bool { return false }

func (s *store) Pause(_ context.Context, by, note string) error {
	s.orders = append(s.orders, strings.TrimSpace("pause "+by+" "+note))
	return s.failing
}

func (s *store) Resume(context.Context) error {
	s.orders = append(s.orders, "resume")
	return s.failing
}

func (s *store) JournalBack(ctx context.Context, messageID string, since time.Time, before uint64) ([]queue.JournalEntry, uint64, error) {
	if before > 0 {
		return nil, 0, s.failing
	}
	found, err := s.Journal(ctx, queue.JournalQuery{MessageID: messageID, Since: since})
	return found, s.older, err
}

func (s *store) Journal(_ context.Context, q queue.JournalQuery) ([]queue.JournalEntry, error) {
	var out []queue.JournalEntry
	for _, e := range s.journal {
		if e.MessageID == q.MessageID && !e.At.Before(q.Since) {
			out = append(out, e)
		}
	}
	return out, s.failing
}

func (s *store) Ledger(context.Context) (queue.Ledger, error) { return s.ledger, s.failing }

func (s *store) Sharing(context.Context) (queue.Sharing, error) { return s.sharing, s.failing }

func (s *store) Sizes(context.Context) (map[string]queue.Size, error) {
	return map[string]queue.Size{"EVENTS": {Bytes: 5}, "DEAD": {Bytes: 91, Limit: 100}, "JOURNAL": {Bytes: 9, Limit: 9}}, s.failing
}

func (s *store) explain(_ context.Context, source string, calls [][]byte) ([]mapping.Explanation, error) {
	out := make([]mapping.Explanation, len(calls))
	for i, c := range calls {
		out[i] = mapping.Explanation{Source: source, UserID: string(c), Outcome: "delivered", Traits: []mapping.Fate{}, Requests: []mapping.Request{}}
	}
	return out, s.failing
}

func (s *store) resync(_ context.Context, user string) error {
	s.resynced = append(s.resynced, user)
	return s.failing
}

// service is a handler to ask, with what is behind it.
type service struct {
	http.Handler

	store *store
	logs  *observer.ObservedLogs
	cfg   *Config
}

func newService(t *testing.T, change ...func(*Config)) service {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	st := &store{}
	cfg := Config{
		Token:   token,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("freshrelay_up 1\n")) }),
		Logger:  zap.New(core),
		Version: "v1.2.3", Started: time.Unix(1000, 0).UTC(), Mode: ModeSandbox, Account: "acme.example", Durability: Durability{Means: "replicated", Declared: true},
		Door:     func() []metrics.Came { return nil },
		Ready:    func(context.Context) error { return nil },
		Sending:  func() Sending { return Sending{} },
		User:     func(id string) string { return "hash-of-" + id },
		Operator: st, Letters: st, Replays: st, Journal: st, Books: st, Around: st, AuditLog: st, Exchange: st,
		Mapping: Mapping{
			Fields:   func() ([]mapping.Field, time.Time) { return st.fields, time.Unix(4000, 0) },
			Unmapped: func() []mapping.Unmapped { return st.unmapped },
			Explain:  st.explain, Resync: st.resync,
		},
		Ages: func() replay.Ages { return replay.Ages{Expiring: 4, Oldest: time.Unix(50, 0).UTC()} },
		Preview: func(_ context.Context, letters []queue.Letter, edits []queue.Edit) ([]Preview, error) {
			st.edits = edits
			return []Preview{{ID: letters[0].ID, Outcome: queue.Delivered, Requests: []PreviewRequest{{Method: "PUT", Path: "/x", Body: json.RawMessage(`{"contact":{"email":"ada@example.com"}}`)}}}}, st.failing
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	return service{Handler: New(cfg), store: st, logs: logs, cfg: &cfg}
}

// ask sends a request with the token.
func (s service) ask(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// read asks and decodes the answer, which must have the status.
func read[T any](t *testing.T, s service, method, path, body string, status int) T {
	t.Helper()
	w := s.ask(t, method, path, body)
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != status {
		t.Fatalf("%s %s: %d (want %d), %v\n%s", method, path, w.Code, status, err, w.Body)
	}
	return v
}

func aLetter(n int, reason string) queue.Letter {
	return queue.Letter{
		ID: fmt.Sprintf("user.%d", n), User: "user", Position: uint64(n), MessageID: fmt.Sprintf("m-%d", n),
		Type: "identify", Source: "website", Reason: reason, Field: "cf_plan", Status: 400, Attempts: 3,
		FirstTry: time.Unix(100, 0).UTC(), LastTry: time.Unix(200, 0).UTC(), Error: "not a choice",
		Event: segment.Received{
			Source: "website", Surface: segment.SurfaceTracking, At: time.Unix(99, 0).UTC(), Type: segment.Identify,
			MessageID: fmt.Sprintf("m-%d", n), UserID: "ada",
			Body: []byte(`{"type":"identify","userId":"ada","messageId":"m","traits":{"email":"ada@example.com","age":36}}`),
		}.Encode(),
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, tt := range map[string]struct {
		header string
		want   int
	}{
		"none":            {"", 401},
		"right":           {"Bearer " + token, 200},
		"scheme in lower": {"bearer " + token, 200},
		"wrong":           {"Bearer " + token + "x", 401},
		"prefix":          {"Bearer " + token[:8], 401},
		"empty":           {"Bearer ", 401},
		"basic":           {"Basic " + token, 401},
		"without scheme":  {token, 401},
	} {
		r := httptest.NewRequest(http.MethodGet, "/api/status", nil)
		if tt.header != "" {
			r.Header.Set("Authorization", tt.header)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.want)
		}
		if w.Code == 401 && (w.Header().Get("WWW-Authenticate") == "" || strings.Contains(w.Body.String(), token)) {
			t.Errorf("%s: %v %s", name, w.Header(), w.Body)
		}
	}
}

// TestEveryAPIPathIsClosed: whatever is added below /api must ask for the token, and an empty token opens nothing.
func TestEveryAPIPathIsClosed(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]service{
		"with a token": newService(t), "without": newService(t, func(c *Config) { c.Token = "" }),
	} {
		for _, path := range []string{
			"/api/status", "/api/letters", "/api/letters/a.1", "/api/letters/groups", "/api/letters/count", "/api/letters/preview",
			"/api/letters/export", "/api/letters/import", "/api/replays", "/api/replays/7", "/api/replays/7/stop", "/api/events",
			"/api/events/tail", "/api/audit",
			"/api/mapping/fields", "/api/mapping/unmapped", "/api/mapping/suggestions", "/api/mapping/explain", "/api/resync",
			"/api/", "/api/unknown", "/api/letters/a.1/more", "/api/pause", "/api/resume",
		} {
			for _, header := range []string{"", "Bearer "} {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Authorization", header)
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusUnauthorized {
					t.Errorf("%s: %s with %q answers %d", name, path, header, w.Code)
				}
			}
		}
	}
}

func TestErrorsAreJSON(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		part               string
	}{
		"no such path":        {"GET", "/apis", "", 404, "nothing at this path"},
		"no such API":         {"GET", "/api/unknown", "", 404, "nothing at this path"},
		"wrong method":        {"POST", "/api/status", "", 405, "does not take POST"},
		"GET pause":           {"GET", "/api/pause", "", 405, "does not take GET"},
		"GET a count":         {"GET", "/api/letters/count", "", 405, "does not take GET"},
		"PUT replays":         {"PUT", "/api/replays", "", 405, "does not take PUT"},
		"no such replay":      {"GET", "/api/replays/8", "", 404, "no such replay"},
		"no replay's name":    {"POST", "/api/replays/!/stop", "", 404, "no such replay"},
		"resume what is done": {"POST", "/api/replays/7/resume", "", 409, "it is done"},
		"status in words":     {"GET", "/api/letters?status=bad", "", 400, "status"},
		"since not a time":    {"GET", "/api/letters?since=today", "", 400, "since is not a time"},
		"DELETE letter":       {"DELETE", "/api/letters/a.1", "", 405, "does not take DELETE"},
		"no such letter":      {"GET", "/api/letters/a.1", "", 404, "no such dead letter"},
		"limit in words":      {"GET", "/api/letters?limit=all", "", 400, "limit"},
		"limit too high":      {"GET", "/api/letters?limit=1001", "", 400, "1 to 1000"},
		"offset below 0":      {"GET", "/api/letters?offset=-1", "", 400, "offset"},
		"misspelt filter":     {"GET", "/api/letters?reasn=x", "", 400, `no parameter "reasn"`},
		"filter twice":        {"GET", "/api/letters?type=a&type=b", "", 400, "more than once"},
		"no message id":       {"GET", "/api/events", "", 400, "message_id is missing"},
		"since in words":      {"GET", "/api/events?message_id=x&since=today", "", 400, "since is not a time"},
		"replay nothing":      {"POST", "/api/replays", "{}", 400, "which letters it means"},
		"replay two ways":     {"POST", "/api/replays", `{"all":true,"filter":{"reason":"x"}}`, 400, "which letters it means"},
		"nobody's letters":    {"POST", "/api/replays", `{"all":true}`, 400, "no dead letter is selected"},
		"misspelt selection":  {"POST", "/api/replays", `{"alll":true}`, 400, "alll"},
		"misspelt in filter":  {"POST", "/api/replays", `{"filter":{"reasn":"x"}}`, 400, "reasn"},
		"an unknown action":   {"POST", "/api/replays", `{"all":true,"action":"burn"}`, 400, "no such action"},
		"discard, no note":    {"POST", "/api/replays", `{"all":true,"action":"discard"}`, 400, "needs a note"},
		"a note on a replay":  {"POST", "/api/replays", `{"all":true,"note":"x"}`, 400, "a note belongs"},
		"edit the userId":     {"POST", "/api/replays", `{"all":true,"edits":[{"path":"userId","value":1}]}`, 400, "cannot be edited"},
		"preview an edit":     {"POST", "/api/letters/preview", `{"all":true,"edits":[{"path":"x"}]}`, 400, "cannot be edited"},
		"replay without JSON": {"POST", "/api/replays", "all", 400, "not what this path takes"},
		"replay two values":   {"POST", "/api/replays", `{"all":true}{"all":true}`, 400, "more than one JSON value"},
		"replay an essay":     {"POST", "/api/replays", `{"note":"` + strings.Repeat("x", maxBody) + `"}`, 413, "larger than"},
		"too many ids":        {"POST", "/api/letters/count", `{"ids":["a"` + strings.Repeat(`,"a"`, replay.MaxIDs) + `]}`, 400, "more than 5000"},
		"import nothing":      {"POST", "/api/letters/import", `{"letters":[{}]}`, 400, "letter 1 of this part"},
	} {
		w := s.ask(t, tt.method, tt.path, tt.body)
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != tt.status {
			t.Errorf("%s: %d (want %d), %v\n%s", name, w.Code, tt.status, err, w.Body)
		}
		if !strings.Contains(p.Error, tt.part) || p.Mend == "" {
			t.Errorf("%s: %+v has no %q or no mend", name, p, tt.part)
		}
		if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get(APIHeader) != APIVersion || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, h)
		}
	}
}

// TestStoreTrouble: what the store says becomes a status the caller can act on, and its own words stay in the log.
func TestStoreTrouble(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
	}{
		"unavailable": {queue.ErrUnavailable, 503},
		"full":        {queue.ErrFull, 503},
		"too slow":    {context.DeadlineExceeded, 503},
		"unknown":     {errors.New("ada@example.com broke it"), 500},
	} {
		s := newService(t)
		s.store.failing = fmt.Errorf("wrapped: %w", tt.err)
		for _, path := range []string{"/api/status", "/api/letters", "/api/events?message_id=x"} {
			p := read[Problem](t, s, "GET", path, "", tt.status)
			if p.Error == "" || p.Mend == "" || strings.Contains(p.Error, "ada@") {
				t.Errorf("%s: %s: %+v", name, path, p)
			}
		}
		if s.logs.Len() != 3 {
			t.Errorf("%s: %d log lines, want 3", name, s.logs.Len())
		}
		if got := s.ask(t, "GET", "/api/status", "").Header().Get("Retry-After"); (got != "") != (tt.status == 503) {
			t.Errorf("%s: Retry-After = %q", name, got)
		}
	}
}

func TestNoPersonalDataInLogs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.store.list = []queue.Letter{aLetter(1, "invalid")}
	s.store.failing = queue.ErrUnavailable
	s.ask(t, "GET", "/api/letters?user_id=ada@example.com", "")
	s.ask(t, "GET", "/api/events?message_id=ada@example.com", "")
	s.store.failing = nil
	s.ask(t, "GET", "/api/letters/user.1?reveal=true", "")
	s.ask(t, "POST", "/api/replays", `{"ids":["user.1"]}`)
	s.ask(t, "GET", "/api/letters/export?user_id=ada@example.com&message_id=ada@example.com&text=ada@example.com", "")
	for _, e := range s.store.audits {
		if strings.Contains(fmt.Sprint(e), "ada") {
			t.Errorf("the audit log names somebody: %+v", e)
		}
	}
	for _, entry := range s.logs.All() {
		line := entry.Message + fmt.Sprint(entry.ContextMap())
		if strings.Contains(line, "ada") || strings.Contains(line, token) {
			t.Errorf("a log line names somebody: %s", line)
		}
	}
	if s.logs.FilterMessage("event of a dead letter revealed").Len() != 1 || len(s.store.audits) < 2 {
		t.Errorf("looking and replaying leave no trace: %v", s.logs.All())
	}
}

// TestMistakesAreNoAlarm: an id that is mistyped is not an error of the service, a store that fails is.
func TestMistakesAreNoAlarm(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.ask(t, http.MethodGet, "/api/letters/a.1", "")
	if n := s.logs.FilterLevelExact(zapcore.ErrorLevel).Len(); n != 0 {
		t.Errorf("%d errors in the log: %v", n, s.logs.All())
	}
	s.store.failing = queue.ErrUnavailable
	s.ask(t, http.MethodGet, "/api/letters", "")
	if n := s.logs.FilterLevelExact(zapcore.ErrorLevel).Len(); n != 1 {
		t.Errorf("%d errors in the log, want 1: %v", n, s.logs.All())
	}
}
