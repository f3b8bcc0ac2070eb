package freshmarketer

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// AllContacts is the name of the view that every account has and that shows every contact that is not deleted.
// Source: the default views, seen live and in client code. An account may have renamed it.
const AllContacts = "All Contacts"

// MaxPerPage is how many contacts a page holds at most. Source: Freshworks CRM API, "Pagination".
const MaxPerPage = 100

// View is a saved list of contacts.
type View struct {
	ID      string
	Name    string
	Default bool // every account has it
}

// ContactViews lists the account's views of contacts.
//
// Source: Freshworks CRM API, "View all contact filters".
func (c *Client) ContactViews(ctx context.Context) ([]View, error) {
	var answer struct {
		Filters *[]struct {
			ID      text `json:"id"`
			Name    text `json:"name"`
			Default bool `json:"is_default"`
		} `json:"filters"`
	}
	err := c.do(ctx, call{op: OpContactFilters, method: http.MethodGet, path: "/contacts/filters"},
		decodeInto(&answer, func() bool { return answer.Filters != nil }))
	if err != nil {
		return nil, err
	}
	views := make([]View, len(*answer.Filters))
	for i, f := range *answer.Filters {
		views[i] = View{ID: string(f.ID), Name: string(f.Name), Default: f.Default}
	}
	return views, nil
}

// FindView returns the view with this name, whatever its letters' case; of two, the built-in one.
func FindView(views []View, name string) (found View, ok bool) {
	for _, v := range views {
		if strings.EqualFold(strings.TrimSpace(v.Name), name) && (!ok || v.Default && !found.Default) {
			found, ok = v, true
		}
	}
	return found, ok
}

// PageQuery says which part of a view.
type PageQuery struct {
	Page    int    // from 1; 0: 1
	PerPage int    // 0: MaxPerPage
	Sort    string // "created_at", "updated_at", …; "": as the account likes it
	Desc    bool   // newest or largest first
}

// Page is one page of a view. A page past the end has no contacts and, on real accounts, totals of zero.
type Page struct {
	Contacts   []Contact
	TotalPages int
	Total      int // contacts of the view
}

// ViewContacts reads one page of a view. Like a lookup it may not see what was written in the last 20 seconds or so.
// KindPermission if there is no such view.
//
// Source: Freshworks CRM API, "List all contacts". To page while contacts come and go, sort by created_at: new ones
// then come last.
func (c *Client) ViewContacts(ctx context.Context, viewID string, q PageQuery) (Page, error) {
	if !isID(viewID) {
		return Page{}, refuse(OpContactView, "the view id is not a number")
	}
	if q.Page < 0 || q.PerPage < 0 || q.PerPage > MaxPerPage {
		return Page{}, refuse(OpContactView, "a page counts from 1 and holds 1 to 100 contacts")
	}
	query := url.Values{"page": {strconv.Itoa(max(q.Page, 1))}, "per_page": {strconv.Itoa(MaxPerPage)}}
	if q.PerPage > 0 {
		query.Set("per_page", strconv.Itoa(q.PerPage))
	}
	if q.Sort != "" {
		query.Set("sort", q.Sort)
		query.Set("sort_type", "asc")
		if q.Desc {
			query.Set("sort_type", "desc")
		}
	}
	var answer struct {
		Contacts *[]Contact `json:"contacts"`
		Meta     struct {
			TotalPages int `json:"total_pages"`
			Total      int `json:"total"`
		} `json:"meta"`
	}
	err := c.do(ctx, call{op: OpContactView, method: http.MethodGet, path: "/contacts/view/" + viewID, query: query},
		decodeInto(&answer, func() bool { return answer.Contacts != nil }))
	if err != nil {
		return Page{}, err
	}
	return Page{Contacts: *answer.Contacts, TotalPages: answer.Meta.TotalPages, Total: answer.Meta.Total}, nil
}
