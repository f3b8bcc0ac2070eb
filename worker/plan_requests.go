package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/mapping"
)

// The requests below are those of send, sendAccount, rename and eraseContact if nothing is refused.

const (
	noteJoined = "custom_field and lists go out joined with what the contact was read to have"
	noteHasAll = "the contact has it all"
)

// pathOf is the path of a contact or account; one that is yet to be made has no id.
func pathOf(what, id string) string {
	if id == "" || id == imaginedID {
		id = "…"
	}
	return "/" + what + "/" + id
}

func reading(id string) mapping.Request {
	return mapping.Request{Operation: freshmarketer.OpGetContact, Method: http.MethodGet, Path: pathOf("contacts", id)}
}

func updating(id string, w freshmarketer.ContactWrite, note string) mapping.Request {
	return mapping.Request{Operation: freshmarketer.OpUpdateContact, Method: http.MethodPut, Path: pathOf("contacts", id), Body: w.Body(), Note: note}
}

func lookingUp(field, value, note string) mapping.Request {
	q := url.Values{"f": {field}, "q": {value}, "entities": {"contact"}}
	return mapping.Request{Operation: freshmarketer.OpLookupContacts, Method: http.MethodGet, Path: "/lookup?" + q.Encode(), Note: note}
}

// plannedContact are the requests of send, and a note where there are none.
func (pl *planner) plannedContact(c mapping.Change, record mapping.Record, links plannedLinks) (list []mapping.Request, note string) {
	id := record.ContactID
	switch {
	case c.Empty():
		return nil, noteHasAll
	case id == "":
		list, note = pl.plannedNew(c)
	case len(c.Fields) > 0:
		update := updating(id, write(c), "")
		if record.Contested() || reads(c, pl.customs(freshmarketer.OpUpdateContact)) {
			list = append(list, reading(id))
		}
		if reads(c, pl.customs(freshmarketer.OpUpdateContact)) {
			update.Note = noteJoined
		}
		list = append(list, update)
	}
	if record.Contested() {
		note = "an alias call named its userId as the previous one: if the contact is read to be another userId's, the call is discarded (aliased)"
	}
	return append(list, links.requests(id)...), note
}

// plannedNew are the requests for a user of whom no contact is known.
func (pl *planner) plannedNew(c mapping.Change) (list []mapping.Request, note string) {
	w := write(c)
	if c.UserID != "" {
		w.Fields["external_id"] = c.UserID
	}
	if pl.updateOnly {
		note = "no contact is made (contacts.create): if none is found, the call is discarded (no_contact)"
		if c.UserID != "" {
			list = append(list, lookingUp("external_id", c.UserID, ""))
		}
		return append(list, lookingUp("email", c.Email, ""), updating("", w, "of the contact that is found")), note
	}
	create := mapping.Request{
		Operation: freshmarketer.OpCreateContact, Method: http.MethodPost, Path: "/contacts",
		Note: "refused if a contact has the address or the userId; that contact is then read and updated instead",
	}
	if c.UserID == "" {
		list, create.Note = append(list, lookingUp("email", c.Email, "a contact that is found is updated instead")), ""
	}
	for _, d := range c.Defaults {
		set(w, d)
	}
	create.Body = w.Body()
	return append(list, create), ""
}

// plannedLinks are those of a change.
type plannedLinks struct {
	accounts []string // to make
	there    int      // to look whether they are still there
}

// requests are those of link, if none of the accounts is linked yet.
func (l plannedLinks) requests(id string) []mapping.Request {
	if len(l.accounts)+l.there == 0 {
		return nil
	}
	read := reading(id)
	read.Path += "?include=" + freshmarketer.IncludeAccounts
	if len(l.accounts) == 0 {
		return []mapping.Request{read}
	}
	accounts := l.accounts
	links := make([]map[string]any, len(accounts))
	for i, account := range accounts {
		links[i] = map[string]any{"id": json.Number(account), "is_primary": i == 0}
		if account == imaginedID {
			links[i]["id"] = "…"
		}
	}
	w := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{freshmarketer.IncludeAccounts: links}}
	return []mapping.Request{
		read,
		updating(id, w, fmt.Sprintf("adds %d to the accounts that the contact belongs to, unless it does already", len(accounts))),
	}
}

// plannedAccount are the requests of sendAccount, and a note where there are none.
func plannedAccount(c mapping.Change, id string, mode CustomFields) (list []mapping.Request, note string) {
	if c.Empty() {
		return nil, "the account has it all"
	}
	w, custom := write(c), reads(c, mode)
	if id == "" {
		made, newest := maps.Clone(w.Fields), w.Fields[accountName]
		made[accountName] = c.MadeAs
		list = append(list, mapping.Request{
			Operation: freshmarketer.OpUpsertAccount, Method: http.MethodPost, Path: "/sales_accounts/upsert",
			Body: map[string]any{"unique_identifier": map[string]any{accountName: c.MadeAs}, "sales_account": made},
			Note: "finds the account with this name, or makes it",
		})
		if w.Fields = nil; renames(c) {
			w.Fields = freshmarketer.Fields{accountName: newest}
		}
		if len(w.Fields)+len(w.Custom) == 0 {
			return list, ""
		}
	} else if custom {
		list = append(list, mapping.Request{Operation: freshmarketer.OpGetAccount, Method: http.MethodGet, Path: pathOf("sales_accounts", id)})
	}
	account := map[string]any{}
	maps.Copy(account, w.Fields)
	if len(w.Custom) > 0 {
		account["custom_field"] = w.Custom
	}
	update := mapping.Request{
		Operation: freshmarketer.OpUpdateAccount, Method: http.MethodPut, Path: pathOf("sales_accounts", id), Body: map[string]any{"sales_account": account},
	}
	if custom {
		update.Note = "custom_field goes out joined with what the account was read to have"
	}
	return append(list, update), ""
}

// renaming is what an alias call would do to the contact of its previousId.
type renaming struct {
	requests []mapping.Request
	note     string
	gone     bool // there is no such contact any more, or it is another user's
	both     bool // both users have a contact
}

// plannedRename is what rename would do. What it reads first decides; without a look at it, what is remembered does.
func (pl *planner) plannedRename(ctx context.Context, c *call, id string, record mapping.Record) renaming {
	user, previous, own := c.event.UserID, c.event.PreviousID, record.ContactID
	out := renaming{requests: []mapping.Request{reading(id)}}
	if old, there, ok := pl.looked(ctx, id); ok {
		switch {
		case there && old.ExternalID == user:
			out.note = "the contact has the userId already"
			return out
		case !there, old.ExternalID != "" && old.ExternalID != previous:
			out.gone = true
			return out
		}
	}
	if own != "" && own != id {
		out.requests = append(out.requests, reading(own))
		has, there, ok := pl.looked(ctx, own)
		given := record.Contested() // as far as we remember, an alias call has given it to somebody else
		if ok {
			given = !there || has.ExternalID != "" && has.ExternalID != user
		} else if !given {
			out.note = "both users have a contact, as far as is remembered; if that of the userId is gone by then, the other gets the userId"
		}
		if out.both = !given; out.both {
			return out
		}
	}
	w := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{"external_id": user}}
	out.requests = append(out.requests, updating(id, w, "refused if another contact has the userId; then both have one, and the call becomes a letter (alias_conflict)"))
	return out
}

// looked is look for a contact that there may be.
func (pl *planner) looked(ctx context.Context, id string) (c freshmarketer.Contact, there, ok bool) {
	if pl.look == nil || id == imaginedID {
		return c, false, false
	}
	return pl.look(ctx, id)
}

// plannedErasure are the requests of eraseContact.
func (pl *planner) plannedErasure(user, id string) (list []mapping.Request) {
	remove := mapping.Request{
		Operation: freshmarketer.OpForgetContact, Method: http.MethodDelete, Path: pathOf("contacts", id) + "/forget", Note: "for good, if the contact is the user's",
	}
	if pl.deletion.RecycleBin {
		remove.Operation, remove.Path = freshmarketer.OpDeleteContact, pathOf("contacts", id)
		remove.Note = "into the recycle bin, if the contact is the user's"
	}
	if id == "" {
		list = append(list, lookingUp("external_id", user, "a contact that is found is read, and deleted"))
		if pl.again {
			list = append(list, lookingUp("external_id", user, "25 seconds later, if none was found: one may just have been made"))
		}
		return list
	}
	return []mapping.Request{reading(id), remove}
}

// fullPath is a request's path on the account's host.
func fullPath(r mapping.Request) string {
	if r.Operation == freshmarketer.OpSendEvent {
		return r.Path
	}
	return apiPath + r.Path
}

// operations are those of the requests, for the journal.
func operations(list []mapping.Request) []string {
	var ops []string
	for _, r := range list {
		ops = append(ops, cmp.Or(r.Operation, r.Method))
	}
	return ops
}
