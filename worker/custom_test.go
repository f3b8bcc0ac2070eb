package worker_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// send delivers calls one after the other and counts the API's calls by operation.
func (r *rig) send(user string, traits ...map[string]any) map[string]int {
	r.t.Helper()
	before := r.box.CallCount()
	for _, t := range traits {
		r.publish(r.identify(user, t))
		if l := r.drain(time.Hour); l.Dead != 0 {
			r.t.Fatalf("ledger %+v", l)
		}
	}
	calls := r.calls(before)
	delete(calls, "contact_fields")
	return calls
}

func (r *rig) wantCalls(what string, got map[string]int, want map[string]int) {
	r.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// TestWhatCustomFieldsDoIsLearnt: once, on a contact that holds nothing but what the call brings; then a merging account
// saves the read, and a replacing one loses nothing. A restart remembers, a resync learns anew.
func TestWhatCustomFieldsDoIsLearnt(t *testing.T) {
	for mode, want := range map[sandbox.Mode]struct{ first, update, again map[string]int }{
		sandbox.Merge: {
			map[string]int{"create_contact": 1, "update_contact": 1},
			map[string]int{"update_contact": 1},
			map[string]int{"create_contact": 1},
		},
		sandbox.Replace: {
			map[string]int{"create_contact": 1, "update_contact": 2},
			map[string]int{"get_contact": 1, "update_contact": 1},
			map[string]int{"create_contact": 1},
		},
	} {
		bubbleNamed(t, string(mode), sandbox.Options{CustomFieldMode: mode}, func(t *testing.T, r *rig) {
			r.wantCalls("first", r.send("ann", map[string]any{"plan": "growth", "industry": "Music", "seq": 1}), want.first)
			custom := map[string]any{"cf_plan": "growth", "cf_industry": "Music", "cf_seq": json.Number("1")}
			if diff := cmp.Diff(custom, r.contact("ann").Custom); diff != "" {
				t.Error(diff)
			}
			r.edit("ann", map[string]any{"custom_field": map[string]any{"cf_notes": "by hand"}})
			r.close()
			r.open()
			r.wantCalls("update", r.send("ann", map[string]any{"plan": "growth", "industry": "Music", "seq": 2}), want.update)
			r.wantCalls("another", r.send("bob", map[string]any{"plan": "growth", "industry": "Music"}), want.again)
			custom["cf_notes"], custom["cf_seq"] = "by hand", json.Number("2")
			if diff := cmp.Diff(custom, r.contact("ann").Custom); diff != "" {
				t.Error(diff)
			}
			if err := r.pool.Resync(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			r.wantCalls("after resync", r.send("eve", map[string]any{"plan": "growth", "industry": "Music", "seq": 1}), want.first)
		})
	}
}

// TestNothingIsLearntOnForeignFields: what a person wrote is never risked.
func TestNothingIsLearntOnForeignFields(t *testing.T) {
	bubble(t, sandbox.Options{CustomFieldMode: sandbox.Replace}, func(t *testing.T, r *rig) {
		r.add(map[string]any{"emails": "ann@example.test", "custom_field": map[string]any{"cf_notes": "by hand"}})
		r.send("ann", map[string]any{"plan": "growth", "industry": "Music"}, map[string]any{"plan": "free", "industry": "Music"})
		for _, s := range r.box.History(r.contact("ann").ID) {
			if s.Contact.Custom["cf_notes"] != "by hand" {
				t.Errorf("%s took what was written by hand: %v", s.Operation, s.Contact.Custom)
			}
		}
		r.wantCalls("nothing is known", r.send("ann", map[string]any{"plan": "gold", "industry": "Music"}), map[string]int{"get_contact": 1, "update_contact": 1})
	})
}

// TestACrashWhileLearningLosesNothing: the answer to the write that shows it is lost, and everything is written again.
func TestACrashWhileLearningLosesNothing(t *testing.T) {
	bubble(t, sandbox.Options{CustomFieldMode: sandbox.Replace}, func(t *testing.T, r *rig) {
		r.fault(sandbox.Fault{Operation: "update_contact", Next: 1, DropAnswer: true})
		r.send("ann", map[string]any{"plan": "growth", "industry": "Music", "seq": 1})
		want := map[string]any{"cf_plan": "growth", "cf_industry": "Music", "cf_seq": json.Number("1")}
		if diff := cmp.Diff(want, r.contact("ann").Custom); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAnAccountThatNoLongerMergesIsNoticed: one contact pays for it, and what it lost comes back with the next calls.
func TestAnAccountThatNoLongerMergesIsNoticed(t *testing.T) {
	state := filepath.Join(t.TempDir(), "sandbox.jsonl")
	bubble(t, sandbox.Options{StateFile: state}, func(t *testing.T, r *rig) {
		all := func(seq int) map[string]any { return map[string]any{"plan": "growth", "industry": "Music", "seq": seq} }
		r.send("ann", all(1))
		r.send("bob", all(1))
		r.close()
		r.box, r.api = sandboxtest.Start(t, sandbox.Options{StateFile: state, CustomFieldMode: sandbox.Replace})
		r.open()
		r.send("ann", all(2), all(3))
		r.send("bob", all(2))
		for user, seq := range map[string]string{"ann": "3", "bob": "2"} {
			want := map[string]any{"cf_plan": "growth", "cf_industry": "Music", "cf_seq": json.Number(seq)}
			if diff := cmp.Diff(want, r.contact(user).Custom); diff != "" {
				t.Errorf("%s: %s", user, diff)
			}
		}
	})
}

// TestEmptyingByHandIsNoReplacing: a person who empties what we set makes it look as if the account did not merge any more. That is
// found out, and does not cost a read with every change for ever.
func TestEmptyingByHandIsNoReplacing(t *testing.T) {
	bubble(t, sandbox.Options{CallLog: 1 << 16}, func(t *testing.T, r *rig) {
		all := func(seq int) map[string]any { return map[string]any{"plan": "growth", "industry": "Music", "seq": seq} }
		r.send("ann", all(1))
		r.send("bob", all(1))
		r.edit("ann", map[string]any{"custom_field": map[string]any{"cf_plan": nil, "cf_industry": nil}})
		r.wantCalls("the lost values are seen", r.send("ann", all(2)), map[string]int{"update_contact": 1})
		r.send("ann", all(3))
		r.wantCalls("afterwards", r.send("bob", all(2), all(3)), map[string]int{"update_contact": 2})
		want := map[string]any{"cf_plan": "growth", "cf_industry": "Music", "cf_seq": json.Number("3")}
		for _, user := range []string{"ann", "bob"} {
			if diff := cmp.Diff(want, r.contact(user).Custom); diff != "" {
				t.Errorf("%s: %s", user, diff)
			}
		}
	})
}
