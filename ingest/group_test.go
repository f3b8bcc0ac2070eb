package ingest_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/segment"
)

// TestGroupIsTwoEntries: one for the company and one for its user, where the call names them.
func TestGroupIsTwoEntries(t *testing.T) {
	t.Parallel()
	type entry struct {
		Type segment.Type
		Lane string
	}
	company, user := entry{segment.Account, segment.GroupLane("g1")}, entry{segment.Group, "u1"}
	for name, tt := range map[string]struct {
		off  bool
		body string
		want []entry
	}{
		"both":                {body: `{"type":"group","userId":"u1","groupId":"g1"}`, want: []entry{company, user}},
		"no user":             {body: `{"type":"group","anonymousId":"a","groupId":"g1"}`, want: []entry{company}},
		"no company":          {body: `{"type":"group","userId":"u1","groupId":" "}`, want: []entry{user}},
		"neither":             {body: `{"type":"group"}`, want: []entry{{segment.Group, ""}}},
		"off":                 {off: true, body: `{"type":"group","userId":"u1","groupId":"g1"}`, want: []entry{user}},
		"another type":        {body: `{"type":"identify","userId":"u1","groupId":"g1"}`, want: []entry{{segment.Identify, "u1"}}},
		"a company's user":    {body: `{"type":"group","userId":"\u0000group:g1","groupId":"g1"}`, want: []entry{company, {segment.Group, "\x00user:\x00group:g1"}}},
		"type of a company's": {body: `{"type":"account","userId":"u1","groupId":"g1"}`, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoorWith(t, ingest.Config{Sources: []ingest.Source{{Name: "website", WriteKeys: []string{key}, Accounts: !tt.off, Lane: segment.Received.Lane}}})
			if w := d.post("/v1/batch", `{"batch":[`+tt.body+`]}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			var got []entry
			for _, e := range d.store.entries {
				r, err := segment.Decode(e.Data)
				if err != nil {
					t.Fatal(err)
				}
				if r.Lane() != e.UserID {
					t.Errorf("lane %q, the call says %q", e.UserID, r.Lane())
				}
				got = append(got, entry{r.Type, e.UserID})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
