package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/mapping"
)

func TestMappingRoutes(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, path := range []string{"/api/mapping/fields", "/api/mapping/suggestions"} {
		if p := read[Problem](t, s, "GET", path, "", 503); !strings.Contains(p.Error, "not known yet") || p.Mend == "" {
			t.Errorf("%s: %+v", path, p)
		}
	}
	s.store.fields = []mapping.Field{{Name: "cf_plan", Label: "Plan", Type: "dropdown", Custom: true, Choices: []mapping.Choice{{ID: "1", Value: "Gold & Co"}}}}
	w := s.ask(t, "GET", "/api/mapping/fields", "")
	got, err := mapping.ParseFields(w.Body.Bytes())
	if err != nil || len(got) != 1 || got[0].Choices[0].Value != "Gold & Co" {
		t.Errorf("what is answered cannot be saved and used: %v, %+v\n%s", err, got, w.Body)
	}
	if list := read[UnmappedList](t, s, "GET", "/api/mapping/unmapped", "", 200); list.Traits == nil {
		t.Error("no list is null")
	}
	s.store.unmapped = []mapping.Unmapped{{Trait: "cf_plan", Source: "website", Count: 3, First: time.Unix(1, 0), Last: time.Unix(2, 0)}}
	if list := read[SuggestionList](t, s, "GET", "/api/mapping/suggestions", "", 200); len(list.Suggestions) != 1 || list.Suggestions[0].Target != "Plan" || list.Suggestions[0].Count != 3 {
		t.Errorf("%+v", list)
	}
	answer := read[ExplainAnswer](t, s, "POST", "/api/mapping/explain", `{"source":"shop","calls":[{"type":"identify"},{"type":"track"}]}`, 200)
	if len(answer.Explanations) != 2 || answer.Explanations[1].UserID != `{"type":"track"}` || answer.Explanations[0].Source != "shop" {
		t.Errorf("%+v", answer)
	}
	for name, body := range map[string]string{
		"no source": `{"calls":[{}]}`, "no calls": `{"source":"shop"}`, "too many": `{"source":"shop","calls":[{}` + strings.Repeat(",{}", maxExplain) + `]}`,
	} {
		if p := read[Problem](t, s, "POST", "/api/mapping/explain", body, 400); p.Mend == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestResyncRoute(t *testing.T) {
	t.Parallel()
	s := newService(t)
	read[ResyncAnswer](t, s, "POST", "/api/resync", `{"user_id":"ada"}`, 200)
	read[ResyncAnswer](t, s, "POST", "/api/resync", `{"all":true}`, 200)
	if len(s.store.resynced) != 2 || s.store.resynced[0] != "hash-of-ada" || s.store.resynced[1] != "" {
		t.Errorf("%q", s.store.resynced)
	}
	for _, body := range []string{`{}`, `{"user_id":"ada","all":true}`} {
		read[Problem](t, s, "POST", "/api/resync", body, 400)
	}
	s.store.failing = ErrNoWorker
	if p := read[Problem](t, s, "POST", "/api/resync", `{"all":true}`, 503); !strings.Contains(p.Mend, "--admin-url") {
		t.Errorf("%+v", p)
	}
	s.store.failing = ErrResyncAll
	if p := read[Problem](t, s, "POST", "/api/resync", `{"user_id":"ada"}`, 409); !strings.Contains(p.Mend, "--all") {
		t.Errorf("%+v", p)
	}
	for _, entry := range s.logs.All() {
		if line, _ := json.Marshal(entry.ContextMap()); strings.Contains(string(line), `"ada"`) {
			t.Errorf("a log line names the user: %s", line)
		}
	}
}
