package sandbox_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// bulk posts records and returns the job's path below the API's prefix.
func bulk(t *testing.T, box *sandbox.Sandbox, records ...any) string {
	t.Helper()
	res := api(t, box, "POST", "contacts/bulk_upsert", object{"contacts": records})
	url, _ := res.body["job_status_url"].(string)
	var id int64
	if _, err := fmt.Sscanf(url, "http://example.com/crm/sales/api/job_statuses/%d", &id); err != nil || res.status != 200 {
		t.Fatalf("got %d %s, want an absolute job URL", res.status, res.raw)
	}
	return fmt.Sprint("job_statuses/", id)
}

// poll asks for a job and decodes the JSON in its data.
func poll(t *testing.T, box *sandbox.Sandbox, job string) (state string, succeeded, failed int, failures []object) {
	t.Helper()
	res := api(t, box, "GET", job, nil)
	data, ok := res.body["data"].(string)
	var inner struct {
		Status struct{ Succeeded, Failed int } `json:"record_status"`
		Report []object                        `json:"detailed_failure_report"`
	}
	if err := json.Unmarshal([]byte(data), &inner); err != nil || !ok || res.status != 200 {
		t.Fatalf("got %d %s, want data as JSON in a string", res.status, res.raw)
	}
	return fmt.Sprint(res.body["status"]), inner.Status.Succeeded, inner.Status.Failed, inner.Report
}

func TestBulkOverTime(t *testing.T) {
	t.Parallel()
	clock := newClock()
	var effects []string
	box := newBox(t, sandbox.Options{
		Now: clock.Now, BulkWait: 2 * time.Second, BulkDuration: 4 * time.Second, History: true,
		OnEffect: func(c sandbox.Call) { effects = append(effects, fmt.Sprint(c.N, c.Operation, c.ContactID != 0)) },
	})
	var records []any
	for i := range 4 {
		records = append(records, object{"emails": fmt.Sprintf("c%d@x.test", i), "data": object{"first_name": "C"}})
	}
	job := bulk(t, box, records...)
	for second, want := range []string{"QUEUED 0", "QUEUED 0", "QUEUED 0", "IN_PROGRESS 1", "IN_PROGRESS 2", "IN_PROGRESS 3", "SUCCESS 4"} {
		state, succeeded, failed, _ := poll(t, box, job)
		if got := fmt.Sprint(state, " ", succeeded); got != want || failed != 0 || len(box.Contacts()) != succeeded {
			t.Errorf("after %d s: got %s with %d failures and %d contacts, want %s", second, got, failed, len(box.Contacts()), want)
		}
		clock.pass(time.Second)
	}
	if diff := cmp.Diff([]string{"1bulk_upserttrue", "1bulk_upserttrue", "1bulk_upserttrue", "1bulk_upserttrue"}, effects); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	for i, c := range box.Contacts() {
		if at := c.CreatedAt.Sub(newClock().now); at != time.Duration(3+i)*time.Second {
			t.Errorf("contact %d was created after %s", i, at)
		}
		if h := box.History(c.ID); len(h) != 1 || h[0].N != 1 || h[0].Operation != sandbox.OpBulkUpsert {
			t.Errorf("history %v", h)
		}
	}
}

func TestBulkByPolls(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{BulkPolls: 2})
	job := bulk(t, box, object{"emails": "a@x.test", "data": object{}}, object{"emails": "b@x.test", "data": object{}})
	for i, want := range []string{"QUEUED 0", "IN_PROGRESS 1", "SUCCESS 2", "SUCCESS 2"} {
		if state, n, _, _ := poll(t, box, job); fmt.Sprint(state, " ", n) != want {
			t.Errorf("poll %d: got %s %d, want %s", i, state, n, want)
		}
	}
}

func TestBulkReportsEachRecord(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{BulkCustomFieldMode: sandbox.Replace})
	known := create(t, box, object{"email": "known@x.test", "external_id": "u-1", "custom_field": object{"cf_plan": "Gold", "cf_logins": 1}}).id()
	job := bulk(t, box,
		object{"id": known, "data": object{"custom_field": object{"cf_logins": 2}}},
		object{"external_id": "u-2", "data": object{"emails": "KNOWN@x.test"}},
		object{"external_id": "u-3", "data": object{"emails": "new@x.test"}},
		object{"emails": "bad", "data": object{}},
		object{"data": object{"first_name": "nobody"}},
		object{"emails": "x@x.test"},
		object{"id": "990000000000999", "data": object{}},
	)
	state, succeeded, failed, report := poll(t, box, job)
	if state != "SUCCESS" || succeeded != 2 || failed != 5 || len(report) != 5 {
		t.Errorf("got %s, %d succeeded, %d failed: %v", state, succeeded, failed, report)
	}
	if !slices.ContainsFunc(report, func(f object) bool {
		return f["external_id"] == "u-2" && fmt.Sprint(f["error"]) == "map[code:400 message:[KNOWN@x.test already exists.]]"
	}) {
		t.Errorf("report: %v", report)
	}
	got := box.Contacts()
	if len(got) != 2 || got[1].ExternalID != "u-3" || cmp.Diff(object{"cf_logins": json.Number("2")}, got[0].Custom) != "" {
		t.Errorf("contacts %+v, want u-3 as a new one, and cf_plan replaced away", got)
	}
}

func TestBulkIsChecked(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{BulkPolls: 1, MaxJobs: 2})
	many := slices.Repeat([]any{object{"id": "1", "data": object{}}}, 101)
	for name, body := range map[string]any{
		"101 records": object{"contacts": many}, "none": object{"contacts": []any{}}, "no list": object{"contacts": object{}},
		"no envelope": object{}, "not objects": object{"contacts": []any{"a@x.test"}}, "not JSON": "contacts",
	} {
		if res := api(t, box, "POST", "contacts/bulk_upsert", body); res.status != 400 || res.messages() == "" {
			t.Errorf("%s: got %d %s, want 400", name, res.status, res.raw)
		}
	}
	first := bulk(t, box, many[:100]...)
	bulk(t, box, many[0])
	if res := api(t, box, "POST", "contacts/bulk_upsert", object{"contacts": many[:1]}); res.status != 405 || res.raw != "" {
		t.Errorf("a third job: got %d %s, want an empty 405", res.status, res.raw)
	}
	poll(t, box, first)
	poll(t, box, first)
	bulk(t, box, many[0])
	for path, hasBody := range map[string]bool{"job_statuses/1": true, "job_statuses/x": false} {
		if res := api(t, box, "GET", path, nil); res.status != 404 || (res.raw != "") != hasBody {
			t.Errorf("%s: got %d %q, want 404, with a body %t", path, res.status, res.raw, hasBody)
		}
	}
	if res := api(t, newBox(t, sandbox.Options{RefuseExternalIDUpsert: true}), "POST", "contacts/bulk_upsert",
		object{"contacts": []any{object{"external_id": "u", "data": object{"emails": "a@x.test"}}}}); res.status != 200 {
		t.Errorf("refused identifier: got %d, want it in the report of the job", res.status)
	}
}

// The order inside a job is nobody's promise, and the same in every run with the same seed.
func TestBulkOrderIsShuffled(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (order []string) {
		box := newBox(t, sandbox.Options{Seed: seed})
		var records []any
		for i := range 20 {
			records = append(records, object{"emails": fmt.Sprintf("c%d@x.test", i), "data": object{}})
		}
		bulk(t, box, records...)
		for _, c := range box.Contacts() {
			order = append(order, c.Email)
		}
		return order
	}
	if diff := cmp.Diff(run(1), run(1)); diff != "" {
		t.Errorf("the same seed (-first +second):\n%s", diff)
	}
	if slices.Equal(run(1), run(2)) || slices.IsSorted(run(3)) {
		t.Error("the order depends on no seed, or is that of the request")
	}
}

func TestViewsLagToo(t *testing.T) {
	t.Parallel()
	clock := newClock()
	box := newBox(t, sandbox.Options{Now: clock.Now, IndexLag: 20 * time.Second})
	all := fmt.Sprint("contacts/view/", 980_000_000_000_503)
	names := func() (list []string) {
		rows, _ := api(t, box, "GET", all, nil).body["contacts"].([]any)
		for _, r := range rows {
			list = append(list, fmt.Sprint(r.(object)["first_name"]))
		}
		return list
	}
	id := create(t, box, object{"email": "a@x.test", "first_name": "A"}).id()
	if got := names(); len(got) != 0 {
		t.Errorf("at once: %v", got)
	}
	clock.pass(20 * time.Second)
	api(t, box, "PUT", "contacts/"+id, object{"contact": object{"first_name": "B"}})
	if got := names(); !slices.Equal(got, []string{"A"}) {
		t.Errorf("after a change: %v, want what was", got)
	}
	clock.pass(20 * time.Second)
	api(t, box, "DELETE", "contacts/"+id, nil)
	if got := names(); !slices.Equal(got, []string{"B"}) {
		t.Errorf("after the deletion: %v, want what was", got)
	}
	clock.pass(20 * time.Second)
	if got := names(); len(got) != 0 {
		t.Errorf("in the end: %v", got)
	}
}
