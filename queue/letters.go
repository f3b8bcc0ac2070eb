package queue

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const defaultLetters = 100

// ErrQuery says that a query's order or cursor is none; its text says what would be one.
var ErrQuery = errors.New("the query cannot be answered")

// LetterFilter selects dead letters. Empty fields do not filter.
type LetterFilter struct {
	Reason    string    `json:"reason,omitempty"`
	User      string    `json:"user,omitempty"` // token
	Type      string    `json:"type,omitempty"`
	Source    string    `json:"source,omitempty"`
	MessageID string    `json:"message_id,omitempty"`
	Field     string    `json:"field,omitempty"`
	Cause     string    `json:"cause,omitempty"` // as Cause makes it
	Text      string    `json:"text,omitempty"`  // in the error, in any letter case
	Status    int       `json:"status,omitempty"`
	Since     time.Time `json:"since,omitzero"` // of the last try
	Until     time.Time `json:"until,omitzero"` // of the last try; itself excluded
	// FirstBefore selects letters that were tried first before it: by age, however often they were tried again.
	FirstBefore time.Time `json:"first_before,omitzero"`
}

// LetterQuery asks for a page of the letters that a filter selects.
type LetterQuery struct {
	LetterFilter

	// Sort is one of LetterSorts, with a - before it for the reverse. "" is the order in which they were set aside last.
	Sort  string
	Limit int // 0 means 100
	// Offset leaves out so many; After goes on behind an earlier page, at the same price however far.
	Offset int
	After  string
}

// LetterPage is the answer to a LetterQuery.
type LetterPage struct {
	Letters []Letter // without their events
	Total   int      // letters that match, those of other pages included
	Next    string   // After of the next page; "" if this is the last
}

// All says that the filter lets every letter through.
func (f LetterFilter) All() bool { return f == LetterFilter{} }

// Matches says whether the filter lets a letter through.
func (f LetterFilter) Matches(l Letter) bool {
	return (f.Reason == "" || f.Reason == l.Reason) && (f.User == "" || f.User == l.User) && (f.Type == "" || f.Type == l.Type) &&
		(f.Source == "" || f.Source == l.Source) && (f.MessageID == "" || f.MessageID == l.MessageID) &&
		(f.Field == "" || f.Field == l.Field) && (f.Status == 0 || f.Status == l.Status) &&
		(f.Since.IsZero() || !l.LastTry.Before(f.Since)) && (f.Until.IsZero() || l.LastTry.Before(f.Until)) &&
		(f.FirstBefore.IsZero() || l.FirstTry.Before(f.FirstBefore)) &&
		(f.Text == "" || strings.Contains(strings.ToLower(l.Error), strings.ToLower(f.Text))) && (f.Cause == "" || f.Cause == Cause(l))
}

// may is a cheap first look at a header's JSON: false says surely that the filter does not match. Decoding a million headers
// costs seconds, and most filters match few.
func (f LetterFilter) may() func(head string) bool {
	var parts []string
	for name, value := range map[string]string{"reason": f.Reason, "type": f.Type, "source": f.Source, "field": f.Field} {
		if value != "" && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }) {
			parts = append(parts, `"`+name+`":"`+value+`"`)
		}
	}
	if f.Status != 0 {
		parts = append(parts, `"status":`+strconv.Itoa(f.Status)+",")
	}
	return func(head string) bool {
		for _, part := range parts {
			if !strings.Contains(head, part) {
				return false
			}
		}
		return true
	}
}

// Letters answers a query. It holds no more than the page, whatever DEAD holds: without a sort it stops as soon as it can;
// with one it looks at every letter and keeps the page. Error: ErrQuery.
func (s *Store) Letters(ctx context.Context, q LetterQuery) (LetterPage, error) {
	if q.Limit <= 0 {
		q.Limit = defaultLetters
	}
	by, err := orderOf(q.Sort)
	if err != nil {
		return LetterPage{}, err
	}
	if by == nil {
		return s.lettersAsStored(ctx, q)
	}
	after, err := decodeCursor(q.After)
	if err != nil {
		return LetterPage{}, err
	}
	// The page's letters, the last on top: one more than the page tells that there is a next one.
	top := &sortedLetters{by: by}
	total, keep := 0, q.Offset+q.Limit+1
	err = s.scanLetters(ctx, letterScan{user: q.User, may: q.may()}, func(_ uint64, l Letter) (bool, error) {
		if !q.Matches(l) {
			return true, nil
		}
		total++
		if k := by(l); q.After == "" || k.compare(after) > 0 {
			heap.Push(top, keyed{k, l})
			if top.Len() > keep {
				heap.Pop(top)
			}
		}
		return true, nil
	})
	if err != nil {
		return LetterPage{}, err
	}
	slices.SortFunc(top.list, func(a, b keyed) int { return a.key.compare(b.key) })
	rest := top.list[min(q.Offset, len(top.list)):]
	page := LetterPage{Total: total}
	for _, k := range rest[:min(q.Limit, len(rest))] {
		page.Letters = append(page.Letters, k.letter)
	}
	if len(rest) > q.Limit {
		page.Next = rest[q.Limit-1].key.cursor()
	}
	return page, nil
}

// lettersAsStored pages by the sequence in DEAD. Where the number of letters is known without a look at them, it stops at the
// page's end.
func (s *Store) lettersAsStored(ctx context.Context, q LetterQuery) (LetterPage, error) {
	after := uint64(0)
	if q.After != "" {
		n, err := strconv.ParseUint(q.After, 10, 64)
		if err != nil {
			return LetterPage{}, fmt.Errorf("%w: after is not the next of an earlier page", ErrQuery)
		}
		after = n
	}
	var page LetterPage
	total, known, err := s.count(ctx, q.LetterFilter)
	if err != nil {
		return LetterPage{}, err
	}
	scan := letterScan{user: q.User, may: q.may()}
	if known {
		page.Total, scan.from = total, after+1
	}
	last, matched := uint64(0), 0
	if known && total == 0 {
		return page, nil
	}
	err = s.scanLetters(ctx, scan, func(seq uint64, l Letter) (bool, error) {
		if !q.Matches(l) {
			return true, nil
		}
		if !known {
			page.Total++
		}
		if seq <= after {
			return true, nil
		}
		switch matched++; {
		case matched <= q.Offset:
		case len(page.Letters) < q.Limit:
			page.Letters, last = append(page.Letters, l), seq
			if known && after == 0 && matched == total {
				return false, nil // there is no other, however long one looks
			}
		default:
			page.Next = strconv.FormatUint(last, 10)
			return !known, nil
		}
		return true, nil
	})
	return page, err
}

// LettersFrom reads up to limit matching letters with a sequence in DEAD from first to last, and says with which sequence the
// next call begins: one above last when there are no more. Each letter that is set aside anew gets a new sequence.
func (s *Store) LettersFrom(ctx context.Context, f LetterFilter, first, last uint64, limit int) (letters []Letter, next uint64, err error) {
	next = last + 1
	err = s.scanLetters(ctx, letterScan{user: f.User, from: first, may: f.may()}, func(seq uint64, l Letter) (bool, error) {
		switch {
		case seq > last:
			return false, nil
		case !f.Matches(l):
			return true, nil
		case len(letters) == limit:
			next = seq
			return false, nil
		}
		letters = append(letters, l)
		return true, nil
	})
	return letters, next, err
}

// LastLetter is the sequence of the letter that was set aside last.
func (s *Store) LastLetter(ctx context.Context) (uint64, error) {
	info, err := s.dead.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the state of DEAD: %w", err)
	}
	return info.State.LastSeq, nil
}

// LetterSorts are the orders of a list besides the one in which letters were set aside last.
func LetterSorts() []string {
	return []string{"attempts", "first_try", "last_try", "message_id", "position", "reason", "source", "type", "user"}
}

// sortKey is what letters are sorted by; the id makes it unique.
type sortKey struct {
	text, id string
	reverse  bool
}

func (k sortKey) compare(o sortKey) int {
	c := cmp.Or(cmp.Compare(k.text, o.text), cmp.Compare(k.id, o.id))
	if k.reverse {
		return -c
	}
	return c
}

func (k sortKey) cursor() string {
	direction := "+"
	if k.reverse {
		direction = "-"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(direction + k.id + " " + k.text))
}

func decodeCursor(cursor string) (sortKey, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	id, text, found := strings.Cut(string(raw), " ")
	if cursor != "" && (err != nil || !found || len(id) < 2) {
		return sortKey{}, fmt.Errorf("%w: after is not the next of an earlier page", ErrQuery)
	}
	if cursor == "" {
		return sortKey{}, nil
	}
	return sortKey{text: text, id: id[1:], reverse: id[0] == '-'}, nil
}

// orderOf makes the function that gives a letter's key; nil for the order of DEAD itself.
func orderOf(sort string) (func(Letter) sortKey, error) {
	name, reverse := strings.CutPrefix(sort, "-")
	if name == "" && !reverse {
		return nil, nil //nolint:nilnil // no order of its own is an ordinary answer here
	}
	if !slices.Contains(LetterSorts(), name) {
		return nil, fmt.Errorf("%w: there is no sort %q: use one of %s, with - before it for the reverse", ErrQuery, sort, strings.Join(LetterSorts(), ", "))
	}
	return func(l Letter) sortKey { return sortKey{text: textOf(l, name), id: l.ID, reverse: reverse} }, nil
}

// textOf is a letter's value as text that sorts like the value.
func textOf(l Letter, name string) string {
	number := func(n uint64) string { return fmt.Sprintf("%020d", n) }
	switch name {
	case "attempts":
		return number(uint64(max(l.Attempts, 0)))
	case "first_try":
		return number(uint64(max(l.FirstTry.UnixNano(), 0)))
	case "last_try":
		return number(uint64(max(l.LastTry.UnixNano(), 0)))
	case "position":
		return number(l.Position)
	case "message_id":
		return l.MessageID
	case "reason":
		return l.Reason
	case "source":
		return l.Source
	case "type":
		return l.Type
	}
	return l.User
}

type keyed struct {
	key    sortKey
	letter Letter
}

// sortedLetters is a heap with the last of the order on top.
type sortedLetters struct {
	by   func(Letter) sortKey
	list []keyed
}

func (h *sortedLetters) Len() int           { return len(h.list) }
func (h *sortedLetters) Less(i, j int) bool { return h.list[i].key.compare(h.list[j].key) > 0 }
func (h *sortedLetters) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *sortedLetters) Push(x any)         { h.list = append(h.list, x.(keyed)) } //nolint:forcetypeassert // only Letters pushes
func (h *sortedLetters) Pop() any {
	last := h.list[len(h.list)-1]
	h.list = h.list[:len(h.list)-1]
	return last
}
