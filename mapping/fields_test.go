package mapping

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFields(t *testing.T) {
	t.Parallel()
	const list = `[
		{"id": 5, "name": "job_title", "label": "Job title", "type": "text", "default": true, "actionable": true, "required": true, "choices": []},
		{"name": "cf_plan", "label": "Plan ", "type": "dropdown", "default": false, "choices": [{"id": 901, "value": "Free", "position": 1}, {"id": "902", "value": "Paid"}, {"id": null, "value": "?"}]},
		{"name": "cf_old", "label": "Old", "type": "text"},
		{"name": "city", "label": "City", "type": "text"}
	]`
	want := []Field{
		{Name: "job_title", Label: "Job title", Type: "text", Required: true},
		{Name: "cf_plan", Label: "Plan ", Type: "dropdown", Custom: true, Choices: []Choice{{"901", "Free"}, {"902", "Paid"}, {"", "?"}}},
		{Name: "cf_old", Label: "Old", Type: "text", Custom: true},
		{Name: "city", Label: "City", Type: "text"},
	}
	for _, text := range []string{list, `{"fields": ` + list + `, "meta": {}}`} {
		got, err := ParseFields([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		saved, err := EncodeFields(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseFields(saved)
		if diff := cmp.Diff(want, again); diff != "" || err != nil {
			t.Errorf("saved and read again: %v\n%s", err, diff)
		}
	}
	for _, bad := range []string{"", "{}", "[]", `{"fields": 5}`, `[{"label": "no name"}]`, `[{"name": "x"}]`, `[{"name":"x","type":"y","choices":[{"id":{}}]}]`} {
		if _, err := ParseFields([]byte(bad)); !errors.Is(err, ErrNotFields) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
