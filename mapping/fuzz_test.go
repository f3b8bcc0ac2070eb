package mapping

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/freshrelay/freshrelay/segment"
)

// FuzzFold gives Fold whatever the parser accepts as traits, once by itself and once on top of an ordinary call. Nothing
// may panic, nothing but known and writable fields may be sent, in shapes the API takes, and doing it again changes nothing.
func FuzzFold(f *testing.F) {
	samples, err := filepath.Glob("../ingest/testdata/segment/*identify*.json")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for i, file := range samples {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var event struct {
			Traits json.RawMessage `json:"traits"`
		}
		if err := json.Unmarshal(b, &event); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(event.Traits), byte(i))
	}
	f.Add([]byte(`{"email":"a@b","name":"\u0000","address":{"city":{"a":[1]},"":1},"a.b":1e999999999,"Interests":["alpha",null,{}],"stage":"lead","signed up":-1e300}`), byte(5))
	cat := readCatalogue(f, "account")
	f.Fuzz(func(t *testing.T, traits []byte, flags byte) {
		opt := Options{StrictLabels: flags&1 != 0, Traits: map[string]string{
			"stage": "Lifecycle stage", "consent": "Subscription status", "address.deep.city": "City", "ext": "External ID", "seen": "last_seen",
			"tagged": "Tags", "any": "Plan", "tz": "Time zone",
		}}
		if flags&2 != 0 {
			opt.MissingTraits = Keep
		}
		opt.EmailFallback, opt.NoSpelling, opt.NoReserved, opt.NoLabels = flags&16 != 0, flags&32 != 0, flags&64 != 0, flags&128 != 0
		call := fuzzCall(t, traits, 2, flags&4 != 0)
		var rec Record
		if flags&8 != 0 {
			rec.ContactID = "1"
			rec = Fold(cat, opt, rec, []Call{fuzzCall(t, []byte(`{"email":"x@y.test","Plan":"p","Logins":1,"name":"A B","City":"c"}`), 1, false)}, fuzzNow()).Record
		}
		res := Fold(cat, opt, rec, []Call{call}, fuzzNow())
		if len(res.Outcomes) != 1 {
			t.Fatalf("%d outcomes", len(res.Outcomes))
		}
		checkChange(t, cat, &opt, res.Change)
		if list := reportOf(res.Outcomes); len(list) > 0 {
			Suggest(cat, list[:1])
		}
		b, err := res.Record.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if res.Record, err = DecodeRecord(b); err != nil {
			t.Fatal(err)
		}
		if rec.ContactID == "" && !res.Change.Empty() && res.Change.Email == "" {
			t.Fatal("a contact without an email")
		}
		res.Record.ContactID = "1"
		call.Replay = true
		for _, change := range Fold(cat, opt, res.Record, []Call{call}, fuzzNow()).Change.Fields {
			// A contact that is created is not sent what is empty, so that may follow.
			if res.Outcomes[0].Delivered && (change.Value != nil || rec.ContactID != "") {
				t.Fatalf("sent again: %+v", change)
			}
		}
	})
}

func reportOf(outcomes []Outcome) []Unmapped {
	var r Report
	for _, o := range outcomes {
		r.Add("website", o, fuzzNow())
	}
	return r.List()
}

func fuzzNow() time.Time { return time.Unix(1772442999, 0) }

func fuzzCall(t *testing.T, traits []byte, pos uint64, partial bool) Call {
	t.Helper()
	body := `{"type":"identify","userId":"u","timestamp":"2026-03-02T09:15:04Z","traits":` + string(traits) + `}`
	if partial {
		body = body[:len(body)-1] + `,"context":{"personas":{}}}`
	}
	r := segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Unix(1772442905, 0), Type: segment.Identify,
		MessageID: string(rune('a' + pos)), UserID: "u", Body: []byte(body),
	}
	if err := segment.Validate(r.Body); err != nil {
		t.Skip("not an event")
	}
	ev, err := r.Event()
	if err != nil {
		t.Skip("not an event")
	}
	return Call{Event: ev, Pos: pos}
}

// checkChange holds a change against the catalogue it was made with.
func checkChange(t *testing.T, cat *Catalogue, opt *Options, c Change) {
	t.Helper()
	last := ""
	for _, change := range c.Fields {
		if change.Name <= last {
			t.Fatalf("%q after %q", change.Name, last)
		}
		last = change.Name
		i, ok := cat.byName[change.Name]
		if !ok {
			t.Fatalf("unknown field %q", change.Name)
		}
		f := &cat.fields[i]
		if f.access == derived || f.access == identity || f.access == guarded && opt.Traits[change.Trait] == "" {
			t.Fatalf("%q is not writable by %q", change.Name, change.Trait)
		}
		if f.Custom != change.Custom || f.kind == kindUnsupported || f.kind == kindEmail && change.Value == nil {
			t.Fatalf("%+v for %+v", change, f.Field)
		}
		checkValue(t, f, change.Value)
	}
}

func checkValue(t *testing.T, f *field, value any) {
	t.Helper()
	ok := false
	switch v := value.(type) {
	case nil:
		ok = true
	case bool:
		ok = f.kind == kindCheckbox
	case []string:
		ok = f.kind == kindTags && len(v) > 0
	case json.Number:
		ok = (f.kind == kindNumber || f.kind == kindChoiceID) && json.Valid([]byte(v))
	case string:
		ok = v != "" && f.kind != kindNumber && f.kind != kindCheckbox && f.kind != kindChoiceID
		n := utf8.RuneCountInString(v)
		ok = ok && (n <= 255 || f.kind == kindTextarea && n <= 8000 || f.kind == kindChoices)
		if f.kind == kindChoice {
			_, ok = f.exact[v]
		}
	}
	if !ok {
		t.Fatalf("%v (%T) for a %s", value, value, f.Type)
	}
}
