package sandboxtest

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// KnownContact is the id of the contact that is there in every Behaviour, and KnownEmail its address.
const (
	KnownContact = "990000000000001"
	KnownEmail   = "known@x.test"
)

// Behaviour is one thing the API does, how a sandbox is made to do it, and what the client reports. The table is for the
// tests of everybody who builds on the client: they add what follows.
type Behaviour struct {
	Name    string
	Options sandbox.Options
	Fault   sandbox.Fault    // the zero Fault: the account behaves, and the call is at fault
	Spent   int              // calls of the quota that are gone
	Others  []map[string]any // contacts besides the known one
	Deleted bool             // the known contact is in the recycle bin

	Call  string                     // an operation of the client; "": freshmarketer.OpUpdateContact of the known contact
	Write freshmarketer.ContactWrite // what it sends; empty: a first name

	Kind       freshmarketer.Kind // "": success
	Status     int                // 0: no answer
	RetryAfter time.Duration
	Field      string // that the error names
	Doubt      bool   // Error.IdentifierDoubt
	MayBeDone  bool   // Error.MayHaveEffect
	Written    bool   // the sandbox has in fact done it
}

// Prepare fills a sandbox that was started with the behaviour's Options.
func (b Behaviour) Prepare(box *sandbox.Sandbox) error {
	known, err := box.Add(map[string]any{"email": KnownEmail, "external_id": "known", "mobile_number": "+14155550100", "custom_field": map[string]any{"cf_plan": "Gold", "cf_logins": 1}})
	if err != nil {
		return err
	}
	for _, other := range b.Others {
		if _, err := box.Add(other); err != nil {
			return err
		}
	}
	if b.Deleted {
		if err := box.Remove(known.ID); err != nil {
			return err
		}
	}
	box.Spend(b.Spent)
	if b.Fault.Next == 0 && b.Fault.Percent == 0 {
		return nil
	}
	return box.AddFault(b.Fault)
}

// Do makes the call.
func (b Behaviour) Do(ctx context.Context, client *freshmarketer.Client) error {
	w := b.Write
	if len(w.Fields) == 0 && len(w.Custom) == 0 {
		w.Fields = freshmarketer.Fields{"first_name": "Newname"}
	}
	var err error
	switch b.Call {
	case freshmarketer.OpCreateContact:
		_, err = client.CreateContact(ctx, w)
	case freshmarketer.OpUpsertContact:
		_, err = client.UpsertContact(ctx, "external_id", "new-user", w)
	case freshmarketer.OpBulkUpsert:
		_, err = client.BulkUpsert(ctx, []freshmarketer.BulkRow{{Identifier: "id", Value: KnownContact, Write: w}})
	case freshmarketer.OpUpsertAccount:
		_, err = client.UpsertAccount(ctx, "Harbor", freshmarketer.AccountWrite(b.Write))
	case freshmarketer.OpLookupContacts:
		_, err = client.LookupContacts(ctx, "external_id", "known")
	case freshmarketer.OpDeleteContact:
		err = client.DeleteContact(ctx, KnownContact)
	case freshmarketer.OpSendEvent:
		err = client.SendEvent(ctx, freshmarketer.Event{Email: KnownEmail, Name: "Signed Up"})
	default:
		_, err = client.UpdateContact(ctx, KnownContact, w)
	}
	return err
}

// once is a fault of the next call.
func once(status int, body string) sandbox.Fault {
	return sandbox.Fault{Next: 1, Status: status, Body: body}
}

func with(f sandbox.Fault, name, value string) sandbox.Fault {
	f.Headers = map[string]string{name: value}
	return f
}

func fields(name string, value any) freshmarketer.ContactWrite {
	return freshmarketer.ContactWrite{Fields: freshmarketer.Fields{name: value}}
}

func custom(name string, value any) freshmarketer.ContactWrite {
	return freshmarketer.ContactWrite{Custom: freshmarketer.Fields{name: value}}
}

const (
	page      = "<!DOCTYPE html><html><title>Sign in</title></html>"
	rateLimit = `{"error_code":429}`
)

// Behaviours is the table: keys and rights, quota, clashes, bad values, silence, what is gone, trouble.
func Behaviours() []Behaviour {
	return append(append(refusals(), clashesAndValues()...), trouble()...)
}

// refusals are about the account: its key, its rights, its quota.
func refusals() []Behaviour {
	readOnly := sandbox.Options{APIKeys: []string{"reader"}, ReadOnlyKeys: []string{"reader"}}
	return []Behaviour{
		{Name: "401, incorrect or expired key", Fault: once(401, ""), Kind: freshmarketer.KindAuth, Status: 401},
		{Name: "401, message null", Fault: once(401, `{"login":"failed","message":null}`), Kind: freshmarketer.KindAuth, Status: 401},
		{Name: "login failed inside a 200", Fault: once(200, `{"login":"failed","message":null}`), Kind: freshmarketer.KindAuth, Status: 200},
		{Name: "302 to the login page", Fault: once(302, ""), Kind: freshmarketer.KindMisrouted, Status: 302},
		{Name: "login page with 200", Fault: once(200, page), Kind: freshmarketer.KindMisrouted, Status: 200, MayBeDone: true},
		{Name: "403, a key that may only read", Options: readOnly, Kind: freshmarketer.KindPermission, Status: 403},
		{Name: "403 in its older form", Fault: once(403, `{"errors":{"message":"Access Denied"}}`), Kind: freshmarketer.KindPermission, Status: 403},

		{
			Name: "429 with Retry-After, the hour is used up", Options: sandbox.Options{PerHour: 3}, Spent: 3,
			Kind: freshmarketer.KindThrottled, Status: 429, RetryAfter: time.Hour,
		},
		{
			Name: "429 with Retry-After, the minute is used up", Options: sandbox.Options{PerMinute: 3}, Spent: 3,
			Kind: freshmarketer.KindThrottled, Status: 429, RetryAfter: time.Minute,
		},
		{
			Name: "429 as text, without Retry-After", Options: sandbox.Options{PerHour: 1, Throttle: sandbox.ThrottleText}, Spent: 1,
			Kind: freshmarketer.KindThrottled, Status: 429,
		},
		{
			Name: "429 hidden in the text of a 400", Options: sandbox.Options{PerHour: 1, Throttle: sandbox.ThrottleHidden}, Spent: 1,
			Kind: freshmarketer.KindThrottled, Status: 400,
		},
		{
			Name: "429 hidden in the text of a 400, texts in Spanish", Options: sandbox.Options{PerHour: 1, Throttle: sandbox.ThrottleHidden, Language: sandbox.Spanish},
			Spent: 1, Kind: freshmarketer.KindThrottled, Status: 400,
		},
		{
			Name: "429 with Retry-After as a date", Fault: sandbox.Fault{Next: 1, Status: 429, Headers: map[string]string{
				"Retry-After": "Mon, 02 Mar 2026 09:17:30 GMT", "Date": "Mon, 02 Mar 2026 09:15:00 GMT",
			}}, Kind: freshmarketer.KindThrottled, Status: 429, RetryAfter: 150 * time.Second,
		},
		{Name: "429 as the error_code of a 400", Fault: once(400, rateLimit), Kind: freshmarketer.KindThrottled, Status: 400},
		{Name: "429 as the error_code of a 200", Fault: once(200, rateLimit), Kind: freshmarketer.KindThrottled, Status: 200},
		{Name: "405 on a bulk upsert, too many jobs", Call: freshmarketer.OpBulkUpsert, Fault: once(405, ""), Kind: freshmarketer.KindThrottled, Status: 405},
		{Name: "405 on any other call", Fault: once(405, ""), Kind: freshmarketer.KindUnknown, Status: 405},
		{Name: "404 on events, an account without them", Options: sandbox.Options{NoEvents: true}, Call: freshmarketer.OpSendEvent, Kind: freshmarketer.KindUnsupported, Status: 404},
	}
}

// clashesAndValues are about what one call sends.
func clashesAndValues() []Behaviour {
	taken := []map[string]any{{"email": "taken@x.test", "mobile_number": "+14155550102", "external_id": "taken"}}
	dutch := sandbox.Options{Language: sandbox.Dutch}
	conflict := func(name string, opt sandbox.Options, call string, w freshmarketer.ContactWrite, kind freshmarketer.Kind, field string) Behaviour {
		return Behaviour{Name: name, Options: opt, Others: taken, Call: call, Write: w, Kind: kind, Status: 400, Field: field}
	}
	invalid := func(name string, opt sandbox.Options, w freshmarketer.ContactWrite, field string) Behaviour {
		return Behaviour{Name: name, Options: opt, Write: w, Kind: freshmarketer.KindInvalid, Status: 400, Field: field}
	}
	silent := func(name string, w freshmarketer.ContactWrite) Behaviour {
		return Behaviour{Name: name, Write: w, Status: 200, Written: true}
	}
	tooLong := strings.Repeat("ü", 300) // a text field takes 255
	return []Behaviour{
		conflict("taken address, on update", sandbox.Options{}, "", fields("email", "taken@x.test"), freshmarketer.KindConflict, "email"),
		conflict("taken address, in other letters", sandbox.Options{}, "", fields("email", "TAKEN@X.test"), freshmarketer.KindConflict, "email"),
		conflict("taken address, on create", sandbox.Options{}, freshmarketer.OpCreateContact, fields("email", "taken@x.test"), freshmarketer.KindConflict, "email"),
		conflict("taken address, on upsert by external_id", sandbox.Options{}, freshmarketer.OpUpsertContact, fields("email", "taken@x.test"), freshmarketer.KindConflict, "email"),
		conflict("taken mobile number, written differently", sandbox.Options{}, "", fields("mobile_number", "+1 (415) 555-0102"), freshmarketer.KindConflict, "mobile_number"),
		conflict("taken external id", sandbox.Options{}, "", fields("external_id", "taken"), freshmarketer.KindConflict, "external_id"),
		// No English text, so no client can know; a lookup tells.
		conflict("taken address, texts in Dutch", dutch, "", fields("email", "taken@x.test"), freshmarketer.KindInvalid, "email"),
		{
			Name: "clash as a bare string", Fault: once(400, `{"errors":{"code":400,"message":"Contact is not unique"}}`),
			Kind: freshmarketer.KindConflict, Status: 400,
		},

		invalid("malformed address", sandbox.Options{}, fields("email", "nobody"), "email"),
		invalid("blank address", sandbox.Options{}, fields("email", " "), "email"),
		{
			Name: "no address for a new contact", Call: freshmarketer.OpCreateContact, Write: fields("first_name", "Newname"),
			Kind: freshmarketer.KindInvalid, Status: 400,
		},
		{
			Name: "a required field is missing", Options: sandbox.Options{Required: []string{"mobile_number"}}, Call: freshmarketer.OpCreateContact,
			Write: fields("email", "new@x.test"), Kind: freshmarketer.KindInvalid, Status: 400,
		},
		invalid("text too long", sandbox.Options{}, fields("first_name", tooLong), "first_name"),
		invalid("custom text too long", sandbox.Options{}, custom("cf_plan", tooLong), "cf_plan"),
		invalid("no such choice", sandbox.Options{}, fields("contact_status_id", "77"), "contact_status_id"),
		invalid("IANA time zone", sandbox.Options{}, fields("time_zone", "Europe/Berlin"), "time_zone"),
		invalid("a value of another shape", sandbox.Options{}, fields("first_name", map[string]any{"first": "x"}), ""),
		invalid("text too long, texts in Dutch", dutch, fields("first_name", tooLong), "first_name"),
		{
			Name: "external_id is no identifier", Options: sandbox.Options{RefuseExternalIDUpsert: true}, Call: freshmarketer.OpUpsertContact,
			Write: fields("email", "new@x.test"), Kind: freshmarketer.KindInvalid, Status: 400, Doubt: true,
		},
		{
			Name: "external_id is no identifier, texts in Dutch", Options: sandbox.Options{RefuseExternalIDUpsert: true, Language: sandbox.Dutch},
			Call: freshmarketer.OpUpsertContact, Write: fields("email", "new@x.test"), Kind: freshmarketer.KindInvalid, Status: 400, Doubt: true,
		},
		{Name: "422", Fault: once(422, `{"error_code":422}`), Kind: freshmarketer.KindInvalid, Status: 422},
		{Name: "400 without a word", Fault: sandbox.Fault{Next: 1, Status: 400, Empty: true}, Kind: freshmarketer.KindInvalid, Status: 400},
		{Name: "sales account with a bad website", Call: freshmarketer.OpUpsertAccount, Write: fields("website", "my page"), Kind: freshmarketer.KindInvalid, Status: 400, Field: "website"},

		silent("unknown custom field", custom("cf_nowhere", "x")),
		silent("custom choice that is none", custom("cf_plan_tier", "Platinum")),
		silent("custom number as text", custom("cf_logins", "many")),
		silent("unknown standard field", fields("nickname", "x")),
		silent("derived field", fields("lead_score", 7)),
		{Name: "custom fields are replaced as a whole", Options: sandbox.Options{CustomFieldMode: sandbox.Replace}, Write: custom("cf_logins", 2), Status: 200, Written: true},
		{Name: "a new contact told by 201", Call: freshmarketer.OpUpsertContact, Write: fields("email", "new@x.test"), Status: 201, Written: true},
		{
			Name: "a new contact not told", Options: sandbox.Options{UpsertAlways200: true}, Call: freshmarketer.OpUpsertContact,
			Write: fields("email", "new@x.test"), Status: 200, Written: true,
		},
		{Name: "lookup does not see a fresh write", Options: sandbox.Options{IndexLag: 20 * time.Second}, Call: freshmarketer.OpLookupContacts, Status: 200},
	}
}

// trouble is about contacts that are gone and about everything between us and the account.
func trouble() []Behaviour {
	temporary := func(name string, f sandbox.Fault, status int) Behaviour {
		return Behaviour{Name: name, Fault: f, Kind: freshmarketer.KindTemporary, Status: status, MayBeDone: true}
	}
	done := func(b Behaviour) Behaviour { b.Written = true; return b }
	return []Behaviour{
		{Name: "404, contact in the recycle bin", Deleted: true, Kind: freshmarketer.KindGone, Status: 404},
		{Name: "404, texts in Spanish", Options: sandbox.Options{Language: sandbox.Spanish}, Deleted: true, Kind: freshmarketer.KindGone, Status: 404},
		{Name: "404 on delete, already done", Call: freshmarketer.OpDeleteContact, Deleted: true, Kind: freshmarketer.KindGone, Status: 404},
		{Name: "bare 404, wrong alias", Fault: once(404, ""), Kind: freshmarketer.KindMisrouted, Status: 404},
		{Name: "404 page, wrong alias", Fault: once(404, page), Kind: freshmarketer.KindMisrouted, Status: 404},
		{Name: "404 of the classic API", Fault: once(404, `{"error_code":404}`), Kind: freshmarketer.KindMisrouted, Status: 404},
		{Name: "400 page of a proxy", Fault: once(400, page), Kind: freshmarketer.KindMisrouted, Status: 400},

		temporary("500", once(500, ""), 500),
		temporary("502 page", once(502, page), 502),
		{
			Name: "503 with Retry-After", Fault: with(once(503, ""), "Retry-After", "30"), Kind: freshmarketer.KindTemporary, Status: 503,
			RetryAfter: 30 * time.Second, MayBeDone: true,
		},
		temporary("504", once(504, ""), 504),
		temporary("408", once(http.StatusRequestTimeout, ""), 408),
		temporary("empty 200", sandbox.Fault{Next: 1, Status: 200, Empty: true}, 200),
		temporary("200 cut short", sandbox.Fault{Next: 1, Status: 200, Body: `{"contact":{"id":990`, Cut: true}, 200),
		temporary("200 with an error inside", once(200, `{"errors":{"code":500,"message":["x"]}}`), 200),
		temporary("200 without a contact", once(200, `true`), 200),
		temporary("connection cut before the effect", sandbox.Fault{Next: 1, Cut: true}, 0),
		done(temporary("answer lost after the effect", sandbox.Fault{Next: 1, DropAnswer: true}, 0)),
		done(temporary("answer too late", sandbox.Fault{Next: 1, DropAnswer: true, Delay: time.Minute}, 0)),
		temporary("stalls before the effect", sandbox.Fault{Next: 1, Delay: time.Minute}, 0),
		{Name: "500 on a bulk upsert", Call: freshmarketer.OpBulkUpsert, Fault: once(500, ""), Kind: freshmarketer.KindTemporary, Status: 500, MayBeDone: true},
		{Name: "500 on a sales account, wrong content type", Call: freshmarketer.OpUpsertAccount, Fault: once(500, `{"error_code":500}`), Kind: freshmarketer.KindTemporary, Status: 500, MayBeDone: true},

		{Name: "409", Fault: once(409, ""), Kind: freshmarketer.KindUnknown, Status: 409},
		{Name: "413", Fault: once(413, ""), Kind: freshmarketer.KindUnknown, Status: 413},
	}
}
