package freshmarketer_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

func TestAccountsThroughTheSandbox(t *testing.T) {
	t.Parallel()
	box, client := sandboxClient(t, sandbox.Options{})
	ctx := t.Context()
	made, err := client.UpsertAccount(ctx, "Harbor Lane", freshmarketer.AccountWrite{
		Fields: freshmarketer.Fields{"website": "https://harborlane.test", "number_of_employees": 12},
		Custom: freshmarketer.Fields{"cf_segment": "SMB"},
	})
	if err != nil || made.Status != 201 || made.Name != "Harbor Lane" || string(made.Custom["cf_segment"]) != `"SMB"` {
		t.Fatalf("made %+v, %v", made, err)
	}
	same, err := client.UpsertAccount(ctx, "HARBOR lane", freshmarketer.AccountWrite{Fields: freshmarketer.Fields{"city": "Ulm"}})
	if err != nil || same.ID != made.ID || same.Status != 200 {
		t.Errorf("the same by name: %+v, %v", same, err)
	}
	other, err := client.UpsertAccount(ctx, "Other", freshmarketer.AccountWrite{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.UpdateAccount(ctx, other.ID, freshmarketer.AccountWrite{Fields: freshmarketer.Fields{"name": "harbor lane"}}); freshmarketer.KindOf(err) != freshmarketer.KindConflict {
		t.Errorf("a taken name: got %v, want kind conflict", err)
	}
	got, err := client.GetAccount(ctx, made.ID)
	if err != nil || string(got.Fields["city"]) != `"Ulm"` || string(got.Fields["number_of_employees"]) != "12" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := client.GetAccount(ctx, "950000000000999"); freshmarketer.KindOf(err) != freshmarketer.KindGone {
		t.Errorf("an unknown one: got %v, want kind gone", err)
	}
	for name, err := range map[string]error{
		"no name": second(client.UpsertAccount(ctx, " ", freshmarketer.AccountWrite{})),
		"no id":   second(client.UpdateAccount(ctx, "", freshmarketer.AccountWrite{})),
		"a path":  second(client.GetAccount(ctx, "../contacts/1")),
	} {
		if freshmarketer.KindOf(err) != freshmarketer.KindInvalid {
			t.Errorf("%s: got %v, want kind invalid", name, err)
		}
	}

	// A contact's links are replaced as a whole, so they are read and added to.
	contact, err := client.UpsertContact(ctx, "emails", "ann@x.test", freshmarketer.ContactWrite{Fields: freshmarketer.Fields{
		"sales_accounts": []freshmarketer.AccountLink{{ID: other.ID, Primary: true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	read, err := client.GetContact(ctx, contact.ID, freshmarketer.IncludeAccounts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = client.UpdateContact(ctx, contact.ID, freshmarketer.ContactWrite{Fields: freshmarketer.Fields{
		"sales_accounts": append(read.Accounts, freshmarketer.AccountLink{ID: made.ID}),
	}}); err != nil {
		t.Fatal(err)
	}
	read, err = client.GetContact(ctx, contact.ID, freshmarketer.IncludeAccounts)
	want := []freshmarketer.AccountLink{{ID: other.ID, Primary: true}, {ID: made.ID}}
	if diff := cmp.Diff(want, read.Accounts); diff != "" || err != nil {
		t.Errorf("error %v, links (-want +got):\n%s", err, diff)
	}
	if n := len(box.SalesAccounts()); n != 2 {
		t.Errorf("%d accounts, want 2", n)
	}
	_, err = client.UpdateContact(ctx, contact.ID, freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"sales_accounts": []freshmarketer.AccountLink{{ID: "x"}}}})
	if freshmarketer.KindOf(err) != freshmarketer.KindInvalid {
		t.Errorf("a link to no number: got %v, want kind invalid", err)
	}
}

// Links are read to be written back with one more: an answer that does not tell them all is no answer.
func TestLinksMustBeTold(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{
		`{"contact":{"id":1,"sales_accounts":[]}}`:                                  true,
		`{"contact":{"id":1,"sales_accounts":[{"id":"7","is_primary":true}]}}`:      true,
		`{"contact":{"id":1}}`:                                                      false,
		`{"contact":{"id":1,"sales_accounts":null}}`:                                false,
		`{"contact":{"id":1,"sales_accounts":[7]}}`:                                 false,
		`{"contact":{"id":1,"sales_accounts":[{"id":7},{"name":"without an id"}]}}`: false,
	} {
		client := clientOf(t, reply{200, nil, body}.ServeHTTP)
		if _, err := client.GetContact(t.Context(), "1", freshmarketer.IncludeAccounts); (err == nil) != ok || !ok && freshmarketer.KindOf(err) != freshmarketer.KindTemporary {
			t.Errorf("%s: got %v, want it taken: %t", body, err, ok)
		}
		if _, err := client.GetContact(t.Context(), "1"); err != nil {
			t.Errorf("%s without asking for links: %v", body, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAccountFields(t *testing.T) {
	t.Parallel()
	_, client := sandboxClient(t, sandbox.Options{})
	fields, err := client.AccountFields(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]freshmarketer.FieldMeta{}
	for _, f := range fields {
		byName[f.Name] = f
	}
	if byName["name"].Label != "Name" || byName["cf_tier"].Default || len(byName["cf_tier"].Choices) != 3 {
		t.Errorf("fields: %+v", fields)
	}
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	_, client := sandboxClient(t, sandbox.Options{})
	for _, which := range freshmarketer.Selectors() {
		choices, err := client.Select(t.Context(), which)
		if err != nil || len(choices) == 0 || choices[0].ID == "" || choices[0].Name == "" {
			t.Errorf("%s: %+v, %v", which, choices, err)
		}
	}
	if _, err := client.Select(t.Context(), "nothing"); freshmarketer.KindOf(err) != freshmarketer.KindMisrouted {
		t.Errorf("an unknown selector: got %v, want kind misrouted", err)
	}
	tests := []struct {
		name, body string
		want       freshmarketer.Selectable
	}{
		{"owner", `{"users":[{"id":"7","display_name":"Mara","email":"m@x.test","is_active":false}],"meta":{}}`, freshmarketer.Selectable{ID: "7", Name: "Mara", Email: "m@x.test", Disabled: true}},
		{"stage", `{"owners":[{"id":71012139273,"name":"Lead","type":"Lead","disabled":null}],"other":[]}`, freshmarketer.Selectable{ID: "71012139273", Name: "Lead", Internal: "Lead"}},
		{"another name", `{"people":[{"id":1,"value":"X","internal_name":"x"}]}`, freshmarketer.Selectable{ID: "1", Name: "X", Internal: "x"}},
	}
	for _, tt := range tests {
		got, err := clientOf(t, reply{200, nil, tt.body}.ServeHTTP).Select(t.Context(), freshmarketer.SelectOwners)
		if diff := cmp.Diff([]freshmarketer.Selectable{tt.want}, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
	for _, body := range []string{`{}`, `[]`, `{"a":[],"b":[]}`, `{"users":{}}`, `{"users":[5]}`} {
		if got, err := clientOf(t, reply{200, nil, body}.ServeHTTP).Select(t.Context(), freshmarketer.SelectOwners); freshmarketer.KindOf(err) != freshmarketer.KindTemporary {
			t.Errorf("%s: got %+v, %v, want kind temporary", body, got, err)
		}
	}
}

func TestSelectSaysWhichInThePath(t *testing.T) {
	t.Parallel()
	server := &capture{body: `{"users":[]}`}
	if _, err := clientOf(t, server.ServeHTTP).Select(t.Context(), freshmarketer.SelectOwners); err != nil {
		t.Fatal(err)
	}
	if server.method != http.MethodGet || !strings.HasSuffix(server.uri, "/crm/sales/api/selector/owners") {
		t.Errorf("called %s %s", server.method, server.uri)
	}
}
