package worker_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
)

// TestAFoldEqualsOneByOneInBothModes sends the same calls for two users, for one each on its own and for the other all at
// once, to an account that merges custom fields and to one that replaces them, and compares the contacts. What somebody has
// written into a custom field of theirs must be there in the end.
func TestAFoldEqualsOneByOneInBothModes(t *testing.T) {
	for _, mode := range []sandbox.Mode{sandbox.Merge, sandbox.Replace} {
		bubbleNamed(t, string(mode), sandbox.Options{CustomFieldMode: mode}, func(t *testing.T, r *rig) {
			r.close()
			r.mapping = mapping.Options{Traits: map[string]string{"labels": "Tags"}}
			r.open()
			for seed := range uint64(25) {
				r.compareFold(seed)
			}
		})
	}
}

func (r *rig) compareFold(seed uint64) {
	r.t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 9))
	single, together := fmt.Sprint("single", seed), fmt.Sprint("together", seed)
	for _, user := range []string{single, together} {
		r.send(user, map[string]any{"plan": "free", "seq": 0, "city": "Ulm"})
		r.edit(user, map[string]any{"custom_field": map[string]any{"cf_notes": "by hand"}})
	}
	at := time.Now()
	var waiting []queue.Entry
	for range 2 + rnd.IntN(6) {
		traits := map[string]any{}
		for _, key := range []string{"plan", "industry", "seq", "city", "job title", "labels"} {
			switch rnd.IntN(5) {
			case 0:
				traits[key] = nil
			case 1, 2:
				traits[key] = fmt.Sprint(rnd.IntN(3))
			}
		}
		when := at.Add(-time.Duration(rnd.IntN(4)) * time.Second) // some are late
		r.publish(r.identifyAt(single, when, maps.Clone(traits)))
		r.drain(time.Hour)
		waiting = append(waiting, r.identifyAt(together, when, traits))
	}
	r.publish(waiting...)
	if l := r.drain(time.Hour); l.Dead != 0 {
		r.t.Fatalf("ledger %+v", l)
	}
	a, b := r.contact(single), r.contact(together)
	if diff := cmp.Diff(a.Custom, b.Custom); diff != "" {
		r.t.Errorf("seed %d: custom fields (-one by one +together)\n%s", seed, diff)
	}
	for _, f := range []map[string]any{a.Fields, b.Fields} {
		delete(f, "external_id")
		delete(f, "display_name")
	}
	if diff := cmp.Diff(a.Fields, b.Fields); diff != "" {
		r.t.Errorf("seed %d: fields (-one by one +together)\n%s", seed, diff)
	}
	if a.Custom["cf_notes"] != "by hand" || b.Custom["cf_notes"] != "by hand" {
		r.t.Errorf("seed %d: what was written by hand is gone: %v, %v", seed, a.Custom, b.Custom)
	}
}
