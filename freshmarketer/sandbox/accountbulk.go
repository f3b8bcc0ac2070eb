package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// upsertAccountRecord does one record of POST /sales_accounts/bulk_upsert. Beside "data" stands the name, or the id of an account
// that is there (inferred from the contacts' records). Custom fields are treated as by all writes of accounts.
func (s *Sandbox) upsertAccountRecord(rq request, identifier, in map[string]any) answer {
	if len(identifier) != 1 || in == nil {
		return s.refuse(http.StatusBadRequest, s.say(invalidAttributes))
	}
	if id, ok := identifier["id"]; ok {
		before, missing := s.findAccount(fmt.Sprint(id))
		if before == nil {
			return missing
		}
		return s.storeAccount(before, before.edit(rq.at), in, http.StatusOK)
	}
	name, _ := identifier["name"].(string)
	return s.upsertAccount(rq, name, in)
}

// destroyAccounts is POST /sales_accounts/bulk_destroy {"selected_ids":[…]}. With "delete_associated_contacts_deals": true, seen in
// several clients, the contacts that are linked to one of them go to the recycle bin too. Which contacts that are, and that ids of
// no account are passed over, is inferred.
func (s *Sandbox) destroyAccounts(rq request) answer {
	ids, whole, refusal := s.selected(rq)
	if whole == nil {
		return refusal
	}
	ans := answer{status: http.StatusOK, body: map[string]any{"message": "The selected accounts have been deleted."}}
	gone := map[int64]bool{}
	for _, id := range ids {
		a := s.store.accounts[id]
		if a == nil || a.Deleted {
			continue
		}
		next := a.edit(rq.at)
		next.Deleted = true
		if ans = s.putAccount(a, next, ans); !ans.effect {
			return ans
		}
		gone[id] = true
	}
	if whole["delete_associated_contacts_deals"] != true {
		return ans
	}
	for _, id := range s.store.order {
		c := s.store.contacts[id]
		if !c.live() || !slices.ContainsFunc(c.Accounts, func(l link) bool { return gone[l.ID] }) {
			continue
		}
		next := c.edit(rq.at)
		next.Deleted = true
		if err := s.store.put(c, next, Snapshot{N: rq.n, At: rq.at, Operation: rq.op}, nil); err != nil {
			return answer{status: http.StatusInternalServerError, body: map[string]any{"error_code": 500}}
		}
	}
	return ans
}

// forgetAccount is DELETE /sales_accounts/:id/forget. As with contacts nothing is left, also of one that was deleted before
// (inferred).
func (s *Sandbox) forgetAccount(rq request) answer {
	id, err := strconv.ParseInt(rq.id, 10, 64)
	if err != nil {
		return answer{status: http.StatusNotFound}
	}
	a := s.store.accounts[id]
	if a == nil {
		return s.refuse(http.StatusNotFound, s.say(notInCRM))
	}
	left := &salesAccount{ID: id, Updated: rq.at, Deleted: true, Forgotten: true}
	return s.putAccount(a, left, answer{status: http.StatusOK, body: true})
}

// cloneAccount is POST /sales_accounts/:id/clone: all of the account, and what the body's {"sales_account":{…}} says instead. As the
// name must be unique, a call that gives no other one is refused (inferred).
func (s *Sandbox) cloneAccount(rq request, of *salesAccount) answer {
	in := map[string]any{}
	if len(rq.body) > 0 {
		whole, refusal := s.decodeAccounts(rq)
		if whole == nil {
			return refusal
		}
		in, _ = whole["sales_account"].(map[string]any)
	}
	next := of.edit(rq.at)
	next.ID, next.Created = s.store.nextAccountID, rq.at
	return s.storeAccount(nil, next, in, http.StatusOK)
}
