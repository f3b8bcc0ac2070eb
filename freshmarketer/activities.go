package freshmarketer

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Activity is a sales activity of a contact: something that happened, with a type the account defines.
type Activity struct {
	ID         string // "" when creating
	Title      string
	TypeID     string // of SelectActivityTypes
	OwnerID    string // of SelectOwners
	ContactID  string
	Start, End time.Time
	Notes      string // free text, "" for none
	Custom     Fields // custom fields, sent as custom_field; not read back
}

// CreateActivity records an activity and returns its id. It cannot be repeated: a second call makes a second activity.
// Error.MayHaveEffect says when a failed one may have been recorded all the same.
//
// Source: Freshworks CRM API, "Create a sales activity".
func (c *Client) CreateActivity(ctx context.Context, a Activity) (id string, err error) {
	if strings.TrimSpace(a.Title) == "" || !isID(a.TypeID) || !isID(a.OwnerID) || !isID(a.ContactID) {
		return "", refuse(OpCreateActivity, "an activity needs a title and the numbers of its type, owner and contact")
	}
	object := ContactWrite{Custom: a.Custom}.wire("email")
	maps.Copy(object, map[string]any{
		"title": a.Title, "sales_activity_type_id": json.Number(a.TypeID), "owner_id": json.Number(a.OwnerID),
		"targetable_type": "Contact", "targetable_id": json.Number(a.ContactID),
		"start_date": a.Start.Format(time.RFC3339), "end_date": a.End.Format(time.RFC3339),
	})
	if a.Notes != "" {
		object["notes"] = a.Notes
	}
	what := ContactWrite{Fields: Fields{"title": a.Title, "notes": a.Notes}, Custom: a.Custom}.sent("", "")
	for name := range object {
		what.merge(sent{fields: []string{name}})
	}
	var answer struct {
		Activity activityAnswer `json:"sales_activity"`
	}
	err = c.do(ctx, call{op: OpCreateActivity, method: http.MethodPost, path: "/sales_activities", sent: what, body: map[string]any{"sales_activity": object}},
		decodeInto(&answer, func() bool { return answer.Activity.ID != "" }))
	return string(answer.Activity.ID), err
}

// ListActivities reads one page of the account's activities, of all contacts, page counting from 1, and says how many pages
// there are: one more than this one if the account does not say and this one is not empty. In which order they come is not documented.
//
// Source: Freshworks CRM API, "List all sales activities"; the shape is seen in client code.
func (c *Client) ListActivities(ctx context.Context, page int) (activities []Activity, pages int, err error) {
	var answer struct {
		Activities *[]activityAnswer `json:"sales_activities"`
		Meta       struct {
			TotalPages int `json:"total_pages"`
		} `json:"meta"`
	}
	page = max(page, 1)
	cl := call{
		op: OpListActivities, method: http.MethodGet, path: "/sales_activities",
		query: url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(MaxPerPage)}},
	}
	if err := c.do(ctx, cl, decodeInto(&answer, func() bool { return answer.Activities != nil })); err != nil {
		return nil, 0, err
	}
	for _, a := range *answer.Activities {
		activities = append(activities, a.activity())
	}
	pages = max(page, answer.Meta.TotalPages)
	if answer.Meta.TotalPages == 0 && len(activities) > 0 {
		pages++
	}
	return activities, pages, nil
}

type activityAnswer struct {
	ID         text `json:"id"`
	Title      text `json:"title"`
	TypeID     text `json:"sales_activity_type_id"`
	OwnerID    text `json:"owner_id"`
	TargetType text `json:"targetable_type"`
	TargetID   text `json:"targetable_id"`
	Start      text `json:"start_date"`
	End        text `json:"end_date"`
	Notes      text `json:"notes"`
}

func (a activityAnswer) activity() Activity {
	out := Activity{ID: string(a.ID), Title: string(a.Title), TypeID: string(a.TypeID), OwnerID: string(a.OwnerID), Notes: string(a.Notes)}
	if a.TargetType == "" || a.TargetType == "Contact" {
		out.ContactID = string(a.TargetID)
	}
	// Ignoring the errors: a date in another form is not told, which leaves the zero time.
	out.Start, _ = time.Parse(time.RFC3339, string(a.Start))
	out.End, _ = time.Parse(time.RFC3339, string(a.End))
	return out
}
