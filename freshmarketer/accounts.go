package freshmarketer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Account is a sales account: a company to which contacts belong.
type Account struct {
	ID     string
	Name   string
	Fields map[string]json.RawMessage // the whole object, by API field name
	Custom map[string]json.RawMessage // custom_field, by API field name
	Status int                        // HTTP status of the answer: 201 may tell a created account
}

// UnmarshalJSON reads the object whole and picks out id and name.
func (a *Account) UnmarshalJSON(data []byte) error {
	var known struct {
		ID     text                       `json:"id"`
		Name   text                       `json:"name"`
		Custom map[string]json.RawMessage `json:"custom_field"`
	}
	var fields map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(data, &known), json.Unmarshal(data, &fields)); err != nil {
		return err
	}
	*a = Account{ID: string(known.ID), Name: string(known.Name), Fields: fields, Custom: known.Custom}
	return nil
}

// AccountLink says that a contact belongs to a sales account. A contact has at most 10, one of them primary. Writing
// the field sales_accounts replaces all links, so read them first and add to them.
//
// Source: a connector's documentation, and client code.
type AccountLink struct {
	ID      string
	Primary bool
}

// UnmarshalJSON reads a link of a contact's sales_accounts.
func (l *AccountLink) UnmarshalJSON(data []byte) error {
	var known struct {
		ID      text `json:"id"`
		Primary bool `json:"is_primary"`
	}
	err := json.Unmarshal(data, &known)
	*l = AccountLink{ID: string(known.ID), Primary: known.Primary}
	return err
}

// MarshalJSON writes a link the way a contact's sales_accounts takes it.
func (l AccountLink) MarshalJSON() ([]byte, error) {
	if !isID(l.ID) {
		return nil, errors.New("an account id is not a number")
	}
	return json.Marshal(map[string]any{"id": json.Number(l.ID), "is_primary": l.Primary})
}

// AccountWrite is a change of one sales account, with the rules of ContactWrite.
type AccountWrite struct {
	Fields Fields
	Custom Fields
}

// UpsertAccount creates the sales account with this name, or updates the one there is, and returns it.
//
// The name is sent inside the account too, as every client seen does: in other letters it renames the one there is.
//
// Source: Freshworks CRM API, "Upsert an account".
func (c *Client) UpsertAccount(ctx context.Context, name string, w AccountWrite) (Account, error) {
	if strings.TrimSpace(name) == "" {
		return Account{}, refuse(OpUpsertAccount, "the name is empty")
	}
	account := w.wire()
	if _, given := account["name"]; !given {
		account["name"] = name
	}
	return c.salesAccount(ctx, call{
		op: OpUpsertAccount, method: http.MethodPost, path: "/sales_accounts/upsert", sent: ContactWrite(w).sent("name", name),
		body: map[string]any{"unique_identifier": map[string]string{"name": name}, "sales_account": account},
	})
}

// GetAccount reads one sales account. KindGone if there is none.
func (c *Client) GetAccount(ctx context.Context, id string) (Account, error) {
	if !isID(id) {
		return Account{}, refuse(OpGetAccount, "the account id is not a number")
	}
	return c.salesAccount(ctx, call{op: OpGetAccount, method: http.MethodGet, path: "/sales_accounts/" + id})
}

// UpdateAccount changes the sales account with this id and returns it as it is now. KindGone if there is none.
//
// Source: Freshworks CRM API, "Update an account".
func (c *Client) UpdateAccount(ctx context.Context, id string, w AccountWrite) (Account, error) {
	if !isID(id) {
		return Account{}, refuse(OpUpdateAccount, "the account id is not a number")
	}
	return c.salesAccount(ctx, call{
		op: OpUpdateAccount, method: http.MethodPut, path: "/sales_accounts/" + id, sent: ContactWrite(w).sent("", ""),
		body: map[string]any{"sales_account": w.wire()},
	})
}

func (w AccountWrite) wire() map[string]any { return ContactWrite(w).wire("email") }

// salesAccount makes a call that is answered by {"sales_account":{…}}.
func (c *Client) salesAccount(ctx context.Context, cl call) (Account, error) {
	var body struct {
		Account Account `json:"sales_account"`
	}
	decode := decodeInto(&body, func() bool { return body.Account.ID != "" })
	err := c.do(ctx, cl, func(got answer) error {
		err := decode(got)
		body.Account.Status = got.status
		return err
	})
	return body.Account, err
}
