package worker

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/segment"
)

// previewFields are the fields that letters are previewed with.
type previewFields struct{ contacts, accounts *mapping.Catalogue }

func (p *Pool) previewFields(ctx context.Context, letters []queue.Letter) (f previewFields, err error) {
	if f.contacts, err = p.catalogue.get(ctx, ctx); err != nil {
		return f, err
	}
	for _, l := range letters {
		if l.Type == string(segment.Account) {
			if f.accounts = p.accounts.fieldsNow(); f.accounts == nil {
				f.accounts, err = p.accounts.catalogue.tryFirst(ctx, ctx)
			}
			return f, err
		}
	}
	return f, nil
}

// fieldsNow are the fields of sales accounts, nil while they are not known.
func (a *accounts) fieldsNow() *mapping.Catalogue {
	if have := a.catalogue.current.Load(); have != nil {
		return have.fields
	}
	return nil
}

// plannedAccount are the requests of sendAccount if nothing is refused.
func plannedAccount(c mapping.Change, id string) []mapping.Request {
	if c.Empty() {
		return []mapping.Request{}
	}
	w := write(c)
	var list []mapping.Request
	if id == "" {
		made, newest := maps.Clone(w.Fields), w.Fields[accountName]
		made[accountName] = c.MadeAs
		list = append(list, mapping.Request{
			Operation: freshmarketer.OpUpsertAccount, Method: http.MethodPost, Path: "/sales_accounts/upsert",
			Body: map[string]any{"unique_identifier": map[string]any{accountName: c.MadeAs}, "sales_account": made},
			Note: "finds the account with this name, or makes it",
		})
		id, w.Fields = "…", nil
		if renames(c) {
			w.Fields = freshmarketer.Fields{accountName: newest}
		}
		if len(w.Fields)+len(w.Custom) == 0 {
			return list
		}
	}
	account := map[string]any{}
	maps.Copy(account, w.Fields)
	if len(w.Custom) > 0 {
		account["custom_field"] = w.Custom
	}
	return append(list, mapping.Request{
		Operation: freshmarketer.OpUpdateAccount, Method: http.MethodPut, Path: "/sales_accounts/" + id, Body: map[string]any{"sales_account": account},
		Note: "custom_field goes out joined with what the account was read to have",
	})
}

// plannedLinks are the requests of link if no link is there yet.
func plannedLinks(id string, n int) []mapping.Request {
	if id == "" {
		id = "…"
	}
	path := "/contacts/" + id
	return []mapping.Request{
		{Operation: freshmarketer.OpGetContact, Method: http.MethodGet, Path: path + "?include=sales_accounts"},
		{
			Operation: freshmarketer.OpUpdateContact, Method: http.MethodPut, Path: path,
			Note: fmt.Sprintf("adds %d to the accounts that the contact belongs to, unless it does already", n),
		},
	}
}
