package mapping

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// handlerTransport lets a client talk to a handler without a network.
type handlerTransport struct{ http.Handler }

func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	return w.Result(), nil
}

// account is a fresh sandbox with a custom field of every type, its client and its catalogue.
func account(t testing.TB) (*freshmarketer.Client, *Catalogue) {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{CustomFields: []sandbox.Field{
		{Name: "cf_text", Label: "Text", Type: sandbox.TypeText},
		{Name: "cf_area", Label: "Notes", Type: sandbox.TypeTextarea},
		{Name: "cf_number", Label: "Number", Type: sandbox.TypeNumber},
		{Name: "cf_check", Label: "Check", Type: sandbox.TypeCheckbox},
		{Name: "cf_drop", Label: "Drop", Type: sandbox.TypeDropdown, Choices: []string{"Free", "Team plus", "Yes", "No"}},
		{Name: "cf_radio", Label: "Radio", Type: sandbox.TypeRadio, Choices: []string{"1", "2.5", "true"}},
		{Name: "cf_multi", Label: "Multi", Type: sandbox.TypeMultiSelect, Choices: []string{"Alpha", "Beta", "Gamma ray"}},
		{Name: "cf_day", Label: "Day", Type: sandbox.TypeDate},
		{Name: "cf_when", Label: "When", Type: sandbox.TypeDatetime},
	}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := freshmarketer.New(freshmarketer.Config{
		BaseURL: "http://sandbox.test", APIKey: sandbox.DefaultAPIKey, HTTPClient: &http.Client{Transport: handlerTransport{box.Handler()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/crm/sales/api/settings/contacts/fields", nil)
	r.Header.Set("Authorization", "Token token="+sandbox.DefaultAPIKey)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	box.Handler().ServeHTTP(w, r)
	fields, err := ParseFields(w.Body.Bytes()) // what somebody would save
	if err != nil {
		t.Fatal(err)
	}
	return client, NewCatalogue(fields)
}

// FuzzSandboxTakesWhatIsMapped sends what Fold makes of traits to the sandbox, which checks what the API checks: no
// request may be refused, and every custom value must be stored. The seed decides which traits there are and of what kind
// their values, the text is what they are made of.
func FuzzSandboxTakesWhatIsMapped(f *testing.F) {
	for seed := range uint64(40) {
		for _, text := range []string{"12.50", "true", "team PLUS", "alpha;beta", "2026-02-29", "1772442904", "Asia/Calcutta", "\x00", "call me", "ä@bücher.test", "-0e9"} {
			f.Add(seed, text)
		}
	}
	f.Fuzz(func(t *testing.T, seed uint64, text string) {
		client, cat := account(t)
		opt := Options{Traits: map[string]string{
			"stage": "Lifecycle stage", "consent": "Subscription status", "zone": "Time zone", "tagged": "Tags", "rep": "Sales owner",
			"src": "lead_source_id", "cart": "Notes", "Text": "Text", "why": "Lost reason",
		}, OnCreate: map[string]string{"subscription_status": "Not subscribed", "lifecycle_stage": "lead"}}
		traits := fuzzTraits(t, seed, text)
		res := Fold(cat, opt, Record{}, []Call{fuzzCall(t, traits, 2, seed%5 == 0)}, fuzzNow())
		if res.Change.Empty() {
			return
		}
		write := freshmarketer.ContactWrite{Fields: freshmarketer.Fields{}, Custom: freshmarketer.Fields{}}
		for _, c := range append(res.Change.Fields, res.Change.Defaults...) {
			if c.Custom {
				write.Custom[c.Name] = c.Value
			} else {
				write.Fields[c.Name] = c.Value
			}
		}
		contact, err := client.UpsertContact(t.Context(), "external_id", "u", write)
		if err != nil {
			t.Fatalf("%v\nrefused: %v %v", err, write.Fields, write.Custom)
		}
		for name, value := range write.Custom {
			if stored := string(contact.Custom[name]); value != nil && (stored == "" || stored == "null") {
				t.Fatalf("%s = %v (%T) was taken and not stored", name, value, value)
			}
		}
		if want := res.Change.Email; contact.Email != want {
			t.Fatalf("the contact has %q, sent was %q", contact.Email, want)
		}
	})
}

// fuzzTraits makes traits for fields of all types.
func fuzzTraits(t *testing.T, seed uint64, text string) []byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 5))
	var value func(depth int) any
	value = func(depth int) any {
		switch n := rnd.IntN(14); {
		case n == 0:
			return nil
		case n == 1:
			return rnd.IntN(2) == 0
		case n == 2:
			return json.Number([]string{"0", "-0.0", "1e3", "12.50", "1e300", "1772442904", "1772442904123", "-1e9", "71", "2.5"}[rnd.IntN(10)])
		case n == 3:
			return strings.Repeat(text, rnd.IntN(300))
		case n == 4 && depth < 3:
			return []any{value(depth + 1), value(depth + 1), value(depth + 1)}
		case n == 5 && depth < 3:
			return map[string]any{text: value(depth + 1), "city": value(depth + 1)}
		case n == 6:
			return []string{"lead", "Web", "Gamma ray", "yes", "0", "Berlin", "Europe/Oslo", "Nov 18, 2021, 2:45:07 PM", "+1 (415) 555-0102"}[rnd.IntN(9)]
		}
		return text
	}
	traits := map[string]any{"email": "a@b.test"}
	for _, key := range []string{
		"Text", "Notes", "Number", "Check", "Drop", "Radio", "Multi", "Day", "When", "Mobile", "phone", "City", "name", "address", "stage",
		"consent", "zone", "tagged", "rep", "src", "cart", "why", "Time zone", "Tags", "External ID", "email", "Email", text,
	} {
		if rnd.IntN(3) == 0 {
			traits[key] = value(0)
		}
	}
	b, err := json.Marshal(traits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
