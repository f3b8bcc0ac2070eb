package mapping

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/freshrelay/freshrelay/segment"
)

// The properties that make contacts right whatever happens on the way. Each is tried on thousands of seeded histories of
// two sources, ordinary and partial calls, equal times, values that cannot be used, duplicates and replays. What a
// history should end with is worked out by naive, below, which shares nothing with the code under test.

const histories = 1000

// the fields of the histories: c1, c2 and n are ordinary, g is guarded and mapped explicitly, req is required, tags only
// grow.
func propertyCatalogue() *Catalogue {
	return NewCatalogue([]Field{
		{Name: "emails", Label: "Emails", Type: "group_field"},
		{Name: "c1", Label: "c1", Type: "text", Custom: true},
		{Name: "c2", Label: "c2", Type: "text"},
		{Name: "n", Label: "n", Type: "number", Custom: true},
		{Name: "lifecycle_stage_id", Label: "Lifecycle stage", Type: "dropdown", Choices: []Choice{{"0", "v0"}, {"1", "v1"}, {"2", "v2"}}},
		{Name: "req", Label: "req", Type: "text", Custom: true, Required: true},
		{Name: "tags", Label: "Tags", Type: "auto_complete"},
	})
}

// history is what happens to one user.
type history struct {
	seed  uint64
	calls []Call // in order of arrival
	dead  []bool // this call fails on arrival and is replayed in the end
	opt   Options
	known bool // there is a contact from the start
}

func newHistory(seed uint64) history {
	rnd := rand.New(rand.NewPCG(seed, 1))
	h := history{
		seed: seed, known: rnd.IntN(2) == 0,
		opt: Options{Traits: map[string]string{"g": "Lifecycle stage", "tags": "tags"}, MissingTraits: Clear},
	}
	if rnd.IntN(3) == 0 {
		h.opt.MissingTraits = Keep
	}
	if rnd.IntN(3) == 0 {
		h.opt.ResendAfter = time.Second
	}
	for i := range 2 + rnd.IntN(9) {
		if i > 0 && rnd.IntN(8) == 0 { // the same call once more
			h.calls = append(h.calls, h.calls[rnd.IntN(i)])
		} else {
			h.calls = append(h.calls, h.call(rnd, i))
		}
		h.calls[i].Pos = uint64(i + 1)
		h.dead = append(h.dead, rnd.IntN(6) == 0)
	}
	for i := range h.calls { // whether of two equal calls the first fails is another story
		for j := range i {
			if h.calls[i].Event.MessageID == h.calls[j].Event.MessageID {
				h.dead[i], h.dead[j] = false, false
			}
		}
	}
	return h
}

func (h *history) call(rnd *rand.Rand, i int) Call {
	ev := segment.Event{
		Type: segment.Identify, MessageID: fmt.Sprint("m", i), UserID: "u", Source: fmt.Sprint("s", rnd.IntN(2)),
		Partial: rnd.IntN(4) == 0, Received: time.Unix(2_000_000_000, 0),
		Timestamp: time.Unix(1_000_000_000+int64(rnd.IntN(6)), 0),
	}
	if !ev.Partial || !h.known || rnd.IntN(2) == 0 {
		ev.Traits = append(ev.Traits, segment.Trait{Key: "email", Value: fmt.Sprintf("e%d@example.com", rnd.IntN(3))})
	}
	for _, key := range []string{"c1", "c2", "n", "g", "req", "tags"} {
		value := any(fmt.Sprint("v", rnd.IntN(3)))
		if key == "n" {
			value = json.Number(fmt.Sprint(rnd.IntN(3)))
		}
		switch rnd.IntN(8) {
		case 0:
			value = nil
		case 1:
			value = []any{map[string]any{"of no use": true}}
		case 2, 3, 4:
			continue
		}
		ev.Traits = append(ev.Traits, segment.Trait{Key: key, Value: value})
	}
	return Call{Event: ev}
}

// naive says what the contact should hold: the calls one after the other by time and position, a list of values and
// who set them.
func (h *history) naive() map[string]any {
	calls := []Call{}
	ids := map[string]bool{}
	for _, c := range h.calls {
		if !ids[c.Event.MessageID] {
			calls = append(calls, c)
		}
		ids[c.Event.MessageID] = true
	}
	slices.SortStableFunc(calls, func(a, b Call) int {
		return cmp.Or(a.Event.Timestamp.Compare(b.Event.Timestamp), cmp.Compare(a.Pos, b.Pos))
	})
	contact, owner := map[string]any{}, map[string]string{}
	for _, c := range calls {
		ev := c.Event
		carries := map[string]bool{}
		for _, t := range ev.Traits {
			carries[t.Key] = true
			if _, useless := t.Value.([]any); useless || t.Key == "req" && t.Value == nil || t.Key == "email" && ev.Partial {
				continue
			}
			if t.Key == "tags" {
				if tag, ok := t.Value.(string); ok {
					list, _ := contact["tags"].([]string)
					contact["tags"] = sortedSet(append(slices.Clone(list), tag))
				}
				continue
			}
			contact[t.Key], owner[t.Key] = t.Value, ev.Source
			if ev.Partial {
				owner[t.Key] = "engage"
			}
		}
		for _, key := range []string{"c1", "c2", "n"} {
			if !ev.Partial && h.opt.MissingTraits == Clear && !carries[key] && owner[key] == ev.Source {
				contact[key] = nil
			}
		}
	}
	return contact
}

// world is the account and the worker: it folds, writes to its one contact and keeps the record.
type world struct {
	t       *testing.T
	cat     *Catalogue
	opt     Options
	now     time.Time
	rec     Record
	contact map[string]any // by trait key of the histories
	out     []Outcome
}

func newWorld(t *testing.T, h history) *world {
	w := &world{t: t, cat: propertyCatalogue(), opt: h.opt, now: time.Unix(2_000_000_100, 0), contact: map[string]any{}}
	if h.known {
		w.rec.ContactID = "1"
	}
	return w
}

func (w *world) fold(calls ...Call) {
	before, _ := w.rec.Encode()
	res := Fold(w.cat, w.opt, w.rec, calls, w.now)
	if after, _ := w.rec.Encode(); string(before) != string(after) {
		w.t.Fatalf("fold changed its record:\n%s\n%s", before, after)
	}
	for _, f := range res.Change.Fields {
		key, value := f.Name, f.Value
		if f.Add {
			list, _ := w.contact[key].([]string)
			w.contact[key] = sortedSet(append(slices.Clone(list), value.([]string)...))
			continue
		}
		if key == "lifecycle_stage_id" {
			key = "g"
			if id, ok := value.(json.Number); ok {
				value = "v" + id.String()
			}
		}
		w.contact[key] = value
	}
	w.rec = res.Record
	if w.rec.ContactID == "" && !res.Change.Empty() {
		w.rec.ContactID = "1"
		if res.Change.Email == "" || w.contact["email"] != res.Change.Email {
			w.t.Fatalf("contact created with email %v, change says %q", w.contact["email"], res.Change.Email)
		}
	}
	w.out = append(w.out, res.Outcomes...)
}

// roundTrip stores the record and reads it again, as between any two folds in real life.
func (w *world) roundTrip() {
	b, err := w.rec.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	if w.rec, err = DecodeRecord(b); err != nil {
		w.t.Fatal(err)
	}
}

// TestAnyArrivalOrderEndsLikeTimestampOrder plays histories in their order of arrival, cut into folds by chance, with
// failures replayed in the end, some of them twice.
func TestAnyArrivalOrderEndsLikeTimestampOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(histories) {
		h := newHistory(seed)
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, h)
		var waiting, replays []Call
		for i, c := range h.calls {
			if h.dead[i] {
				c.Replay = true
				replays = append(replays, c)
				continue
			}
			if waiting = append(waiting, c); rnd.IntN(2) == 0 {
				w.fold(waiting...)
				w.roundTrip()
				w.now = w.now.Add(time.Duration(rnd.IntN(100)) * time.Hour)
				waiting = nil
			}
		}
		w.fold(waiting...)
		for range 2 {
			rnd.Shuffle(len(replays), func(i, j int) { replays[i], replays[j] = replays[j], replays[i] })
			w.fold(replays...)
		}
		want := h.naive()
		if want["email"] == nil { // only calls of Engage: who is first decides, and that is no matter of time
			delete(w.contact, "email")
			delete(want, "email")
		}
		if diff := gocmp.Diff(withoutNil(want), withoutNil(w.contact)); diff != "" {
			t.Fatalf("seed %d, %s: contact differs from timestamp order (-want +got)\n%s\n%s", seed, h.opt.MissingTraits, diff, h)
		}
		w.checkHashes(seed)
	}
}

// checkHashes holds the record against the contact: it must never think that something is there that is not.
func (w *world) checkHashes(seed uint64) {
	for name, f := range w.rec.Fields {
		value := w.contact[name]
		if name == "lifecycle_stage_id" {
			value = w.contact["g"]
			if s, ok := value.(string); ok {
				value = json.Number(strings.TrimPrefix(s, "v"))
			}
		}
		if name != "email" && name != "tags" && f.Hash != hashValue(value) {
			w.t.Fatalf("seed %d: the record is wrong about %s, which holds %v", seed, name, value)
		}
	}
}

// TestFoldEqualsOneByOne compares calls that wait together with the same calls each on its own.
func TestFoldEqualsOneByOne(t *testing.T) {
	t.Parallel()
	for seed := range uint64(histories) {
		h := newHistory(seed)
		rnd := rand.New(rand.NewPCG(seed, 3))
		together, single := newWorld(t, h), newWorld(t, h)
		start := rnd.IntN(len(h.calls))
		for _, w := range []*world{together, single} {
			w.fold(h.calls[:start]...)
			w.trouble(rand.New(rand.NewPCG(seed, 4)))
		}
		// Both begin alike.
		single.contact = maps.Clone(together.contact)
		single.rec = together.rec.Clone()
		together.fold(h.calls[start:]...)
		for _, c := range h.calls[start:] {
			single.fold(c)
		}
		if diff := gocmp.Diff(withoutNil(single.contact), withoutNil(together.contact)); diff != "" {
			t.Fatalf("seed %d: contacts differ (-one by one +together)\n%s\n%s", seed, diff, h)
		}
		if diff := gocmp.Diff(single.rec, together.rec, cmpopts.IgnoreFields(FieldRecord{}, "Sent"), gocmp.AllowUnexported(Ring{}, seen{})); diff != "" {
			t.Fatalf("seed %d: records differ (-one by one +together)\n%s\n%s", seed, diff, h)
		}
		if diff := gocmp.Diff(single.out, together.out); diff != "" {
			t.Fatalf("seed %d: outcomes differ (-one by one +together)\n%s\n%s", seed, diff, h)
		}
	}
}

// trouble is what the API does between folds: a contact that is gone, a value that was not stored.
func (w *world) trouble(rnd *rand.Rand) {
	switch rnd.IntN(4) {
	case 0:
		w.rec.ForgetContact()
		clear(w.contact)
	case 1:
		w.rec.ForgetSent("c1")
		delete(w.contact, "c1")
	}
}

func sortedSet(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

func withoutNil(m map[string]any) map[string]any {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

// String prints a history for a failing test.
func (h history) String() string {
	var b strings.Builder
	for i, c := range h.calls {
		fmt.Fprintf(&b, "#%d t=%d %s %s", c.Pos, c.Event.Timestamp.Unix()-1_000_000_000, c.Event.Source, c.Event.MessageID)
		if c.Event.Partial {
			b.WriteString(" partial")
		}
		if h.dead[i] {
			b.WriteString(" dead")
		}
		for _, t := range c.Event.Traits {
			fmt.Fprintf(&b, " %s=%v", t.Key, t.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
