package segment_test

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

func event(t *testing.T, r segment.Received) segment.Event {
	t.Helper()
	e, err := r.Event()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEvent(t *testing.T) {
	t.Parallel()
	e := event(t, received(sample(t, "01-identify-create")))
	want := segment.Event{
		Type: segment.Identify, MessageID: "m-1", UserID: "cust-1001", Source: "website",
		Surface: segment.SurfaceWebhook, Received: arrival,
		Timestamp: time.Date(2026, 3, 2, 9, 15, 4, 230_000_000, time.UTC),
	}
	traits := e.Traits
	e.Traits = nil
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	var body struct{ Traits map[string]any }
	d := json.NewDecoder(strings.NewReader(sample(t, "01-identify-create")))
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(body.Traits, asMap(traits)); diff != "" {
		t.Errorf("traits (-want +got):\n%s", diff)
	}
}

func TestTraits(t *testing.T) {
	t.Parallel()
	e := event(t, received(`{"traits":{
		"10":"ten","2":"two","big":12345678901234567890,"f":90210.0,"e":4.80017e5,"b":false,"z":0,"n":null,"s":"",
		"o":{"x":[1.0,{"y":null}]},"É\u0076a":"\ud83d\ude00\u0000","a":1,"dup":1,"a":2},
		"context":{"traits":{"email":"c@example.test"}}}`))
	want := []segment.Trait{
		{Key: "10", Value: "ten"},
		{Key: "2", Value: "two"},
		{Key: "big", Value: json.Number("12345678901234567890")},
		{Key: "f", Value: json.Number("90210.0")},
		{Key: "e", Value: json.Number("4.80017e5")},
		{Key: "b", Value: false},
		{Key: "z", Value: json.Number("0")},
		{Key: "n"},
		{Key: "s", Value: ""},
		{Key: "o", Value: map[string]any{"x": []any{json.Number("1.0"), map[string]any{"y": nil}}}},
		{Key: "Éva", Value: "😀\x00"},
		{Key: "a", Value: json.Number("2")},
		{Key: "dup", Value: json.Number("1")},
	}
	if diff := cmp.Diff(want, e.Traits); diff != "" {
		t.Errorf("traits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]segment.Trait{{Key: "email", Value: "c@example.test"}}, e.ContextTraits); diff != "" {
		t.Errorf("context traits (-want +got):\n%s", diff)
	}
	for _, body := range []string{`{}`, `{"traits":null}`, `{"traits":[1]}`, `{"traits":"a"}`, `{"traits":{}}`, `{"context":7}`} {
		if e := event(t, received(body)); e.Traits != nil || e.ContextTraits != nil {
			t.Errorf("traits of %s = %v, %v", body, e.Traits, e.ContextTraits)
		}
	}
}

func TestManyTraitsLastWins(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, v := range []string{"1", "2"} {
		for _, k := range "abcdefghijklmnopqrstuvwxyz" {
			b.WriteString(`,"` + string(k) + `":` + v)
		}
	}
	e := event(t, received(`{"traits":{`+b.String()[1:]+`}}`))
	if len(e.Traits) != 26 {
		t.Fatalf("%d traits, want 26", len(e.Traits))
	}
	for i, trait := range e.Traits {
		if trait.Key != string(rune('a'+i)) || trait.Value != json.Number("2") {
			t.Errorf("trait %d = %v", i, trait)
		}
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`null`: "", `""`: "", `"  \t\u00a0"`: "", `true`: "", `{}`: "", `["a"]`: "", ``: "",
		`"Cust 1 "`: "Cust 1 ", `"480017"`: "480017", `"\u00e9"`: "é", `"1.0"`: "1.0",
		`480017`: "480017", `480017.0`: "480017", `4.80017e5`: "480017", `4.80017E+5`: "480017", `48001700e-2`: "480017",
		`12345678901234567890`: "12345678901234567890", `9007199254740993`: "9007199254740993",
		`-7`: "-7", `-7.00`: "-7", `0`: "0", `-0`: "0", `0.0`: "0", `0e9`: "0", `1.5`: "1.5", `1e-2`: "1e-2",
		`0.5e1`: "5", `1e3`: "1000", `1e400`: "1e400", `1e99999999999999999999`: "1e99999999999999999999",
		`-x`: "", `1 2`: "",
	}
	for in, want := range tests {
		if got := segment.ID([]byte(in)); got != want {
			t.Errorf("ID(%s) = %q, want %q", in, got, want)
		}
	}
	e := event(t, received(`{"userId":90210.0,"anonymousId":"  "}`))
	if e.UserID != "90210" || e.AnonymousID != "" {
		t.Errorf("ids = %q, %q", e.UserID, e.AnonymousID)
	}
	for name, want := range map[string]string{
		"12-identify-missing-userid": "", "17-identify-userid-blank": "", "45-identify-client-side-doc-shape": "",
		"08-identify-unicode": "ключ-Ω-1005",
	} {
		if e := event(t, received(sample(t, name))); e.UserID != want {
			t.Errorf("%s: user id = %q, want %q", name, e.UserID, want)
		}
	}
}

func TestPartial(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		sample(t, "24-engage-audience-entered-identify"): true,
		sample(t, "28-engage-computed-trait-identify"):   true,
		sample(t, "01-identify-create"):                  false,
		`{"context":{"personas":{}}}`:                    true,
		`{"context":{"personas":null}}`:                  false,
		`{"personas":{}}`:                                false,
	} {
		if e := event(t, received(body)); e.Partial != want {
			t.Errorf("Partial = %v, want %v for %.60s", e.Partial, want, body)
		}
	}
}

func TestDisabled(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ webhook, tracking bool }{
		`null`:                                    {},
		`"All"`:                                   {},
		`{}`:                                      {},
		`{"All":true}`:                            {},
		`{"All":false}`:                           {true, true},
		`{"all":false}`:                           {true, true},
		`{"ALL":false}`:                           {true, true},
		`{"All":true,"all":false}`:                {},
		`{"all":false,"All":true}`:                {},
		`{"All":false,"All":true}`:                {},
		`{"All":"false"}`:                         {},
		`{"All":null}`:                            {},
		`{"Freshmarketer":false}`:                 {true, true},
		`{"Freshmarketer":true,"All":false}`:      {},
		`{"Freshmarketer":{"a":1},"All":false}`:   {},
		`{"Freshmarketer":"","All":false}`:        {},
		`{"Freshmarketer":null,"All":false}`:      {true, true},
		`{"Freshmarketer":null}`:                  {},
		`{"freshmarketer":false}`:                 {},
		`{"freshmarketer":true,"All":false}`:      {true, true},
		`{"Webhooks":true,"All":false}`:           {false, true},
		`{"Webhooks (Actions)":true,"All":false}`: {false, true},
		`{"Webhook":true,"all":false}`:            {false, true},
		`{"webhooks":true,"All":false}`:           {true, true},
		`{"Webhooks":false}`:                      {},
		`{"Webhooks":false,"All":false}`:          {true, true},
		`{"Webhooks":true,"Freshmarketer":false}`: {true, true},
		`{"Freshmarketer":false,"Freshmarketer":true,"x":{"All":false}}`: {},
	}
	for integrations, want := range tests {
		r := received(`{"integrations":` + integrations + `}`)
		if got := event(t, r).Disabled; got != want.webhook {
			t.Errorf("webhook, %s: Disabled = %v", integrations, got)
		}
		r.Surface = segment.SurfaceTracking
		if got := event(t, r).Disabled; got != want.tracking {
			t.Errorf("tracking, %s: Disabled = %v", integrations, got)
		}
	}
	for name, want := range map[string]bool{
		"19-integrations-all-false": true, "20-integrations-all-false-freshmarketer-true": false,
		"21-integrations-freshmarketer-false": true, "22-integrations-freshmarketer-object": false,
	} {
		if e := event(t, received(sample(t, name))); e.Disabled != want {
			t.Errorf("%s: Disabled = %v, want %v", name, e.Disabled, want)
		}
	}
}

// TestAddressed: behind a Destination Function, Engage and Replay name the function and nothing else.
func TestAddressed(t *testing.T) {
	t.Parallel()
	names := []string{"Relay (acme)", "Old relay"}
	tests := map[string]struct{ addressed, disabled bool }{
		`{"All":false,"Relay (acme)":true}`:                       {true, false},
		`{"All":false,"Old relay":true,"Slack":true}`:             {true, false},
		`{"All":false,"Relay (acme)":true,"Freshmarketer":false}`: {true, true},
		`{"All":false,"Relay (acme)":false}`:                      {false, true},
		`{"All":false,"Relay (acme)":true,"Relay (acme)":false}`:  {false, true},
		`{"All":false,"Relay (acme)":{"a":1}}`:                    {false, true},
		`{"All":false,"relay (acme)":true}`:                       {false, true},
		`{"All":false,"Slack":true}`:                              {false, true},
		`{"All":false,"x":{"Relay (acme)":true}}`:                 {false, true},
		`{"Relay (acme)":false}`:                                  {false, false},
		`["Relay (acme)"]`:                                        {false, false},
		`null`:                                                    {false, false},
	}
	for integrations, want := range tests {
		r := received(`{"integrations":` + integrations + `}`)
		r.Addressed = segment.Addressed([]byte(integrations), names)
		if r.Addressed != want.addressed {
			t.Errorf("%s: Addressed = %v", integrations, r.Addressed)
		}
		again, err := segment.Decode(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if got := event(t, again).Disabled; got != want.disabled {
			t.Errorf("%s: Disabled = %v", integrations, got)
		}
		if segment.Addressed([]byte(integrations), nil) {
			t.Errorf("%s addresses nobody", integrations)
		}
	}
	// A client library can write what it likes.
	r := received(`{"integrations":{"All":false}}`)
	r.Addressed, r.Surface = true, segment.SurfaceTracking
	if !event(t, r).Disabled {
		t.Error("believed on the Tracking API")
	}
}

// TestPreviousHalf: the half of an alias call that is about the previousId is that user's, and knows whose it is to become.
func TestPreviousHalf(t *testing.T) {
	t.Parallel()
	r := received(`{"previousId":"old","userId":"new"}`)
	r.Type, r.UserID = segment.Alias, "new"
	half, ok := r.Previous()
	if e := event(t, half); !ok || half.Lane() != "old" || e.UserID != "old" || e.AliasID != "new" || e.PreviousID != "" {
		t.Errorf("%v %+v", ok, e)
	}
	if e := event(t, r); e.UserID != "new" || e.PreviousID != "old" || e.AliasID != "" {
		t.Errorf("%+v", e)
	}
}

func TestParseType(t *testing.T) {
	t.Parallel()
	for _, typ := range []segment.Type{"identify", "track", "page", "screen", "group", "alias", "delete"} {
		if got, ok := segment.ParseType(strings.ToUpper(string(typ))); !ok || got != typ {
			t.Errorf("ParseType(%s) = %s, %v", typ, got, ok)
		}
	}
	for _, s := range []string{"", "identity", " identify", "batch", strings.Repeat("i", 1<<20)} {
		if got, ok := segment.ParseType(s); ok {
			t.Errorf("ParseType(%.20q) = %s", s, got)
		}
	}
}

// FuzzParseEvent checks the traits against encoding/json: same keys, same values, same lexemes.
func FuzzParseEvent(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "2026-03-02T09:10:43.120394+00:00")
	}
	f.Add([]byte(`{"traits":{"a":1,"a":[2.0]},"timestamp":1e300,"integrations":{"all":false}}`), "Nov 18, 2021, 2:45:07 PM")
	f.Fuzz(func(t *testing.T, body []byte, sentAt string) {
		r := segment.Received{Surface: segment.SurfaceTracking, At: arrival, SentAt: sentAt, Body: body}
		e, err := r.Event()
		if err != nil || segment.Validate(body) != nil {
			return
		}
		if e.Clock().After(arrival) || e.Clock().Unix() <= 0 {
			t.Fatalf("clock = %v", e.Clock())
		}
		want, _ := decode(t, body)["traits"].(map[string]any)
		if len(want) != len(e.Traits) {
			t.Fatalf("%d traits, want %d", len(e.Traits), len(want))
		}
		if diff := cmp.Diff(want, asMap(e.Traits)); len(want) > 0 && diff != "" {
			t.Fatalf("traits (-want +got):\n%s", diff)
		}
	})
}

func asMap(traits []segment.Trait) map[string]any {
	m := make(map[string]any, len(traits))
	for _, trait := range traits {
		m[trait.Key] = trait.Value
	}
	return m
}

func BenchmarkDecodeAndParse(b *testing.B) {
	stored := received(sample(b, "01-identify-create")).Encode()
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := segment.Decode(stored)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Event(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDoor is what one event costs at the door: take to pieces, cut the key, encode.
func BenchmarkDoor(b *testing.B) {
	body := []byte(strings.Replace(sample(b, "01-identify-create"), "{", `{"writeKey":"k",`, 1))
	var o segment.Object
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := o.ParseCall(body); err != nil {
			b.Fatal(err)
		}
		if err := o.Shape().Check(); err != nil {
			b.Fatal(err)
		}
		o.Cut("writeKey")
		r := segment.Received{
			Source: "website", Surface: segment.SurfaceTracking, At: arrival, Type: segment.Identify,
			MessageID: segment.ID(o.Get("messageId")), Body: o.Bytes(),
		}
		_ = r.Encode()
	}
}
