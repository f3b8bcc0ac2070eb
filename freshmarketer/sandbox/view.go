package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	defaultPerPage = 25
	// maxPerPage rows are answered however many are asked for: 100 is documented, more has been seen to be accepted.
	maxPerPage = 100
	recently   = 7 * 24 * time.Hour
)

// views are the views every account starts with. Source: seen live; what the middle ones show is inferred from their
// names, as nobody is contacted or active in a sandbox.
var views = []struct { //nolint:gochecknoglobals // a table nobody writes to
	name  string
	shows func(c *contact, now time.Time) bool
}{
	{"My Contacts", func(c *contact, _ time.Time) bool {
		return c.live() && fmt.Sprint(c.Standard["owner_id"]) == fmt.Sprint(userID)
	}},
	{"New Contacts", func(c *contact, now time.Time) bool { return c.live() && now.Sub(c.Created) < recently }},
	{"All Contacts", func(c *contact, _ time.Time) bool { return c.live() }},
	{"Recently Modified", func(c *contact, now time.Time) bool { return c.live() && now.Sub(c.Updated) < recently }},
	{"Never Contacted", func(c *contact, _ time.Time) bool { return c.live() }},
	{"Active", func(*contact, time.Time) bool { return false }},
	{"Inactive", func(c *contact, _ time.Time) bool { return c.live() }},
	{"Recycle Bin", func(c *contact, _ time.Time) bool { return c.Deleted }},
}

func viewID(i int) int64 { return firstOtherID + 500 + int64(i) }

// filters is GET /contacts/filters: the list of views, and the cheapest call there is.
func filters(now time.Time) []map[string]any {
	rows := make([]map[string]any, len(views))
	for i, v := range views {
		rows[i] = filter(viewID(i), v.name, "Contact", now)
	}
	return rows
}

func filter(id int64, name, model string, now time.Time) map[string]any {
	return map[string]any{
		"id": id, "name": name, "model_class_name": model, "user_id": userID,
		"is_default": true, "is_public": true, "updated_at": timestamp(now),
	}
}

// view is GET /contacts/view/:id?page&per_page&sort&sort_type. Like a lookup it sees writes late (inferred). An unknown view is answered 403, a page past the end by
// an empty list with totals of zero (both seen live).
func (s *Sandbox) view(rq request) answer {
	at := -1
	for i := range views {
		if strconv.FormatInt(viewID(i), 10) == rq.id {
			at = i
		}
	}
	if at < 0 {
		return s.refuse(http.StatusForbidden, s.say(notAuthorized))
	}
	var rows []*contact
	for _, c := range s.indexStates(rq.at) {
		if views[at].shows(c, rq.at) {
			rows = append(rows, c)
		}
	}
	return s.contactPage(rq, rows)
}

func (s *Sandbox) contactPage(rq request, all []*contact) answer {
	sortContacts(all, rq.query.Get("sort"), rq.query.Get("sort_type"))
	rows, meta := page(rq, all)
	raw := append(append([]byte(`{"contacts":`), s.objects(rows)...), `,"meta":`...)
	return answer{status: http.StatusOK, body: json.RawMessage(append(appendValue(raw, meta), '}'))}
}

// page cuts out what page and per_page ask for.
func page[T any](rq request, all []T) (rows []T, meta map[string]any) {
	perPage := min(queryInt(rq, "per_page", defaultPerPage), maxPerPage)
	from := (max(queryInt(rq, "page", 1), 1) - 1) * perPage
	total, pages := 0, 0
	if perPage > 0 && from < len(all) {
		total, pages = len(all), (len(all)+perPage-1)/perPage
		rows = all[from:min(from+perPage, len(all))]
	}
	return rows, map[string]any{"total_pages": pages, "total": total}
}

// sortContacts knows the fields clients have been seen to sort by; any other, and none, is the order of creation.
func sortContacts(rows []*contact, by, direction string) {
	compare := func(a, b *contact) int { return cmp.Compare(a.ID, b.ID) }
	switch by {
	default:
		if direction != "desc" {
			return // they are in that order already, and the account may be large
		}
	case "updated_at":
		compare = func(a, b *contact) int { return cmp.Or(a.Updated.Compare(b.Updated), cmp.Compare(a.ID, b.ID)) }
	case "first_name", "last_name":
		compare = func(a, b *contact) int { return cmp.Or(cmp.Compare(a.text(by), b.text(by)), cmp.Compare(a.ID, b.ID)) }
	}
	slices.SortFunc(rows, func(a, b *contact) int {
		if direction == "desc" {
			return compare(b, a)
		}
		return compare(a, b)
	})
}

func queryInt(rq request, name string, otherwise int) int {
	n, err := strconv.Atoi(rq.query.Get(name))
	if err != nil || n < 0 {
		return otherwise
	}
	return min(n, 1_000_000)
}
