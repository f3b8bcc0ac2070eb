package queue

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// maxKinds bounds what figures hold. With more kinds of letters, questions are answered by reading all letters.
const maxKinds = 1000

// figures are the numbers of dead letters by kind: what there is to count and to group is answered from them, however many
// letters there are. The owner of an embedded store keeps them, as it alone stores and removes letters; they are made by the first
// complete look through DEAD after a start, and made anew if an outcome was unclear.
type figures struct {
	mu     sync.Mutex
	state  figuresState
	until  uint64          // last sequence in DEAD that the look through it counts; later ones are counted as they come
	cursor uint64          // it has come so far
	skip   map[uint64]bool // sequences before it that are gone before it came to them
	kinds  map[kindKey]*kind
	total  int
	wrong  [2]int // total, and what DEAD held instead when they differed last
}

type figuresState int

const (
	figuresNone figuresState = iota
	figuresCounting
	figuresReady
	figuresNever // there are too many kinds
)

// kindKey is all that filters ask for but users, message ids and times. text is the error without its numbers.
type kindKey struct {
	typ, source, reason, field, text string
	status                           int
}

type kind struct {
	kindKey

	cause, err  string // err is one letter's error as it is
	count       int
	first, last time.Time // of all letters of the kind since the figures were made
	sample      string    // id of one; "" if the one that was known is gone
}

func kindOf(l Letter) kindKey {
	return kindKey{typ: l.Type, source: l.Source, reason: l.Reason, field: l.Field, status: l.Status, text: withoutNumbers(l.Error)}
}

// begin starts a look through DEAD that is to count; false: it is under way, done, or of no use.
func (f *figures) begin(until uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != figuresNone {
		return false
	}
	f.state, f.until, f.cursor, f.total, f.skip, f.kinds = figuresCounting, until, 0, 0, map[uint64]bool{}, map[kindKey]*kind{}
	return true
}

// end says that the look has come to its end, or not.
func (f *figures) end(whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.state != figuresCounting: // an outcome was unclear meanwhile
	case whole:
		f.state, f.skip = figuresReady, nil
	default:
		f.reset()
	}
}

// doubt gives the figures up: nobody knows whether a letter was stored, or removed.
func (f *figures) doubt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != figuresNever {
		f.reset()
	}
}

func (f *figures) reset() { f.state, f.kinds, f.skip, f.total = figuresNone, nil, nil, 0 }

// seen counts a letter that the look through DEAD has come to.
func (f *figures) seen(seq uint64, l Letter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != figuresCounting || seq > f.until {
		return
	}
	if f.cursor = seq; !f.skip[seq] {
		f.add(l)
	}
}

// stored counts a letter that was stored, in the place of another or of none.
func (f *figures) stored(l Letter, seq uint64, old *Letter, oldSeq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != figuresCounting && f.state != figuresReady {
		return
	}
	if old != nil {
		f.remove(*old, oldSeq)
	}
	if seq > f.until {
		f.add(l)
	}
}

// dropped counts a letter out.
func (f *figures) dropped(l Letter, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == figuresCounting || f.state == figuresReady {
		f.remove(l, seq)
	}
}

func (f *figures) remove(l Letter, seq uint64) {
	if f.state == figuresCounting && seq <= f.until && seq > f.cursor {
		f.skip[seq] = true
		return
	}
	k := f.kinds[kindOf(l)]
	if k == nil { // a bug: what is counted out was never counted
		f.reset()
		return
	}
	f.total--
	if k.count--; k.count == 0 {
		delete(f.kinds, k.kindKey)
	}
	if k.sample == l.ID {
		k.sample = ""
	}
}

func (f *figures) add(l Letter) {
	key := kindOf(l)
	k := f.kinds[key]
	if k == nil {
		if len(f.kinds) >= maxKinds {
			f.reset()
			f.state = figuresNever
			return
		}
		k = &kind{kindKey: key, cause: Cause(l), err: l.Error, first: l.FirstTry, last: l.LastTry}
		f.kinds[key] = k
	}
	f.total++
	k.count++
	k.sample = l.ID
	if l.FirstTry.Before(k.first) {
		k.first = l.FirstTry
	}
	if l.LastTry.After(k.last) {
		k.last = l.LastTry
	}
}

// known says that figures answer the filter.
func (f LetterFilter) known() bool {
	numbers := strings.ContainsFunc(f.Text, func(r rune) bool { return r == '#' || unicode.IsDigit(r) })
	return f.User == "" && f.MessageID == "" && f.Since.IsZero() && f.Until.IsZero() && f.FirstBefore.IsZero() && !numbers
}

// groups are the groups of what a filter selects; ok is false if the figures are not there.
func (f *figures) groups(filter LetterFilter, there int) (groups []LetterGroup, total int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != figuresReady || !filter.known() {
		return nil, 0, false
	}
	if f.total != there { // one that is being stored, unless it stays so: then somebody else has changed DEAD
		if now := [2]int{f.total, there}; f.wrong == now {
			f.reset()
		} else {
			f.wrong = now
		}
		return nil, 0, false
	}
	found := map[string]*LetterGroup{}
	for _, k := range f.kinds {
		l := Letter{Type: k.typ, Source: k.source, Reason: k.reason, Field: k.field, Status: k.status, Error: k.text}
		if !filter.Matches(l) {
			continue
		}
		total += k.count
		g := found[k.cause]
		if g == nil {
			g = &LetterGroup{Cause: k.cause, Reason: k.reason, Field: k.field, Status: k.status, Error: k.err, First: k.first, Last: k.last, Sample: k.sample}
			found[k.cause] = g
		}
		g.Count += k.count
		if k.first.Before(g.First) {
			g.First = k.first
		}
		if k.last.After(g.Last) {
			g.Last = k.last
		}
		g.Sample = cmp.Or(g.Sample, k.sample)
	}
	return sortedGroups(found), total, true
}

func sortedGroups(found map[string]*LetterGroup) (groups []LetterGroup) {
	for _, g := range found {
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b LetterGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Cause, b.Cause))
	})
	return groups
}

// count is how many letters a filter selects, as far as that is known without reading them.
func (s *Store) count(ctx context.Context, f LetterFilter) (total int, known bool, err error) {
	info, err := s.letterInfo(ctx)
	if err != nil {
		return 0, false, err
	}
	if f.All() {
		return int(lettersIn(info)), true, nil
	}
	_, total, known = s.figures.groups(f, int(lettersIn(info)))
	return total, known, nil
}
