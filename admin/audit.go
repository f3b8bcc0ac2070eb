package admin

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/freshrelay/freshrelay/queue"
)

// ActorHeader says who sits at the command line. The token vouches for the right to act, not for the name.
const ActorHeader = "Freshrelay-Actor"

// AuditLog keeps what operators did. *queue.Store is one.
type AuditLog interface {
	Audit(ctx context.Context, e queue.AuditEntry) error
	AuditLog(ctx context.Context, after uint64, limit int) ([]queue.AuditEntry, error)
}

// AuditList is the answer of /api/audit, oldest first.
type AuditList struct {
	Entries []queue.AuditEntry `json:"entries"`
}

const (
	maxAudit  = 1000
	maxActor  = 64
	maxDetail = 500
)

// audit writes down what an operator is about to do to count letters or users. It comes before the deed: what cannot be
// written down is not done. detail holds no personal data: tokens and ids, never a userId, an address or a value.
func (s *server) audit(r *http.Request, action string, count int, detail string) error {
	e := queue.AuditEntry{Actor: actor(r), Action: action, Count: count, Detail: cut(detail, maxDetail)}
	if err := s.AuditLog.Audit(r.Context(), e); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// actor is who a request says it is from.
func actor(r *http.Request) string {
	name := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return -1
	}, r.Header.Get(ActorHeader))
	if name == "" {
		return "unknown"
	}
	return cut(name, maxActor)
}

func cut(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}

// address finds what looks like one, so that a note does not name people.
var address = regexp.MustCompile(`[^\s@]+@[^\s@]+`)

func withoutAddresses(s string) string { return address.ReplaceAllLiteralString(s, "[email]") }

// selected describes a selection for the audit log. What could name somebody is left out: a message id, a text.
func selected(sel Selection) string {
	f := sel.Filter.LetterFilter
	switch {
	case sel.All:
		return "all letters"
	case len(sel.IDs) > 3:
		return fmt.Sprintf("%s and %d more", strings.Join(sel.IDs[:3], ", "), len(sel.IDs)-3)
	case len(sel.IDs) > 0:
		return strings.Join(sel.IDs, ", ")
	}
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"reason", f.Reason}, {"type", f.Type}, {"source", f.Source}, {"field", f.Field}, {"cause", f.Cause}, {"user", f.User},
	} {
		if p.value != "" {
			parts = append(parts, p.name+" "+withoutAddresses(p.value))
		}
	}
	if f.Status != 0 {
		parts = append(parts, fmt.Sprintf("status %d", f.Status))
	}
	for _, p := range []struct {
		name string
		at   time.Time
	}{{"since", f.Since}, {"until", f.Until}} {
		if !p.at.IsZero() {
			parts = append(parts, p.name+" "+p.at.UTC().Format(time.RFC3339))
		}
	}
	if f.MessageID != "" {
		parts = append(parts, "one message id")
	}
	if f.Text != "" {
		parts = append(parts, "a text")
	}
	return strings.Join(parts, ", ")
}

func (s *server) auditLog(w http.ResponseWriter, r *http.Request) error {
	v, err := queryOf(r, "after", "limit")
	if err != nil {
		return err
	}
	after, err := number(v, "after", 0, 0, 1<<53)
	if err != nil {
		return err
	}
	limit, err := number(v, "limit", 100, 1, maxAudit)
	if err != nil {
		return err
	}
	entries, err := s.AuditLog.AuditLog(r.Context(), uint64(after), limit)
	if err != nil {
		return err
	}
	if entries == nil {
		entries = []queue.AuditEntry{}
	}
	return answer(w, http.StatusOK, AuditList{Entries: entries})
}
