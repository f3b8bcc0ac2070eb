package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestChangesTellWhoChangedWhat(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, Changes: true, CustomFieldMode: sandbox.Replace, RestoreClearsCustom: true})
	added, err := box.Add(object{"email": "a@x.test", "first_name": "A", "custom_field": object{"cf_plan": "Gold", "cf_logins": 1}})
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprint("contacts/", added.ID)
	before := len(box.Changes(added.ID))
	clock.pass(time.Second)
	api(t, box, "PUT", path, object{"contact": object{"first_name": "A", "city": "Ulm", "tags": []string{"x"}, "custom_field": object{"cf_logins": 2}}})
	api(t, box, "PUT", path, object{"contact": object{"email": "b@x.test", "city": nil}})
	api(t, box, "PUT", path, object{"contact": object{"email": "bad"}}) // refused: changes nothing
	api(t, box, "DELETE", path, nil)
	api(t, box, "PUT", path+"/restore", object{})

	type change struct {
		N        int64
		Op       string
		Field    string
		Old, New any
		Named    bool
	}
	var got []change
	for _, c := range box.Changes(added.ID)[before:] {
		got = append(got, change{c.N, c.Operation, c.Field, c.Old, c.New, c.Named})
		if c.At.Sub(newClock().now) != time.Second {
			t.Errorf("%s changed at %s", c.Field, c.At)
		}
	}
	one, two := json.Number("1"), json.Number("2")
	want := map[change]bool{
		{1, sandbox.OpUpdateContact, "city", nil, "Ulm", true}:              true,
		{1, sandbox.OpUpdateContact, "tags", nil, "x", true}:                true,
		{1, sandbox.OpUpdateContact, "cf_logins", one, two, true}:           true,
		{1, sandbox.OpUpdateContact, "cf_plan", "Gold", nil, false}:         true, // replaced away by a call that did not name it
		{2, sandbox.OpUpdateContact, "email", "a@x.test", "b@x.test", true}: true,
		{2, sandbox.OpUpdateContact, "city", "Ulm", nil, true}:              true,
		{4, sandbox.OpDeleteContact, "is_deleted", false, true, true}:       true,
		{5, sandbox.OpRestoreContact, "is_deleted", true, false, true}:      true,
		{5, sandbox.OpRestoreContact, "cf_logins", two, nil, false}:         true,
	}
	seen := map[change]bool{}
	for _, c := range got {
		seen[c] = true
	}
	if diff := cmp.Diff(want, seen); diff != "" || len(got) != len(want) {
		t.Errorf("%d changes (-want +got):\n%s", len(got), diff)
	}
	writes := map[string]int64{sandbox.OpByHand: 1, sandbox.OpUpdateContact: 2, sandbox.OpDeleteContact: 1, sandbox.OpRestoreContact: 1}
	if diff := cmp.Diff(writes, box.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	api(t, box, "DELETE", path+"/forget", nil)
	for _, c := range box.Changes(added.ID) {
		if c.Operation == sandbox.OpForgetContact && (!c.Named || c.New != nil && c.Field != "is_deleted") {
			t.Errorf("forgetting: %+v, want every value gone, as it was told to", c)
		}
	}
	quiet := newBox(t, sandbox.Options{})
	create(t, quiet, object{"email": "a@x.test"})
	if quiet.Changes(added.ID) != nil || quiet.Writes()[sandbox.OpCreateContact] != 1 {
		t.Error("changes are kept without being asked for, or writes are not counted")
	}
}

func TestPreload(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state.jsonl")
	box, err := sandbox.New(sandbox.Options{Changes: true, History: true, IndexLag: time.Hour, Contacts: 3, StateFile: state})
	if err != nil {
		t.Fatal(err)
	}
	got := box.Contacts()
	if len(got) != 3 || got[2].Email != "contact3@sandbox.test" || got[2].ExternalID != "user-3" {
		t.Fatalf("contacts: %+v", got)
	}
	if found := lookup(t, box, "external_id", "user-2"); len(found) != 1 || len(box.Changes(got[0].ID)) != 0 || len(box.History(got[0].ID)) != 0 || len(box.Writes()) != 0 {
		t.Error("preloaded contacts are not found at once, or leave traces")
	}
	err = box.Preload(2, func(i int) map[string]any {
		return object{"email": "contact3@sandbox.test", "custom_field": object{"cf_interests": []string{"Music"}}}
	})
	if err == nil {
		t.Error("a taken address was preloaded")
	}
	if err := box.Preload(1, func(int) map[string]any { return object{"email": "x@x.test", "city": make(chan int)} }); err == nil {
		t.Error("what is no JSON was preloaded")
	}
	if err := box.Preload(1, func(int) map[string]any {
		return object{"email": "x@x.test", "tags": []string{"t"}, "custom_field": object{"cf_interests": []string{"Music"}, "cf_logins": 5}}
	}); err != nil {
		t.Error(err)
	}
	if c := box.Contacts()[3]; c.Custom["cf_interests"] != "Music" || c.Custom["cf_logins"] != json.Number("5") {
		t.Errorf("preloaded %+v", c)
	}
	if err := errors.Join(box.Close()); err != nil {
		t.Fatal(err)
	}
	again := newBox(t, sandbox.Options{Contacts: 10, StateFile: state})
	if n := len(again.Contacts()); n != 4 {
		t.Errorf("after a restart: %d contacts, want the 4 of the file", n)
	}
}

// BenchmarkPreload: 50,000 contacts are to take less than 2 s.
func BenchmarkPreload(b *testing.B) {
	for b.Loop() {
		if _, err := sandbox.New(sandbox.Options{Contacts: 50_000, Changes: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestControls(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{Changes: true, PerHour: 3})
	create(t, box, object{"email": "a@x.test"})
	upsertAccount(t, box, "Harbor", object{})
	sendEvent(t, box, "a@x.test", "n", nil)
	api(t, box, "GET", "contacts/filters", nil)
	for path, want := range map[string]string{
		"writes":                          `{"throttled":1,"writes":{"create_contact":1}}`,
		"accounts":                        `{"accounts":[{"id":950000000000001,"name":"Harbor","fields":{},"custom_field":{}}]}`,
		"activities":                      `{"activities":[]}`,
		"changes?contact=990000000000009": `{"changes":[]}`,
	} {
		if res := send(t, box, "GET", "/_sandbox/"+path, nil); res.status != 200 || !sameJSON(t, want, res.raw) {
			t.Errorf("%s: got %d %s, want %s", path, res.status, res.raw, want)
		}
	}
	events, _ := send(t, box, "GET", "/_sandbox/events", nil).body["events"].([]any)
	changes, _ := send(t, box, "GET", "/_sandbox/changes?contact=990000000000001", nil).body["changes"].([]any)
	if len(events) != 1 || len(changes) != 5 { // the address and the four values of every new contact
		t.Errorf("%d events, %d changes: %v", len(events), len(changes), changes)
	}
	if res := send(t, box, "GET", "/_sandbox/changes", nil); res.status != 400 {
		t.Errorf("changes of nobody: got %d, want 400", res.status)
	}
	if res := send(t, newBox(t, sandbox.Options{}), "GET", "/_sandbox/changes?contact=1", nil); res.status != 404 {
		t.Errorf("changes that are not kept: got %d, want 404", res.status)
	}
}
