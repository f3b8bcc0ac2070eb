package sandbox

import (
	"net/http"
	"strconv"
	"strings"
)

// choiceNames are the choices that several fields and selectors share. The activity types are the default ones of
// recorded answers; "Order Completed" stands for those that an account adds.
var choiceNames = map[string][]string{ //nolint:gochecknoglobals // a table nobody writes to
	"industries":  {"Automotive", "Consulting", "Education", "Finance", "Healthcare", "Retail", "Software"},
	"businesses":  {"Competitor", "Customer", "Partner", "Reseller"},
	"territories": {"North", "South"},
	"campaigns":   {"Spring", "Autumn"},
	"stages":      {"Lead", "Sales Qualified Lead", "Customer"},
	"statuses":    {"New", "Contacted", "Interested", "Unqualified", "Qualified", "Negotiation", "Lost", "Won", "Churned"},
	"outcomes":    {"Interested", "Left message", "No response", "Not interested"},
	"activities":  {"Chat", "Phone", "Meeting", "Task", "Email", "SMS Outgoing", "Reminder", "SMS Incoming", "Order Completed"},
	"sources": {
		"Web", "Organic Search", "Email", "Phone", "Chat", "Web Form", "Referral",
		"Direct", "Paid Search", "Blogs", "Social Media", "Display Ads", "Events", "Webinar",
	},
}

// Places of shared choices, as numberedChoices counts fields: those of the contact fields with these choices, and
// beyond them for what has no contact field.
const (
	atStages, atStatuses, atTerritories, atSources, atCampaigns = 12, 13, 28, 29, 30
	atIndustries, atBusinesses, atActivities, atOutcomes        = 151, 152, 160, 161
)

func activityTypes() []choice { return numberedChoices(atActivities, choiceNames["activities"]) }

// internalName is what people cannot change. Source: recorded answers, where a meeting is an "appointment".
func internalName(activity string) string {
	switch activity {
	case "Meeting":
		return "appointment"
	case "Order Completed":
		return "cm_order_completed"
	}
	return strings.ReplaceAll(strings.ToLower(activity), " ", "_")
}

// selector is GET /selector/:name. Source: recorded answers for lifecycle_stages and sales_activity_types; that owners
// are answered under "users" is a connector's documentation, the other shapes are inferred from the first two.
func (s *Sandbox) selector(rq request) answer {
	rows, key := []any{}, rq.id
	add := func(choices []choice, more func(i int, row map[string]any)) {
		for i, c := range choices {
			id := c.ID
			if text, ok := id.(string); ok { // selectors answer numbers where metadata has text
				id, _ = strconv.ParseInt(text, 10, 64)
			}
			row := map[string]any{"id": id, "name": c.Value, "position": i + 1}
			if more != nil {
				more(i, row)
			}
			rows = append(rows, row)
		}
	}
	switch rq.id {
	case "owners":
		key = "users"
		add(owners(), func(_ int, row map[string]any) {
			row["display_name"], row["email"], row["is_active"], row["work_number"], row["mobile_number"] = row["name"], "owner@sandbox.test", true, nil, nil
			delete(row, "name")
			delete(row, "position")
		})
	case "lifecycle_stages":
		add(textIDs(atStages, choiceNames["stages"]...), func(_ int, row map[string]any) {
			row["disabled"], row["default"], row["type"] = false, true, row["name"]
			row["contact_status_ids"] = ids(numberedChoices(atStatuses, choiceNames["statuses"]))
		})
	case "contact_statuses":
		add(numberedChoices(atStatuses, choiceNames["statuses"]), func(_ int, row map[string]any) {
			row["lifecycle_stage_id"] = textIDs(atStages, choiceNames["stages"]...)[0].ID
		})
	case "sales_activity_types":
		add(activityTypes(), func(i int, row map[string]any) {
			row["partial"], row["internal_name"], row["show_in_conversation"] = true, internalName(choiceNames["activities"][i]), true
			row["is_default"], row["is_checkedin"] = i < len(choiceNames["activities"])-1, false
		})
	case "sales_activity_outcomes":
		add(numberedChoices(atOutcomes, choiceNames["outcomes"]), nil)
	case "territories":
		add(numberedChoices(atTerritories, choiceNames["territories"]), nil)
	case "lead_sources":
		add(numberedChoices(atSources, choiceNames["sources"]), nil)
	case "campaigns":
		add(numberedChoices(atCampaigns, choiceNames["campaigns"]), nil)
	case "industry_types":
		add(numberedChoices(atIndustries, choiceNames["industries"]), nil)
	case "business_types":
		add(numberedChoices(atBusinesses, choiceNames["businesses"]), nil)
	default:
		var known bool
		if rows, known = dealRows(rq.id); !known {
			return answer{status: http.StatusNotFound}
		}
	}
	return answer{status: http.StatusOK, body: map[string]any{key: rows}}
}

func ids(choices []choice) []any {
	list := make([]any, len(choices))
	for i, c := range choices {
		list[i] = c.ID
	}
	return list
}
