package queue

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
	"time"
)

// maxGroups bounds what a grouping holds. Letters beyond so many different causes are counted in one group of their own.
const maxGroups = 1000

// CauseOther is the cause of the group of letters beyond the limit of groups. It selects nothing.
const CauseOther = "other"

// LetterGroup is the letters with one cause: what one mend should help.
type LetterGroup struct {
	Cause  string    `json:"cause"` // selects the group's letters
	Reason string    `json:"reason"`
	Field  string    `json:"field"`
	Status int       `json:"status"`
	Error  string    `json:"error"` // of one of them
	Count  int       `json:"count"`
	First  time.Time `json:"first"`  // earliest first try; it can be of a letter that is gone
	Last   time.Time `json:"last"`   // latest last try; the same
	Sample string    `json:"sample"` // id of one of them; "" if none is known without looking for it
}

// Cause names why a letter is one, so that letters which one mend should help have the same: reason, field, status, and the
// error without what differs from letter to letter. Values are not in a stored error, only numbers and ids are left to take out.
func Cause(l Letter) string {
	text := strings.Join([]string{l.Reason, l.Field, strconv.Itoa(l.Status), withoutNumbers(l.Error)}, "\x00")
	sum := sha256.Sum256([]byte(text))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:5]))
}

// withoutNumbers makes one of each run of digits.
func withoutNumbers(s string) string {
	var b strings.Builder
	digits := false
	for _, r := range s {
		digit := r >= '0' && r <= '9'
		if !digit {
			b.WriteRune(r)
		} else if !digits {
			b.WriteByte('#')
		}
		digits = digit
	}
	return b.String()
}

// LetterGroups groups the letters that a filter selects by cause, the largest group first, and says how many letters match.
func (s *Store) LetterGroups(ctx context.Context, f LetterFilter) (groups []LetterGroup, total int, err error) {
	info, err := s.letterInfo(ctx)
	if err != nil {
		return nil, 0, err
	}
	if groups, total, ok := s.figures.groups(f, int(lettersIn(info))); ok {
		return groups, total, nil
	}
	found := map[string]*LetterGroup{}
	err = s.scanLetters(ctx, letterScan{user: f.User, may: f.may()}, func(_ uint64, l Letter) (bool, error) {
		if f.Matches(l) {
			total++
			addToGroup(found, l)
		}
		return true, nil
	})
	if err != nil {
		return nil, 0, err
	}
	return sortedGroups(found), total, nil
}

func addToGroup(found map[string]*LetterGroup, l Letter) {
	cause := Cause(l)
	g := found[cause]
	if g == nil && len(found) >= maxGroups {
		cause = CauseOther
		g = found[cause]
	}
	if g == nil {
		g = &LetterGroup{Cause: cause, Reason: l.Reason, Field: l.Field, Status: l.Status, Error: l.Error, First: l.FirstTry, Last: l.LastTry, Sample: l.ID}
		if cause == CauseOther {
			g.Reason, g.Field, g.Status, g.Error = CauseOther, "", 0, ""
		}
		found[cause] = g
	}
	g.Count++
	if l.FirstTry.Before(g.First) {
		g.First = l.FirstTry
	}
	if l.LastTry.After(g.Last) {
		g.Last = l.LastTry
	}
}
