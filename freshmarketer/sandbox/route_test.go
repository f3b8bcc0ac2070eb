package sandbox_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// Keys, quota and faults are in front of every route, and the call log names it.
func TestRoutesAreGuarded(t *testing.T) {
	t.Parallel()
	const account, activity, list = "950000000000001", "940000000000001", "920000000000001"
	for _, tt := range []struct {
		op, method, path string
		body             any
	}{
		{sandbox.OpAccountFilters, "GET", "sales_accounts/filters", nil},
		{sandbox.OpAccountView, "GET", "sales_accounts/view/980000000000603", nil},
		{sandbox.OpBulkUpsertAccounts, "POST", "sales_accounts/bulk_upsert", object{"sales_accounts": []any{object{"name": "Other", "data": object{}}}}},
		{sandbox.OpBulkDestroyAccounts, "POST", "sales_accounts/bulk_destroy", object{"selected_ids": []any{account}}},
		{sandbox.OpForgetAccount, "DELETE", "sales_accounts/" + account + "/forget", nil},
		{sandbox.OpCloneAccount, "POST", "sales_accounts/" + account + "/clone", object{"sales_account": object{"name": "Other"}}},
		{sandbox.OpUpdateActivity, "PUT", "sales_activities/" + activity, object{"sales_activity": object{"title": "Other"}}},
		{sandbox.OpDeleteActivity, "DELETE", "sales_activities/" + activity, nil},
		{sandbox.OpActivityFields, "GET", "settings/sales_activities/fields", nil},
		{sandbox.OpActivityTypes, "GET", "settings/sales_activity_types", nil},
		{sandbox.OpPipelineStages, "GET", "selector/deal_pipelines/980000000175001/deal_stages", nil},
		{sandbox.OpCreateAppointment, "POST", "appointments", object{"appointment": object{"title": "x", "from_date": "2026-08-10T10:00:00Z", "end_date": "2026-08-10T11:00:00Z"}}},
		{sandbox.OpRenameList, "PUT", "lists/" + list, object{"name": "Other"}},
		{sandbox.OpMoveToList, "PUT", "lists/" + list + "/move_contacts", object{"from_list_id": "920000000000002", "all": true}},
	} {
		t.Run(tt.op, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			box := newBox(t, sandbox.Options{Now: clock.Now, PerMinute: 100, ReadOnlyKeys: []string{"reader"}})
			id := create(t, box, object{"email": "a@x.test"}).id()
			upsertAccount(t, box, "Account", object{})
			postActivity(t, box, "Title")
			makeList(t, box, "First")
			makeList(t, box, "Second", id)
			state := func() []any {
				return []any{
					box.SalesAccounts(), box.Activities(), box.Appointments(), api(t, box, "GET", "lists", nil).raw, members(t, box, list), members(t, box, "920000000000002"),
				}
			}
			before := state()
			call := func(want int, key string) {
				t.Helper()
				res := api(t, box, tt.method, tt.path, tt.body, func(r *http.Request) { r.Header.Set("Authorization", "Token token="+key) })
				calls := box.Calls()
				if last := calls[len(calls)-1]; res.status != want || last.Operation != tt.op || last.Status != want {
					t.Errorf("got %d %s as %s, want %d", res.status, res.raw, last.Operation, want)
				}
			}
			call(http.StatusUnauthorized, "wrong")
			if tt.method != http.MethodGet {
				call(http.StatusForbidden, "reader")
			}
			if err := box.AddFault(sandbox.Fault{Next: 1, Operation: tt.op, Status: http.StatusServiceUnavailable}); err != nil {
				t.Fatal(err)
			}
			call(http.StatusServiceUnavailable, sandbox.DefaultAPIKey)
			if diff := cmp.Diff(before, state()); diff != "" {
				t.Errorf("a refused call did something (-before +after):\n%s", diff)
			}
			taken := http.StatusOK
			if tt.op == sandbox.OpCreateAppointment {
				taken = http.StatusCreated
			}
			call(taken, sandbox.DefaultAPIKey)
			if changed := cmp.Diff(before, state()) != ""; changed != (tt.method != http.MethodGet) {
				t.Errorf("a call that is taken changes the account: %t", changed)
			}
			box.Spend(100)
			call(http.StatusTooManyRequests, sandbox.DefaultAPIKey)
		})
	}
}
