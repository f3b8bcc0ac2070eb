package mapping

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/segment"
)

const samples = "../ingest/testdata/segment"

// sampleCase is what the entry of a sample in index.json means for its contact.
type sampleCase struct {
	file  string
	given string         // a sample that came before
	opt   Options        // besides the default
	wants []string       // by call: delivered, or why it is discarded
	sets  map[string]any // the fields of the request, all but the email; nil empties
	email string
	user  string // "" if nothing is sent
}

func num(s string) json.Number { return json.Number(s) }

func sampleCases() []sampleCase {
	d := []string{"delivered"}
	return []sampleCase{
		{file: "01-identify-create.json", wants: d, user: "cust-1001", email: "mara.okafor@harborlane.test", sets: map[string]any{
			"first_name": "Mara", "last_name": "Okafor", "cf_industry": "Logistics", "cf_plan": "growth", "cf_logins": num("12"),
		}},
		{file: "02-identify-update-partial.json", given: "01-identify-create.json", wants: d, user: "cust-1001", sets: map[string]any{
			"last_name": "Okafor-Lind", "cf_industry": nil, "cf_plan": nil, "cf_logins": nil,
		}},
		{
			file: "03-identify-nested-traits.json", wants: d, user: "cust-1002", email: "ivo@tallpine.test",
			opt: Options{Traits: map[string]string{"company.name": "Company name"}},
			sets: map[string]any{
				"first_name": "Ivo", "last_name": "Brandt", "job_title": "Head of Ops", "work_number": "+49 30 5550 0199", "address": "Uferweg 9",
				"city": "Kassel", "state": "HE", "zipcode": "34117", "country": "Germany", "cf_company_name": "Tall Pine GmbH",
			},
		},
		{
			file: "04-identify-array-traits.json", wants: d, user: "cust-1003", email: "lea@quarry.test",
			opt:  Options{Traits: map[string]string{"tags": "Tags", "scores": "Notes", "orders": "Logins", "mixed": "Plan"}},
			sets: map[string]any{"tags": []string{"vip", "beta", "EU"}, "cf_notes": "3, 9, 4.5", "cf_plan": "a, , 0, false"},
		},
		{file: "05-identify-null-traits.json", given: "01-identify-create.json", wants: d, user: "cust-1001", sets: map[string]any{
			"first_name": nil, "last_name": nil, "cf_industry": nil, "cf_logins": num("0"), "cf_subscribed": false, "cf_plan": nil,
		}},
		{file: "06-identify-empty-string-traits.json", given: "01-identify-create.json", wants: d, user: "cust-1001", sets: map[string]any{
			"first_name": nil, "last_name": nil, "cf_industry": "   ", "cf_logins": nil,
		}},
		{file: "08-identify-unicode.json", wants: d, user: "ключ-Ω-1005", email: "zoë.müller@bücher.test", sets: map[string]any{
			"first_name": "Zoë", "last_name": "〈山田〉 Müller", "city": "İstanbul", "cf_emoji": "👩🏽‍🚀🏳️‍🌈", "cf_nul": "xy",
		}},
		{file: "10-identify-large-ok-32000.json", wants: d, user: "cust-1007", email: "big@ledger.test", sets: map[string]any{}}, // notes: too long
		{file: "11-identify-oversize-40k.json", wants: d, user: "cust-1008", email: "toobig@ledger.test", sets: map[string]any{}},
		{file: "12-identify-missing-userid.json", wants: []string{"missing_user_id"}},
		{file: "13-identify-missing-email.json", wants: []string{"missing_email"}},
		{file: "14-identify-email-only-in-context-traits.json", wants: []string{"missing_email"}},
		{file: "14-identify-email-only-in-context-traits.json", opt: Options{EmailFallback: true}, wants: d, user: "cust-1010", email: "ctx@tallpine.test", sets: map[string]any{"first_name": "Ctx", "last_name": "Only"}},
		{file: "15-identify-userid-is-email.json", wants: []string{"missing_email"}},
		{file: "15-identify-userid-is-email.json", opt: Options{EmailFallback: true}, wants: d, user: "pat@userid-mail.test", email: "pat@userid-mail.test", sets: map[string]any{"first_name": "Pat", "last_name": "Userid"}},
		{file: "17-identify-userid-blank.json", wants: []string{"missing_user_id"}},
		{file: "18-batch-duplicate-messageid.json", wants: []string{"delivered", "duplicate", "delivered"}, user: "cust-1011", email: "dup@quarry.test", sets: map[string]any{"cf_plan": "c"}},
		{file: "19-integrations-all-false.json", wants: []string{"integrations_disabled"}},
		{file: "20-integrations-all-false-freshmarketer-true.json", wants: d, user: "cust-1012", email: "x@filter.test", sets: map[string]any{}},
		{file: "21-integrations-freshmarketer-false.json", wants: []string{"integrations_disabled"}},
		{file: "22-integrations-freshmarketer-object.json", wants: d, user: "cust-1012", email: "x@filter.test", sets: map[string]any{}},
		{file: "24-engage-audience-entered-identify.json", given: "01-identify-create.json", wants: d, user: "cust-1001", sets: map[string]any{"cf_order_completed_last_30days": true}},
		{file: "25-engage-audience-exited-identify.json", given: "01-identify-create.json", wants: d, user: "cust-1001", sets: map[string]any{"cf_order_completed_last_30days": false}},
		{file: "27-engage-audience-track.json", wants: []string{"not_forwarded"}},
		{file: "28-engage-computed-trait-identify.json", given: "01-identify-create.json", wants: d, user: "cust-1001", sets: map[string]any{"cf_total_revenue_180_days": num("450.25")}},
		{file: "37-webhook-actions-batch-of-one.json", wants: d, user: "cust-1017", email: "solo@batch.test", sets: map[string]any{}},
		{file: "39-http-batch-analytics-python.json", wants: d, user: "480018", email: "py@client.test", sets: map[string]any{"first_name": "Éva"}},
		{file: "41-identify-casing-variants.json", wants: d, user: "cust-1022", email: "Case@Casing.TEST", sets: map[string]any{"first_name": "Una", "last_name": "Rask"}},
		{file: "41-identify-casing-variants.json", opt: Options{StrictLabels: true}, wants: []string{"missing_email"}},
		{file: "45-identify-client-side-doc-shape.json", wants: []string{"missing_user_id"}},
	}
}

// TestSamplesGiveTheContactsOfTheIndex maps every identify among the samples onto the contact that its entry describes.
func TestSamplesGiveTheContactsOfTheIndex(t *testing.T) {
	t.Parallel()
	cat := readCatalogue(t, "account")
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	tried := map[string]bool{"36-webhook-actions-batch.json": true} // several users: below
	for _, c := range sampleCases() {
		tried[c.file] = true
		rec := Record{}
		pos := uint64(0)
		calls := func(file string) []Call {
			var list []Call
			for _, ev := range sampleEvents(t, file) {
				pos++
				list = append(list, Call{Event: ev, Pos: pos})
			}
			return list
		}
		if c.given != "" {
			rec = Fold(cat, c.opt, rec, calls(c.given), now).Record
			rec.ContactID = "7001"
		}
		res := Fold(cat, c.opt, rec, calls(c.file), now)
		var outcomes []string
		for _, o := range res.Outcomes {
			outcomes = append(outcomes, outcomeText(o))
		}
		if diff := cmp.Diff(c.wants, outcomes); diff != "" {
			t.Errorf("%s: outcomes\n%s", c.file, diff)
		}
		sets := map[string]any{}
		for _, f := range res.Change.Fields {
			if f.Name != "email" {
				sets[f.Name] = f.Value
			}
		}
		if diff := cmp.Diff(c.sets, sets); diff != "" && (len(c.sets) > 0 || len(sets) > 0) || res.Change.UserID != c.user || c.given == "" && res.Change.Email != c.email {
			t.Errorf("%s: %s <%s>\n%s", c.file, res.Change.UserID, res.Change.Email, diff)
		}
	}
	files, err := filepath.Glob(samples + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if strings.Contains(string(b), `"identify"`) && !tried[name] && name != "index.json" && name != "signature-vectors.json" {
			t.Errorf("%s holds an identify that nothing is said of", name)
		}
	}
}

// TestSampleBatchOfSeveralUsers: two identifies, a track, and one without an address.
func TestSampleBatchOfSeveralUsers(t *testing.T) {
	t.Parallel()
	cat := readCatalogue(t, "account")
	got := map[string]string{}
	for i, ev := range sampleEvents(t, "36-webhook-actions-batch.json") {
		res := Fold(cat, Options{}, Record{}, []Call{{Event: ev, Pos: uint64(i + 1)}}, time.Unix(1772442999, 0))
		got[ev.UserID] = outcomeText(res.Outcomes[0]) + " " + res.Change.Email
	}
	want := map[string]string{
		"cust-1013": "delivered one@batch.test", "cust-1014": "delivered two@batch.test", "cust-1015": "not_forwarded ", "cust-1016": "missing_email ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func outcomeText(o Outcome) string {
	if o.Delivered {
		return "delivered"
	}
	return string(o.Reason)
}

// sampleEvents are the calls of a sample, as a webhook would bring them.
func sampleEvents(t *testing.T, file string) []segment.Event {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples, file))
	if err != nil {
		t.Fatal(err)
	}
	bodies := []json.RawMessage{b}
	var batch struct {
		Batch []json.RawMessage `json:"batch"`
	}
	if json.Unmarshal(b, &bodies) != nil && json.Unmarshal(b, &batch) == nil && batch.Batch != nil {
		bodies = batch.Batch
	} else if bodies == nil || bodies[0] == nil {
		bodies = []json.RawMessage{b}
	}
	var list []segment.Event
	for _, body := range bodies {
		var own struct {
			Type      segment.Type `json:"type"`
			MessageID string       `json:"messageId"`
		}
		if err := json.Unmarshal(body, &own); err != nil {
			t.Fatal(err)
		}
		received := segment.Received{
			Source: "website", Surface: segment.SurfaceWebhook, At: time.Date(2026, 3, 2, 9, 15, 5, 0, time.UTC), Type: own.Type, MessageID: own.MessageID, Body: body,
		}
		ev, err := received.Event()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ev)
	}
	return list
}
