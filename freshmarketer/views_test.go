package freshmarketer_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestPagingAllContacts(t *testing.T) {
	t.Parallel()
	box, client := sandboxClient(t, sandbox.Options{})
	for i := range 205 {
		if _, err := box.Add(map[string]any{"email": fmt.Sprintf("c%d@x.test", i), "external_id": fmt.Sprint("u-", i)}); err != nil {
			t.Fatal(err)
		}
	}
	views, err := client.ContactViews(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, ok := freshmarketer.FindView(views, "all contacts")
	if !ok || !all.Default || all.Name != freshmarketer.AllContacts {
		t.Fatalf("views %+v", views)
	}
	found := map[string]string{}
	pages := 0
	for page := 1; ; page++ {
		got, err := client.ViewContacts(t.Context(), all.ID, freshmarketer.PageQuery{Page: page, Sort: "created_at"})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Contacts) == 0 {
			break
		}
		if pages++; got.Total != 205 || got.TotalPages != 3 {
			t.Errorf("page %d: %d contacts on %d pages, want 205 on 3", page, got.Total, got.TotalPages)
		}
		for _, c := range got.Contacts {
			found[c.ExternalID] = c.Email
		}
	}
	if pages != 3 || len(found) != 205 || found["u-204"] != "c204@x.test" {
		t.Errorf("%d pages with %d contacts, want 3 with 205", pages, len(found))
	}
	newest, err := client.ViewContacts(t.Context(), all.ID, freshmarketer.PageQuery{PerPage: 1, Sort: "created_at", Desc: true})
	if err != nil || len(newest.Contacts) != 1 || newest.Contacts[0].ExternalID != "u-204" {
		t.Errorf("the newest: %+v, %v", newest, err)
	}
	if _, err := client.ViewContacts(t.Context(), "12", freshmarketer.PageQuery{}); freshmarketer.KindOf(err) != freshmarketer.KindPermission {
		t.Errorf("an unknown view: got %v, want kind permission", err)
	}
}

func TestFindViewPrefersTheBuiltInOne(t *testing.T) {
	t.Parallel()
	views := []freshmarketer.View{{ID: "1", Name: "All contacts "}, {ID: "2", Name: "All Contacts", Default: true}, {ID: "3", Name: "All Contacts"}}
	if got, ok := freshmarketer.FindView(views, freshmarketer.AllContacts); !ok || got.ID != "2" {
		t.Errorf("got %+v, %t, want the built-in one", got, ok)
	}
	if got, ok := freshmarketer.FindView(views[:1], "Mine"); ok {
		t.Errorf("got %+v, want none", got)
	}
}

func TestViewAnswers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `{}`, `{"filters":null,"contacts":null}`, `[]`, `{"contacts":{},"filters":{}}`} {
		client := clientOf(t, reply{200, nil, body}.ServeHTTP)
		if got, err := client.ViewContacts(t.Context(), "1", freshmarketer.PageQuery{}); freshmarketer.KindOf(err) != freshmarketer.KindTemporary {
			t.Errorf("page %s: got %+v, %v, want kind temporary: an empty page must be said, not guessed", body, got, err)
		}
		if got, err := client.ContactViews(t.Context()); freshmarketer.KindOf(err) != freshmarketer.KindTemporary {
			t.Errorf("views %s: got %+v, %v, want kind temporary", body, got, err)
		}
	}
	client := clientOf(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was sent") })
	for _, q := range []freshmarketer.PageQuery{{Page: -1}, {PerPage: 101}, {PerPage: -1}} {
		if _, err := client.ViewContacts(t.Context(), "1", q); freshmarketer.KindOf(err) != freshmarketer.KindInvalid {
			t.Errorf("%+v: got %v, want kind invalid", q, err)
		}
	}
	if _, err := client.ViewContacts(t.Context(), "x", freshmarketer.PageQuery{}); freshmarketer.KindOf(err) != freshmarketer.KindInvalid {
		t.Errorf("a view without a number: got %v", err)
	}
}
