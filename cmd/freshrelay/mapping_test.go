package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/mapping"
)

const fieldFile = `{"fields": [
	{"name": "emails", "label": "Emails", "type": "group_field", "default": true, "choices": []},
	{"name": "first_name", "label": "First name", "type": "text", "default": true, "choices": []},
	{"name": "zipcode", "label": "Zipcode", "type": "text", "default": true, "choices": []},
	{"name": "last_seen", "label": "Last seen", "type": "date", "default": true, "choices": []},
	{"name": "owner_id", "label": "Sales owner", "type": "dropdown", "default": true, "choices": [{"id": 5, "value": "Ada Moreno"}]},
	{"name": "cf_plan", "label": "Plan", "type": "dropdown", "default": false, "choices": [{"id": 1, "value": "Free"}, {"id": 2, "value": "Gold"}]}
]}`

const oneCall = `{"type":"identify","userId":"u1","messageId":"m1","traits":{"email":"ada@example.com","plan":"gold","postcode":"4000","cart":[1],"owner":"x"}}`

// offline is a directory with saved fields, a configuration without an account, and a call.
func offline(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	writeFile(t, filepath.Join(r.dir, "fields.json"), fieldFile)
	writeFile(t, filepath.Join(r.dir, "call.json"), oneCall)
	writeFile(t, filepath.Join(r.dir, "freshrelay.yaml"), "mapping: {traits: {owner: Sales owner}}\n")
	return r
}

func TestMappingExplainOffline(t *testing.T) {
	t.Parallel()
	r := offline(t)
	got := r.run(t, "mapping", "explain", "--catalogue", "fields.json", "call.json")
	wantCode(t, got, exitOK)
	wantParts(t, "explain", got.out, "identify of u1, source website", `"Gold"`, "the label in another spelling", "cart", "no field has this label",
		"owner", "the dropdown has no such choice", "POST …/crm/sales/api/contacts", `"external_id": "u1"`, `"cf_plan": "Gold"`)
	// The record after the first call makes the second one an update.
	got = r.run(t, "-o", "json", "mapping", "explain", "--catalogue", "fields.json", "call.json")
	var report struct {
		Explanations []admin.Explanation        `json:"explanations"`
		Records      map[string]json.RawMessage `json:"records"`
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || len(report.Explanations) != 1 {
		t.Fatalf("%v\n%s", err, got.out)
	}
	writeFile(t, filepath.Join(r.dir, "record.json"), string(report.Records["u1"]))
	writeFile(t, filepath.Join(r.dir, "next.json"), `{"batch":[`+strings.ReplaceAll(oneCall, "m1", "m2")+`,{"type":"track","userId":"u1","event":"x"}]}`)
	got = r.run(t, "mapping", "explain", "--catalogue", "fields.json", "--record", "record.json", "next.json")
	wantCode(t, got, exitOK)
	wantParts(t, "explain with a record", got.out, "unchanged", "no request: the contact has it all", "not_forwarded")
}

func TestMappingExplainByTheService(t *testing.T) {
	t.Parallel()
	r := offline(t)
	got := r.run(t, "mapping", "explain", "call.json")
	wantCode(t, got, exitFailed)
	wantParts(t, "no fields", got.errOut, "fields are not known yet")
	fields, err := mapping.ParseFields([]byte(fieldFile))
	if err != nil {
		t.Fatal(err)
	}
	r.fields = fields
	got = r.run(t, "mapping", "explain", "--source", "shop", "call.json")
	wantCode(t, got, exitOK)
	wantParts(t, "explain", got.out, "identify of u1, source shop", "POST …/crm/sales/api/contacts")
	got = r.run(t, "mapping", "explain", "--record", "x.json", "call.json")
	wantCode(t, got, exitUsage)
}

func TestMappingExplainMistakes(t *testing.T) {
	t.Parallel()
	r := offline(t)
	writeFile(t, filepath.Join(r.dir, "bad.json"), `{"fields": []}`)
	writeFile(t, filepath.Join(r.dir, "text.json"), `hello`)
	for _, tt := range []struct {
		args []string
		code int
		part string
	}{
		{[]string{"explain", "--catalogue", "missing.json", "call.json"}, exitUsage, "cannot read the contact fields"},
		{[]string{"explain", "--catalogue", "bad.json", "call.json"}, exitFailed, "not a list of contact fields"},
		{[]string{"explain", "--catalogue", "fields.json", "missing.json"}, exitUsage, "cannot read the calls"},
		{[]string{"explain", "--catalogue", "fields.json", "text.json"}, exitUsage, "not JSON with calls"},
		{[]string{"explain", "--catalogue", "fields.json", "--record", "text.json", "call.json"}, exitFailed, "the record"},
		{[]string{"suggest", "--catalogue", "fields.json"}, exitUsage, "no calls to look at"},
		{[]string{"suggest", "call.json"}, exitUsage, "from its own report"},
	} {
		got := r.run(t, append([]string{"mapping"}, tt.args...)...)
		wantCode(t, got, tt.code)
		wantParts(t, strings.Join(tt.args, " "), got.errOut, tt.part)
	}
}

func TestMappingSuggest(t *testing.T) {
	t.Parallel()
	r := offline(t)
	got := r.run(t, "mapping", "suggest", "--catalogue", "fields.json", "call.json")
	wantCode(t, got, exitOK)
	wantParts(t, "suggest", got.out, "mapping:\n  traits:\n    postcode: Zipcode", "1 call from files; high", "# no field comes near: cart (1 call)")
	r.fields, _ = mapping.ParseFields([]byte(fieldFile))
	r.unmapped = []mapping.Unmapped{
		{Trait: "sales_owner", Source: "shop", Count: 7}, {Trait: "postcode", Source: "website", Count: 4}, {Trait: "no", Source: "website", Count: 1},
	}
	got = r.run(t, "mapping", "suggest")
	wantCode(t, got, exitOK)
	wantParts(t, "suggest by the service", got.out, "    # sales_owner: Sales owner", "7 calls from shop; high", "guarded", "    postcode: Zipcode")
	var list admin.SuggestionList
	if err := json.Unmarshal([]byte(r.run(t, "-o", "json", "mapping", "suggest").out), &list); err != nil || len(list.Suggestions) != 3 {
		t.Errorf("%v: %+v", err, list)
	}
	r.unmapped = nil
	wantParts(t, "nothing", r.run(t, "mapping", "suggest").out, "every trait finds its field")
}

// TestSuggestionsAreYAML: a trait may be called anything, and a line must mean just that.
func TestSuggestionsAreYAML(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plan": "plan", "company.name": "company.name", "first name": "first name", "no": `"no"`, "5": `"5"`, "a: b": `"a: b"`, "#x": `"#x"`, "- x": `"- x"`, "x\ny": `"x y"`,
	} {
		if got := yamlText(in); got != want {
			t.Errorf("%q is written %s, want %s", in, got, want)
		}
	}
}

func TestMappingFields(t *testing.T) {
	t.Parallel()
	r := offline(t)
	r.fields, _ = mapping.ParseFields([]byte(fieldFile))
	got := r.run(t, "mapping", "fields")
	wantCode(t, got, exitOK)
	wantParts(t, "fields", got.out, "cf_plan", "Free | Gold", "never", "by a line")
	wantCode(t, r.run(t, "mapping", "fields", "--save", "saved.json"), exitOK)
	saved, err := os.ReadFile(filepath.Join(r.dir, "saved.json"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := mapping.ParseFields(saved); err != nil || len(again) != len(r.fields) {
		t.Errorf("%v: %v", err, again)
	}
	if got := r.run(t, "mapping", "explain", "--catalogue", "saved.json", "call.json"); got.code != exitOK {
		t.Error(got.errOut)
	}
}

func TestResync(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wantParts(t, "one", r.run(t, "resync", "ada").out, "this contact's next call")
	wantParts(t, "all", r.run(t, "resync", "--all").out, "each contact's next call")
	if len(r.resynced) != 2 || r.resynced[0] != "hash-ada" || r.resynced[1] != "" {
		t.Errorf("%q", r.resynced)
	}
	for _, args := range [][]string{{"resync"}, {"resync", "ada", "--all"}} {
		wantCode(t, r.run(t, args...), exitUsage)
	}
}

func TestStatusShowsUnmappedTraits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.unmapped = []mapping.Unmapped{{Trait: "cart\x1b", Source: "website", Count: 12, Last: time.Now().Add(-time.Minute)}}
	got := r.run(t, "status")
	wantParts(t, "status", got.out, "traits without a field", "12  cart\uFFFD (website)", "freshrelay mapping suggest")
}

// TestCheck: each problem has its mend, and the exit code is for scripts.
func TestCheck(t *testing.T) {
	t.Parallel()
	r := offline(t)
	good := "sources: [{name: website, write_keys: [wk_4fd1]}]\nfreshmarketer: {domain: acme, api_key: k3y}\npublic_url: https://relay.example.com\n"
	for name, tt := range map[string]struct {
		config string
		args   []string
		code   int
		parts  []string
	}{
		"well": {good, nil, exitOK, []string{"ok       fields", "\ntrack  ", "\npage  ", "\nscreen  ", "\ngroup  ", "\nalias  ", "\ndelete  ", "External ID", "the userId", "/webhook/website", "wk"}},
		"mapping": {
			good + "mapping: {traits: {a: Plann, b: Last seen}}\ncontacts: {on_create: {owner: Nobody, source: Web}}\n", nil, exitFailed,
			[]string{`the account has no field "Plann"`, "Freshworks computes the field", "owner: Nobody", "the dropdown has no such choice", "→"},
		},
		"warnings":        {strings.Replace(good, "public_url", "#", 1), nil, exitOK, []string{"warning"}},
		"warnings strict": {strings.Replace(good, "public_url", "#", 1), []string{"--strict"}, exitFailed, []string{"warning"}},
		"configuration":   {"listen: nonsense\n", nil, exitUsage, []string{`listen = "nonsense"`, "api_key", "sources"}},
	} {
		if name == "well" {
			tt.parts = tt.parts[:4]
		}
		writeFile(t, filepath.Join(r.dir, "freshrelay.yaml"), tt.config)
		got := r.run(t, append([]string{"check", "--offline", "--catalogue", "fields.json"}, tt.args...)...)
		wantCode(t, got, tt.code)
		wantParts(t, name, got.out, tt.parts...)
		var report app.CheckReport
		if err := json.Unmarshal([]byte(r.run(t, append([]string{"-o", "json", "check", "--offline", "--catalogue", "fields.json"}, tt.args...)...).out), &report); err != nil {
			t.Error(err)
		}
		for _, f := range report.Findings {
			if f.Level != app.LevelOK && f.Mend == "" {
				t.Errorf("%s: %q has no mend", name, f.What)
			}
		}
	}
}
