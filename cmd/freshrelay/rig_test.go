package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/replay"
	"github.com/freshrelay/freshrelay/segment"
	"github.com/freshrelay/freshrelay/worker"
)

// rig is a service to talk to: the real admin handler over a store in memory, and a door that notes what comes.
type rig struct {
	*store

	admin, door *httptest.Server
	dir         string // working directory of the command line; holds data/admin.token
	p           *program
	level       zap.AtomicLevel // of the service's log
}

// store is the queue: letters and journal, and what a replay makes of a letter.
type store struct {
	fields   []mapping.Field
	unmapped []mapping.Unmapped
	resynced []string
	mu       sync.Mutex
	list     []queue.Letter
	journal  []queue.JournalEntry
	replayed []string
	onReplay func(*store, string) // what becomes of a letter; nil: it is delivered
	jobs     []*fakeJob
	many     int  // so many letters more, which are made as they are asked for
	deep     bool // what the journal has is not found at the first step back
	waiting  []admin.WaitingCall
	tailed   func() // called when a tail has shown everything
	audits   []queue.AuditEntry
	imported []queue.Letter
	requests []request
	answer   int                            // status of the door; 0: 200
	outcome  func(call) *queue.JournalEntry // what becomes of a call; nil: it is delivered
	paused   bool
	note     string // of the pause
	trimmed  bool   // nothing of erased users is in the log any more
	foresees forecaster
}

// Pause implements admin.Operator.
func (s *store) Pause(_ context.Context, _, note string) error {
	s.paused, s.note = true, note
	return nil
}

// Resume implements admin.Operator.
func (s *store) Resume(context.Context) error {
	s.paused = false
	return nil
}

// request is what the door got.
type request struct {
	path, auth, signature string
	body                  []byte
}

const testToken = "token-of-the-tests"

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{store: &store{tailed: func() {}}, dir: t.TempDir(), level: zap.NewAtomicLevel()}
	r.admin = httptest.NewServer(admin.New(admin.Config{
		Token: testToken, Metrics: http.NotFoundHandler(), Logger: zap.NewNop(), Version: "v1.2.3", Started: time.Now().Add(-3 * time.Hour),
		Mode: admin.ModeSandbox, Account: "acme.example",
		Calls: app.CallFates(config.Defaults()), Door: func() []metrics.Came {
			return []metrics.Came{{Type: "identify", Received: 12}, {Type: "track", Received: 5, Dropped: map[string]int{"not_forwarded": 4, "repeated\x1b": 1}}}
		},
		Ready: func(context.Context) error { return nil }, User: func(id string) string { return "hash-" + id },
		Sending: func() admin.Sending {
			estimate := 5400.0
			return admin.Sending{
				Paused: []admin.Pause{{Reason: "key_refused", Since: time.Now().Add(-time.Minute), Detail: "401\x1b[31m"}}, Mode: "canary",
				Quota:        []admin.Quota{{Window: "hour", Limit: 1000, Reserve: 100, Allowed: 450, Used: 200, Left: 250}},
				BacklogClear: func(int64) *float64 { return &estimate },
				Backfill:     &admin.Backfill{Reading: true, Pages: 120, Of: 500, Contacts: 12_000, Calls: 123, Waiting: 41_200, Left: 1500},
			}
		},
		Operator: r.store, Letters: r.store, Replays: r.store, Journal: r.store, Books: r.store, Around: r.store, AuditLog: r.store, Exchange: r.store,
		Waiting: func(context.Context, string, string, int) (admin.WaitingList, error) {
			return admin.WaitingList{Calls: r.waiting, Whole: true}, nil
		},
		Preview: r.preview, Ages: func() replay.Ages { return replay.Ages{Expiring: 2, Expires: time.Now().Add(time.Hour)} },
		Forecaster: &r.foresees, Level: r.level, Forget: r.forget, Erasing: func(context.Context) (bool, error) { return !r.trimmed, nil },
		Erased: r.erased,
		Mapping: admin.Mapping{
			Fields: func() ([]mapping.Field, time.Time) { return r.fields, time.Now() }, Unmapped: func() []mapping.Unmapped { return r.unmapped },
			Explain: r.explain, Resync: r.resync,
		},
	}))
	t.Cleanup(r.admin.Close)
	r.door = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.door.Close)
	writeFile(t, filepath.Join(r.dir, "data", admin.TokenFile), testToken+"\n")
	r.p = &program{dir: r.dir, environ: []string{}, http: newHTTPClient(), poll: time.Millisecond}
	r.p.serve = func(context.Context, config.Config, app.Options) error { return fmt.Errorf("not in this test") }
	return r
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// result is what a command line did.
type result struct {
	code        int
	out, errOut string
}

// run runs a command line against the rig, through pipes as in a script.
func (r *rig) run(t *testing.T, args ...string) result {
	t.Helper()
	return r.runCtx(t, t.Context(), args...)
}

func (r *rig) runCtx(t *testing.T, ctx context.Context, args ...string) result { //nolint:revive // t comes first in tests
	t.Helper()
	p := *r.p
	var out, errOut bytes.Buffer
	closeOut := pipeInto(t, &out, &p.stdout)
	closeErr := pipeInto(t, &errOut, &p.stderr)
	if p.stdin == nil {
		p.stdin = strings.NewReader("")
	}
	code := p.run(ctx, append([]string{"--admin-url", r.admin.URL}, args...))
	closeOut()
	closeErr()
	return result{code, out.String(), errOut.String()}
}

// pipeInto gives the program the writing end of a real pipe and copies what comes out.
func pipeInto(t *testing.T, into *bytes.Buffer, stream *io.Writer) (wait func()) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	*stream = write
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(into, read)
	}()
	return func() {
		_ = write.Close()
		<-done
		_ = read.Close()
	}
}

func wantCode(t *testing.T, got result, code int) {
	t.Helper()
	if got.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", got.code, code, got.out, got.errOut)
	}
}

func wantParts(t *testing.T, where, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: no %q in:\n%s", where, part, text)
		}
	}
}

func aLetter(n int, reason string) queue.Letter {
	return queue.Letter{
		ID: fmt.Sprintf("user.%d", n), User: "user", Position: uint64(n), MessageID: fmt.Sprintf("m-%d", n),
		Type: "identify", Source: "website", Reason: reason, Field: "cf_plan", Status: 400, Attempts: 3,
		FirstTry: time.Unix(100, 0).UTC(), LastTry: time.Unix(200, 0).UTC(), Error: "not a choice\x1b[2J",
		Event: segment.Received{
			Source: "website", Surface: segment.SurfaceTracking, At: time.Unix(99, 0).UTC(), Type: segment.Identify,
			MessageID: fmt.Sprintf("m-%d", n), UserID: "ada",
			Body: []byte(`{"type":"identify","userId":"ada","traits":{"email":"ada@example.com"}}`),
		}.Encode(),
	}
}

// take is the door: it checks form and notes the request, and settles each call at once.
func (s *store) take(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request{r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("X-Signature"), body})
	if s.answer != 0 {
		w.WriteHeader(s.answer)
		_, _ = w.Write([]byte(`{"success":false,"message":"unknown write key"}`))
		return
	}
	_, _ = w.Write([]byte(`{"success":true}`))
	ps, err := readPost("", body)
	if err != nil {
		return
	}
	for _, c := range ps.calls {
		e := &queue.JournalEntry{Outcome: "delivered", ContactID: "77"}
		if s.outcome != nil {
			e = s.outcome(c)
		}
		if e == nil || !c.stored(config.Forward{}) {
			continue
		}
		e.At, e.MessageID, e.Type = time.Now(), c.id, c.typ
		s.journal = append(s.journal, *e)
	}
}

func (s *store) Letters(_ context.Context, q queue.LetterQuery) (queue.LetterPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []queue.Letter
	for _, l := range s.list {
		if q.Matches(l) {
			out = append(out, l)
		}
	}
	total := len(out)
	after, _ := strconv.Atoi(q.After)
	if s.many > 0 {
		page := queue.LetterPage{Total: s.many}
		for n := after; n < min(s.many, after+q.Limit); n++ {
			page.Letters = append(page.Letters, aLetter(n, "invalid"))
		}
		if after+q.Limit < s.many {
			page.Next = strconv.Itoa(after + q.Limit)
		}
		return page, nil
	}
	out = out[min(q.Offset+after, total):]
	page := queue.LetterPage{Letters: out[:min(q.Limit, len(out))], Total: total}
	if len(page.Letters) < len(out) {
		page.Next = strconv.Itoa(after + len(page.Letters))
	}
	return page, nil
}

func (s *store) LetterGroups(_ context.Context, f queue.LetterFilter) ([]queue.LetterGroup, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var groups []queue.LetterGroup
	total := 0
	for _, l := range s.list {
		if !f.Matches(l) {
			continue
		}
		total++
		i := slices.IndexFunc(groups, func(g queue.LetterGroup) bool { return g.Cause == queue.Cause(l) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, queue.LetterGroup{Cause: queue.Cause(l), Reason: l.Reason, Field: l.Field, Status: l.Status, Error: l.Error})
		}
		groups[i].Count++
	}
	return groups, total, nil
}

func (s *store) Letter(_ context.Context, id string) (queue.Letter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.list {
		if l.ID == id {
			return l, nil
		}
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(id, "user.")); err == nil && n < s.many {
		return aLetter(n, "invalid"), nil
	}
	return queue.Letter{}, queue.ErrNoLetter
}

// deliver lets a letter be delivered; the store is locked.
func deliver(s *store, id string) {
	i := slices.IndexFunc(s.list, func(l queue.Letter) bool { return l.ID == id })
	s.journal = append(s.journal, queue.JournalEntry{At: time.Now(), MessageID: s.list[i].MessageID, Outcome: "delivered"})
	s.list = slices.Delete(s.list, i, i+1)
}

// failAgain lets a letter fail again.
func failAgain(s *store, id string) {
	i := slices.IndexFunc(s.list, func(l queue.Letter) bool { return l.ID == id })
	s.list[i].Attempts, s.list[i].LastTry = s.list[i].Attempts+1, time.Now()
}

// JournalBack has one line in each step, the newest first.
func (s *store) JournalBack(ctx context.Context, messageID string, since time.Time, before uint64) (found []queue.JournalEntry, next uint64, err error) {
	if found, err = s.Journal(ctx, queue.JournalQuery{MessageID: messageID, Since: since}); before == 0 && s.deep {
		return nil, 7, err
	}
	return found, 0, err
}

func (s *store) Journal(_ context.Context, q queue.JournalQuery) ([]queue.JournalEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []queue.JournalEntry
	for _, e := range s.journal {
		if (q.MessageID == "" || e.MessageID == q.MessageID) && (q.User == "" || e.User == q.User) && !e.At.Before(q.Since) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (*store) Sharing(context.Context) (queue.Sharing, error) { return queue.Sharing{}, nil }

func (s *store) Ledger(context.Context) (queue.Ledger, error) {
	return queue.Ledger{
		Accepted: 12, Delivered: 7, Discarded: 2, Dead: 1, Pending: 1, Oldest: time.Now().Add(-90 * time.Second),
		Counts: map[queue.Count]int64{
			{Type: "identify", Outcome: queue.Discarded, Reason: "missing_email"}: 2,
			{Type: "identify", Outcome: queue.Dead, Reason: "invalid"}:            1,
		},
	}, nil
}

func (s *store) Sizes(context.Context) (map[string]queue.Size, error) {
	return map[string]queue.Size{"EVENTS": {Bytes: 3 << 20}, "STATE": {Bytes: 100}, "DEAD": {Bytes: 91, Limit: 100}}, nil
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return v
}

// explain is the service's way to explain, with the store's fields and nothing remembered.
func (s *store) explain(ctx context.Context, source string, calls [][]byte) ([]mapping.Explanation, error) {
	e := worker.Explainer{Fields: mapping.NewCatalogue(s.fields), Now: time.Now()}
	list, _, err := e.Explain(ctx, source, calls)
	return list, err
}

func (s *store) resync(_ context.Context, user string) error {
	s.resynced = append(s.resynced, user)
	return nil
}
