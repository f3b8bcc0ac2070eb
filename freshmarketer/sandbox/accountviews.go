package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// accountViews are the views of sales accounts; their names are inferred from those of contacts.
var accountViews = []struct { //nolint:gochecknoglobals // a table nobody writes to
	name  string
	shows func(a *salesAccount, now time.Time) bool
}{
	{"My Accounts", func(a *salesAccount, _ time.Time) bool {
		return !a.Deleted && fmt.Sprint(a.Standard["owner_id"]) == fmt.Sprint(userID)
	}},
	{"New Accounts", func(a *salesAccount, now time.Time) bool { return !a.Deleted && now.Sub(a.Created) < recently }},
	{"All Accounts", func(a *salesAccount, _ time.Time) bool { return !a.Deleted }},
	{"Recently Modified", func(a *salesAccount, now time.Time) bool { return !a.Deleted && now.Sub(a.Updated) < recently }},
	{"Recycle Bin", func(a *salesAccount, _ time.Time) bool { return a.Deleted }},
}

func accountViewID(i int) int64 { return firstOtherID + 600 + int64(i) }

// accountFilters is GET /sales_accounts/filters.
func accountFilters(now time.Time) []map[string]any {
	rows := make([]map[string]any, len(accountViews))
	for i, v := range accountViews {
		rows[i] = filter(accountViewID(i), v.name, "SalesAccount", now)
	}
	return rows
}

// accountView is GET /sales_accounts/view/:id?page&per_page&sort&sort_type. An unknown view is answered 403, as with contacts; that
// the rows are whole objects, and see every write at once, is inferred.
func (s *Sandbox) accountView(rq request) answer {
	at := -1
	for i := range accountViews {
		if strconv.FormatInt(accountViewID(i), 10) == rq.id {
			at = i
		}
	}
	if at < 0 {
		return s.refuse(http.StatusForbidden, s.say(notAuthorized))
	}
	var all []*salesAccount
	for _, id := range slices.Sorted(maps.Keys(s.store.accounts)) {
		if a := s.store.accounts[id]; accountViews[at].shows(a, rq.at) {
			all = append(all, a)
		}
	}
	sortAccounts(all, rq.query.Get("sort"), rq.query.Get("sort_type"))
	rows, meta := page(rq, all)
	objects := make([]any, len(rows))
	for i, a := range rows {
		objects[i] = s.accountObject(a)
	}
	return answer{status: http.StatusOK, body: map[string]any{"sales_accounts": objects, "meta": meta}}
}

// sortAccounts knows updated_at and name; any other field, and none, is the order of creation.
func sortAccounts(rows []*salesAccount, by, direction string) {
	slices.SortFunc(rows, func(a, b *salesAccount) int {
		order := cmp.Compare(a.ID, b.ID)
		switch by {
		case "updated_at":
			order = cmp.Or(a.Updated.Compare(b.Updated), order)
		case "name":
			order = cmp.Or(cmp.Compare(a.name(), b.name()), order)
		}
		if direction == "desc" {
			return -order
		}
		return order
	})
}
