package sandbox_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestDealSelectors(t *testing.T) {
	t.Parallel()
	box := newBox(t, sandbox.Options{})
	seen := map[any]string{}
	for _, name := range []string{"currencies", "deal_types", "deal_reasons", "deal_payment_statuses", "deal_products", "deal_pipelines", "deal_stages"} {
		res := api(t, box, "GET", "selector/"+name, nil)
		rows, _ := res.body[name].([]any)
		if res.status != 200 || len(rows) < 2 {
			t.Errorf("%s: got %d %s", name, res.status, res.raw)
		}
		for _, r := range rows {
			row := r.(object)
			key := "name"
			if name == "currencies" {
				key = "currency_code"
			}
			if id, ok := row["id"].(float64); !ok || seen[id] != "" || row[key] == "" || row[key] == nil {
				t.Errorf("%s: row %v, want a name and an id of its own (%s)", name, row, seen[id])
			}
			seen[row["id"]] = name
		}
	}
	var all []any
	pipelines, _ := api(t, box, "GET", "selector/deal_pipelines", nil).body["deal_pipelines"].([]any)
	for i, p := range pipelines {
		pipeline := p.(object)
		res := api(t, box, "GET", fmt.Sprintf("selector/deal_pipelines/%.0f/deal_stages", pipeline["id"]), nil)
		stages, _ := res.body["deal_stages"].([]any)
		if diff := cmp.Diff(pipeline["deal_stages"], any(stages)); diff != "" || res.status != 200 || len(stages) < 3 || pipeline["is_default"] != (i == 0) {
			t.Errorf("pipeline %v: %d (-inside +alone):\n%s", pipeline["name"], res.status, diff)
			continue
		}
		for _, s := range stages {
			if s.(object)["deal_pipeline_id"] != pipeline["id"] {
				t.Errorf("stage %v of pipeline %v", s, pipeline["id"])
			}
		}
		won, lost := stages[len(stages)-2].(object), stages[len(stages)-1].(object)
		if won["forecast_type"] != "Closed Won" || won["probability"] != 100.0 || lost["forecast_type"] != "Closed Lost" || lost["probability"] != 0.0 {
			t.Errorf("it ends with %v and %v", won, lost)
		}
		all = append(all, stages...)
	}
	if diff := cmp.Diff(all, api(t, box, "GET", "selector/deal_stages", nil).body["deal_stages"]); diff != "" {
		t.Errorf("all stages (-of the pipelines +alone):\n%s", diff)
	}
	for path, hasBody := range map[string]bool{"deal_pipelines/1/deal_stages": true, "deal_pipelines/x/deal_stages": false, "deal_nothing": false} {
		if res := api(t, box, "GET", "selector/"+path, nil); res.status != 404 || (res.raw != "") != hasBody {
			t.Errorf("%s: %d %q", path, res.status, res.raw)
		}
	}
}
