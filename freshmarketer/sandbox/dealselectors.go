package sandbox

import (
	"net/http"
	"strconv"
)

// pipelines are the sales pipelines with the stages of their deals. The sandbox has no deals, only what is chosen from for them.
// Names and shares are made up; each pipeline ends with a stage that is won and one that is lost (inferred).
var pipelines = []struct { //nolint:gochecknoglobals // a table nobody writes to
	name   string
	stages []string
}{
	{"Default Pipeline", []string{"New", "Follow-up", "Under review", "Demo", "Negotiation", "Won", "Lost"}},
	{"Renewals", []string{"Due", "Offered", "Renewed", "Churned"}},
}

// dealChoices are the selectors of deals that are no more than names. Source of the selectors' names: client code; the shape of
// the rows is inferred from those of others.
var dealChoices = map[string][]string{ //nolint:gochecknoglobals // a table nobody writes to
	"deal_types":            {"New Business", "Existing Business"},
	"deal_reasons":          {"Price", "Features", "Timing", "Lost to competitor"},
	"deal_payment_statuses": {"Pending", "Paid"},
	"deal_products":         {"Basic", "Premium"},
}

// atDeals is where the choices of deals begin, as numberedChoices counts.
const atDeals = 170

// dealRows are the rows of GET /selector/deal_… and /selector/currencies; not known: there is no such selector.
func dealRows(selector string) (rows []any, known bool) {
	switch selector {
	case "currencies":
		return currencyRows(), true
	case "deal_pipelines":
		return pipelineRows(), true
	case "deal_stages":
		for i := range pipelines {
			rows = append(rows, stageRows(i)...)
		}
		return rows, true
	}
	names, known := dealChoices[selector]
	at := map[string]int{"deal_types": atDeals, "deal_reasons": atDeals + 1, "deal_payment_statuses": atDeals + 2, "deal_products": atDeals + 3}
	for _, c := range numberedChoices(at[selector], names) {
		rows = append(rows, map[string]any{"partial": true, "id": c.ID, "name": c.Value, "position": c.Position})
	}
	return rows, known
}

// currencyRows: the keys are inferred; what is sure is an id and a code.
func currencyRows() (rows []any) {
	for i, c := range numberedChoices(atDeals+4, []string{"USD", "EUR"}) {
		rows = append(rows, map[string]any{
			"partial": true, "id": c.ID, "currency_code": c.Value, "is_active": true,
			"exchange_rate": []string{"1.0", "0.9"}[i], "currency_type": i + 1, // the account's own comes first
		})
	}
	return rows
}

// pipelineRows have their stages inside (a client says so).
func pipelineRows() (rows []any) {
	for i, c := range numberedChoices(atDeals+5, pipelineNames()) {
		rows = append(rows, map[string]any{
			"partial": true, "id": c.ID, "name": c.Value, "position": c.Position, "is_default": i == 0, "deal_stages": stageRows(i),
		})
	}
	return rows
}

func pipelineNames() []string {
	names := make([]string, len(pipelines))
	for i, p := range pipelines {
		names[i] = p.name
	}
	return names
}

// stageRows are the stages of one pipeline.
func stageRows(pipeline int) (rows []any) {
	stages := numberedChoices(atDeals+6+pipeline, pipelines[pipeline].stages)
	for i, c := range stages {
		forecast, probability := "Open", 100*i/len(stages)
		switch i {
		case len(stages) - 2:
			forecast, probability = "Closed Won", 100
		case len(stages) - 1:
			forecast, probability = "Closed Lost", 0
		}
		rows = append(rows, map[string]any{
			"partial": true, "id": c.ID, "name": c.Value, "position": c.Position, "forecast_type": forecast, "probability": probability,
			"deal_pipeline_id": numberedChoices(atDeals+5, pipelineNames())[pipeline].ID,
		})
	}
	return rows
}

// pipelineStages is GET /selector/deal_pipelines/:id/deal_stages. Source: client code.
func (s *Sandbox) pipelineStages(rq request) answer {
	id, err := strconv.ParseInt(rq.id, 10, 64)
	if err != nil {
		return answer{status: http.StatusNotFound}
	}
	for i, c := range numberedChoices(atDeals+5, pipelineNames()) {
		if c.ID == id {
			return answer{status: http.StatusOK, body: map[string]any{"deal_stages": stageRows(i)}}
		}
	}
	return s.refuse(http.StatusNotFound, s.say(notInCRM))
}
