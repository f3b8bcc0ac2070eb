package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// checkHistory goes through the states a contact was in. It never went backwards, and a state that was written twice is the
// first change of a life: the one of which the life before did not know that it had been made. It returns the repeats.
func (r *crashRig) checkHistory(c sandbox.Contact) (repeats int) {
	r.t.Helper()
	last, inLife, life, fresh, apart := -1.0, 0, 0, false, false
	var before sandbox.Snapshot
	for i, s := range r.box.History(c.ID) {
		if n, ok := s.Contact.Custom["cf_seq"].(json.Number); ok {
			v, err := n.Float64()
			if err != nil {
				r.t.Fatal(err)
			}
			if v < last {
				r.t.Errorf("%s went from %v back to %v (calls %d and %d)", c.ExternalID, last, v, before.N, s.N)
			}
			last = v
		}
		if now := r.effect[s.N]; now != life {
			life, inLife, fresh, apart = now, 0, false, false
		}
		refused, as := i > 0 && r.failedBetween(c.ID, before.N, s.N), i > 0 && same(before, s)
		apart = refused || apart && as
		switch {
		case !as:
			fresh = true
		case apart:
			// A change of two calls, whose second one the API refused, is made anew as a whole. Of one that is refused the parts are
			// tried, and what is taken of them is sent once more with the rest.
		default:
			repeats++
			inLife++
			// A contact whose making is not remembered is found by an upsert that says nothing, and then written.
			if fresh || inLife > 2 || inLife == 2 && before.Operation != sandbox.OpUpsertContact {
				r.t.Errorf("%s: call %d (%s) repeats what call %d (%s, %v before) of life %d had done already", c.ExternalID, s.N, s.Operation,
					before.N, before.Operation, s.At.Sub(before.At), life)
				r.tellCalls(c.ID, before.N-40, s.N)
			}
		}
		before = s
	}
	return repeats
}

// tellCalls logs what was asked about a contact in a stretch of calls, and all that failed.
func (r *crashRig) tellCalls(id, from, to int64) {
	r.t.Helper()
	for _, call := range r.box.Calls() {
		if from <= call.N && call.N <= to && (call.ContactID == id || call.ContactID == 0 || call.Status >= http.StatusBadRequest || strings.Contains(call.Path, fmt.Sprint(id))) {
			r.t.Logf("life %d: %+v", r.effect[call.N], call)
		}
	}
}

// same says whether a write left the contact as it was.
func same(a, b sandbox.Snapshot) bool {
	x, y := a.Contact, b.Contact
	return x.Email == y.Email && reflect.DeepEqual(x.Custom, y.Custom) && reflect.DeepEqual(withoutTimes(x.Fields), withoutTimes(y.Fields))
}

func withoutTimes(fields map[string]any) map[string]any {
	kept := map[string]any{}
	for name, v := range fields {
		if !strings.HasSuffix(name, "_at") {
			kept[name] = v
		}
	}
	return kept
}

// failedBetween says whether an update of the contact failed between two calls.
func (r *crashRig) failedBetween(id, from, to int64) bool {
	for _, n := range r.failures[fmt.Sprint(id)] {
		if from < n && n < to {
			return true
		}
	}
	return false
}

// failedUpdates are the numbers of refused updates by contact.
func failedUpdates(calls []sandbox.Call) map[string][]int64 {
	failed := map[string][]int64{}
	for _, c := range calls {
		if c.Operation == sandbox.OpUpdateContact && c.Status >= http.StatusBadRequest {
			id := c.Path[strings.LastIndex(c.Path, "/")+1:]
			failed[id] = append(failed[id], c.N)
		}
	}
	return failed
}
