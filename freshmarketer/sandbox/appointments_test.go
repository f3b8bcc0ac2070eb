package sandbox_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestAppointments(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	contact := create(t, box, object{"email": "a@x.test"}).id()
	meeting := object{
		"title": "Demo", "from_date": "2026-08-10T10:00:00Z", "end_date": "2026-08-10T11:00:00Z", "time_zone": "Chennai",
		"targetable_type": "Contact", "targetable_id": contact,
	}
	made := api(t, box, "POST", "appointments", object{"appointment": meeting})
	got, _ := made.body["appointment"].(object)
	if made.status != 201 || got["id"] != 900_000_000_000_001.0 || got["title"] != "Demo" || got["targetable_id"] != 990_000_000_000_001.0 {
		t.Fatalf("got %d %s", made.status, made.raw)
	}
	path := fmt.Sprintf("appointments/%.0f", got["id"])
	without := object{"title": "Of nobody", "from_date": "2026-08-10T10:00:00Z", "end_date": "2026-08-10T11:00:00Z"}
	if res := api(t, box, "POST", "appointments", object{"appointment": without}); res.status != 201 {
		t.Errorf("about nobody: %d %s", res.status, res.raw)
	}
	inside := box.Appointments()
	if len(inside) != 2 || inside[0].ContactID != 990_000_000_000_001 || inside[1].ContactID != 0 || len(box.Tasks()) != 0 {
		t.Fatalf("inside: %+v, tasks %+v", inside, box.Tasks())
	}
	for _, tt := range []struct {
		name   string
		change any
		status int
		says   string
	}{
		{"blank", object{"title": " ", "from_date": nil, "end_date": ""}, 400, "Title can't be blank; From date can't be blank; End date can't be blank"},
		{"words for dates", object{"from_date": "soon", "end_date": 5}, 400, "Invalid from date provided.; Invalid end date provided."},
		{"an IANA time zone", object{"time_zone": "Asia/Kolkata"}, 400, "Not a supported time zone"},
		{"words for ids", object{"outcome_id": "good", "creater_id": "+1", "a_id": "01", "targetable_id": "1"}, 400, "Invalid a provided.; Invalid creater provided.; Invalid outcome provided."},
		{"no time zone at all", object{"time_zone": []any{}}, 400, "Not a supported time zone"},
	} {
		if res := api(t, box, "PUT", path, object{"appointment": tt.change}); res.status != tt.status || res.messages() != tt.says {
			t.Errorf("%s: got %d %s, want %d %q", tt.name, res.status, res.raw, tt.status, tt.says)
		}
	}
	if res := api(t, box, "POST", "appointments", meeting); res.status != 400 || res.messages() != "Title can't be blank; From date can't be blank; End date can't be blank" {
		t.Errorf("a flat body: %d %s", res.status, res.raw)
	}
	if res := api(t, box, "POST", "appointments", object{"appointment": object{
		"title": "x", "from_date": "2026-08-10T10:00:00Z", "end_date": "2026-08-10T11:00:00Z", "targetable_type": "Contact", "targetable_id": 5,
	}}); res.status != 404 || res.raw == "" {
		t.Errorf("an unknown contact: %d %s", res.status, res.raw)
	}
	if diff := cmp.Diff(inside, box.Appointments()); diff != "" {
		t.Errorf("refused calls did something (-before +after):\n%s", diff)
	}
	res := api(t, box, "PUT", path, object{"appointment": object{"title": "Second demo", "time_zone": nil}})
	if a, _ := res.body["appointment"].(object); res.status != 200 || a["title"] != "Second demo" || a["from_date"] != meeting["from_date"] || a["time_zone"] != nil {
		t.Errorf("update: %d %s", res.status, res.raw)
	}
	if read := api(t, box, "GET", path, nil); read.status != 200 || read.raw != res.raw {
		t.Errorf("read: %d %s, want %s", read.status, read.raw, res.raw)
	}
	if res := api(t, box, "DELETE", path, nil); res.status != 200 || res.body["success"] != "200" {
		t.Errorf("delete: %d %s", res.status, res.raw)
	}
	for _, method := range []string{"DELETE", "GET", "PUT"} {
		if res := api(t, box, method, path, object{"appointment": meeting}); res.status != 404 || res.raw == "" {
			t.Errorf("%s of a deleted one: %d %q", method, res.status, res.raw)
		}
	}
	list := api(t, box, "GET", "appointments", nil)
	if rows, _ := list.body["appointments"].([]any); len(rows) != 1 || rows[0].(object)["title"] != "Of nobody" || len(box.Appointments()) != 1 {
		t.Errorf("left: %s", list.raw)
	}
}
