package sandbox_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestContactsShowWhatIsSet(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now})
	create(t, box, object{
		"email": "a@x.test", "external_id": "u-1", "city": "Ulm", "tags": []string{"t"},
		"custom_field": object{"cf_logins": json.Number("12.50"), "cf_subscribed": false},
	})
	want := []sandbox.Contact{{
		ID: 990_000_000_000_001, Email: "a@x.test", ExternalID: "u-1",
		Fields: object{
			"city": "Ulm", "tags": []string{"t"}, "subscription_status": json.Number("1"), "subscription_types": "2;3;4;5;1",
			"sms_subscription_status": json.Number("2"), "whatsapp_subscription_status": json.Number("2"),
		},
		Custom:    object{"cf_logins": json.Number("12.50"), "cf_subscribed": false},
		CreatedAt: clock.now, UpdatedAt: clock.now,
	}}
	if diff := cmp.Diff(want, box.Contacts()); diff != "" {
		t.Errorf("Contacts (-want +got):\n%s", diff)
	}
	res := send(t, box, "GET", "/_sandbox/contacts", nil)
	var listed struct {
		Contacts []struct {
			ID     int64  `json:"id"`
			Email  string `json:"email"`
			Custom object `json:"custom_field"`
		}
		Total int
	}
	if err := json.Unmarshal([]byte(res.raw), &listed); err != nil || listed.Total != 1 || listed.Contacts[0].ID != want[0].ID || listed.Contacts[0].Custom["cf_logins"] != 12.5 {
		t.Errorf("GET /_sandbox/contacts: %s, %v", res.raw, err)
	}
	box.Contacts()[0].Fields["city"] = "changed"
	if got := box.Contacts()[0].Fields["city"]; got != "Ulm" {
		t.Errorf("a caller changed the sandbox: city is %v", got)
	}
}

func TestCallLog(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, CallLog: 3})
	create(t, box, object{"email": "a@x.test"})
	lookup(t, box, "email", "secret@x.test")
	api(t, box, "PUT", "contacts/990000000000001", object{"contact": object{"city": "Ulm"}})
	api(t, box, "GET", "nothing", nil)
	send(t, box, "GET", "/_sandbox/calls", nil) // not an API call
	want := []sandbox.Call{
		{N: 2, Time: clock.now, Operation: sandbox.OpLookupContacts, Method: "GET", Path: "/crm/sales/api/lookup", Status: 200},
		{N: 3, Time: clock.now, Operation: sandbox.OpUpdateContact, Method: "PUT", Path: "/crm/sales/api/contacts/990000000000001", Status: 200, ContactID: 990_000_000_000_001, Effect: true},
		{N: 4, Time: clock.now, Operation: sandbox.OpUnknown, Method: "GET", Path: "/crm/sales/api/nothing", Status: 404},
	}
	if diff := cmp.Diff(want, box.Calls()); diff != "" || box.CallCount() != 4 {
		t.Errorf("%d calls (-want +got):\n%s", box.CallCount(), diff)
	}
	if res := send(t, box, "GET", "/_sandbox/calls", nil); res.body["total"] != 4.0 || len(res.body["calls"].([]any)) != 3 {
		t.Errorf("GET /_sandbox/calls: %s", res.raw)
	}
}

func TestOnEffectComesBetweenEffectAndAnswer(t *testing.T) {
	t.Parallel()
	var box *sandbox.Sandbox
	var seen []string
	box = newBox(t, sandbox.Options{OnEffect: func(c sandbox.Call) {
		// The effect is there, and no lock is held.
		seen = append(seen, fmt.Sprintf("%d %s %d: %d contacts, %d calls", c.N, c.Operation, c.ContactID, len(box.Contacts()), len(box.Calls())))
	}})
	create(t, box, object{"email": "a@x.test"})
	api(t, box, "POST", "contacts", object{"contact": object{"email": "a@x.test"}}) // refused: no effect
	api(t, box, "GET", "contacts/990000000000001", nil)
	api(t, box, "DELETE", "contacts/990000000000001", nil)
	want := []string{"1 create_contact 990000000000001: 1 contacts, 1 calls", "4 delete_contact 990000000000001: 0 contacts, 4 calls"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestHistoryAndHands(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, History: true, CustomFieldMode: sandbox.Replace})
	added, err := box.Add(object{"email": "a@x.test", "custom_field": object{"cf_seq": 1, "cf_plan": "by hand"}})
	if err != nil {
		t.Fatal(err)
	}
	clock.pass(time.Second)
	api(t, box, "PUT", fmt.Sprintf("contacts/%d", added.ID), object{"contact": object{"custom_field": object{"cf_seq": 2, "cf_plan": "api"}}})
	if _, err := box.Edit(added.ID, object{"custom_field": object{"cf_seq": 3}}); err != nil {
		t.Fatal(err)
	}
	api(t, box, "DELETE", fmt.Sprintf("contacts/%d/forget", added.ID), nil)

	type state struct {
		N          int64
		Op         string
		Seq, Plan  any
		Deleted    bool
		SinceStart time.Duration
	}
	var got []state
	for _, s := range box.History(added.ID) {
		got = append(got, state{s.N, s.Operation, s.Contact.Custom["cf_seq"], s.Contact.Custom["cf_plan"], s.Contact.Deleted, s.At.Sub(newClock().now)})
	}
	want := []state{
		{0, sandbox.OpByHand, json.Number("1"), "by hand", false, 0},
		{1, sandbox.OpUpdateContact, json.Number("2"), "api", false, time.Second},
		{0, sandbox.OpByHand, json.Number("3"), "api", false, time.Second}, // hands merge in any mode
		{2, sandbox.OpForgetContact, nil, nil, true, time.Second},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable()); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if _, err := box.Add(object{"email": "nobody"}); err == nil {
		t.Error("Add took an invalid address")
	}
	if _, err := box.Edit(added.ID, object{"city": "Ulm"}); err == nil {
		t.Error("Edit took a forgotten contact")
	}
	if box.CallCount() != 2 {
		t.Errorf("%d calls, want 2: hands are not counted", box.CallCount())
	}
	if newBox(t, sandbox.Options{}).History(added.ID) != nil {
		t.Error("a history is kept without being asked for")
	}
}

// Concurrent callers of everything, for the race detector, and concurrent upserts of one new contact make just one.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{
		History: true, Changes: true, IndexLag: time.Millisecond, CallLog: 10, PerHour: 1 << 30, LimitHeaders: true,
		BulkDuration: time.Millisecond, MaxJobs: 1000, OnEffect: func(sandbox.Call) {},
	})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 25 {
				api(t, box, "POST", "contacts/upsert", object{
					"unique_identifier": object{"external_id": fmt.Sprint("u-", j)},
					"contact":           object{"emails": fmt.Sprintf("c%d@x.test", j), "custom_field": object{"cf_seq": i}},
				})
				lookup(t, box, "external_id", fmt.Sprint("u-", j))
				_ = box.AddFault(sandbox.Fault{Next: 1, Operation: sandbox.OpContactFilters, Status: 500})
				api(t, box, "GET", "contacts/filters", nil)
				api(t, box, "POST", "contacts/bulk_upsert", object{"contacts": []any{object{"emails": fmt.Sprintf("b%d@x.test", j), "data": object{"custom_field": object{"cf_seq": i}}}}})
				api(t, box, "GET", "contacts/view/980000000000503", nil)
				upsertAccount(t, box, fmt.Sprint("Account ", j), object{"city": fmt.Sprint(i)})
				sendEvent(t, box, fmt.Sprintf("c%d@x.test", j), "Seen", object{"i": i})
				box.Changes(990_000_000_000_001)
				box.Writes()
				box.Throttled()
				box.Spend(1)
				box.Events()
				box.SalesAccounts()
				box.Contacts()
				box.Calls()
				box.Faults()
				box.History(990_000_000_000_001)
			}
		})
	}
	group.Wait()
	writes := box.Writes()
	for ; writes[sandbox.OpBulkUpsert] < 200; writes = box.Writes() { // the last jobs take their time
		time.Sleep(time.Millisecond)
	}
	if n := len(box.Contacts()); n != 50 || writes[sandbox.OpUpsertContact] != 200 || len(box.SalesAccounts()) != 25 || len(box.Events()) != 200 {
		t.Errorf("%d contacts, want 50; %d accounts, want 25; %d events, want 200; writes %v", n, len(box.SalesAccounts()), len(box.Events()), writes)
	}
	perContact := 0
	for _, c := range box.Contacts() {
		perContact += len(box.History(c.ID))
	}
	if int64(perContact) != writes[sandbox.OpUpsertContact]+writes[sandbox.OpBulkUpsert] {
		t.Errorf("%d states, want one for each of %v", perContact, writes)
	}
}
