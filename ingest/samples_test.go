package ingest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/segment"
)

// demoKey stands in the samples that carry a write key.
const demoKey = "WK_DEMO_0001"

// seen is what the lane will see of a stored event; what it then does with it is told by other tests.
type seen struct {
	Type              segment.Type
	User, Email       string // Email: traits.email, to the letter
	Disabled, Partial bool
}

// outcome is what the door makes of a sample on each of its surfaces.
type outcome struct {
	stored  []seen
	dropped map[string]string // type → reason
	refused bool              // on the Tracking API: 400
}

func stored(events ...seen) outcome { return outcome{stored: events} }

func identify(user, email string) seen { return seen{Type: segment.Identify, User: user, Email: email} }

func engage(user, email string) seen {
	return seen{Type: segment.Identify, User: user, Email: email, Partial: true}
}

func disabled(s seen) seen {
	s.Disabled = true
	return s
}

func drop(typ, reason string) outcome { return outcome{dropped: map[string]string{typ: reason}} }

// outcomes says for every sample of index.json what its "expect" means at the door.
func outcomes() map[string]outcome {
	const mara = "mara.okafor@harborlane.test"
	return map[string]outcome{
		"01-identify-create.json":                       stored(identify("cust-1001", mara)),
		"02-identify-update-partial.json":               stored(identify("cust-1001", mara)),
		"03-identify-nested-traits.json":                stored(identify("cust-1002", "ivo@tallpine.test")),
		"04-identify-array-traits.json":                 stored(identify("cust-1003", "lea@quarry.test")),
		"05-identify-null-traits.json":                  stored(identify("cust-1001", mara)),
		"06-identify-empty-string-traits.json":          stored(identify("cust-1001", mara)),
		"08-identify-unicode.json":                      stored(identify("ключ-Ω-1005", "zoë.müller@bücher.test")),
		"10-identify-large-ok-32000.json":               stored(identify("cust-1007", "big@ledger.test")),
		"11-identify-oversize-40k.json":                 {refused: true},
		"12-identify-missing-userid.json":               stored(identify("", "anon@harborlane.test")),
		"13-identify-missing-email.json":                stored(identify("cust-1009", "")),
		"14-identify-email-only-in-context-traits.json": stored(identify("cust-1010", "")),
		"15-identify-userid-is-email.json":              stored(identify("pat@userid-mail.test", "")),
		"17-identify-userid-blank.json":                 stored(identify("", "blank@ledger.test")),
		"18-batch-duplicate-messageid.json": stored(
			identify("cust-1011", "dup@quarry.test"), identify("cust-1011", "dup@quarry.test"), identify("cust-1011", "dup@quarry.test")),
		"19-integrations-all-false.json":                    stored(disabled(identify("cust-1012", "x@filter.test"))),
		"20-integrations-all-false-freshmarketer-true.json": stored(identify("cust-1012", "x@filter.test")),
		"21-integrations-freshmarketer-false.json":          stored(disabled(identify("cust-1012", "x@filter.test"))),
		"22-integrations-freshmarketer-object.json":         stored(identify("cust-1012", "x@filter.test")),
		"24-engage-audience-entered-identify.json":          stored(engage("cust-1001", mara)),
		"25-engage-audience-exited-identify.json":           stored(engage("cust-1001", mara)),
		"27-engage-audience-track.json":                     drop("track", ingest.DropNotForwarded),
		"28-engage-computed-trait-identify.json":            stored(engage("cust-1001", mara)),
		"30-track-with-context-traits.json":                 drop("track", ingest.DropNotForwarded),
		"31-page-analyticsjs-shape.json":                    drop("page", ingest.DropNotForwarded),
		"32-screen.json":                                    drop("screen", ingest.DropScreen),
		"33-group.json":                                     stored(seen{Type: segment.Group, User: "cust-1001", Email: "office@harborlane.test"}),
		"34-alias.json":                                     stored(seen{Type: segment.Alias, User: "cust-1001"}),
		"35-delete.json":                                    stored(seen{Type: segment.Delete, User: "cust-1001"}),
		"36-webhook-actions-batch.json": {
			stored:  []seen{identify("cust-1013", "one@batch.test"), identify("cust-1014", "two@batch.test"), identify("cust-1016", "")},
			dropped: map[string]string{"track": ingest.DropNotForwarded},
		},
		"37-webhook-actions-batch-of-one.json": stored(identify("cust-1017", "solo@batch.test")),
		"39-http-batch-analytics-python.json":  stored(identify("480018", "py@client.test")),
		"41-identify-casing-variants.json":     stored(identify("cust-1022", "")),
		"45-identify-client-side-doc-shape.json": stored(
			identify("", "web@form.test")),
	}
}

// way is one way in which a sample arrives.
type way struct {
	name, path string
	options    []option
	zipped     bool
}

// ways reads index.json's "via".
func ways(t *testing.T, via, body string) []way {
	t.Helper()
	key := basic(demoKey)
	classic := way{"classic", "/webhook/signed", []option{header("User-Agent", "Segment.io/1.0"), sign(secret, body)}, false}
	partner := way{"partner", "/webhook/website", []option{
		header("User-Agent", "Segment.io/1.0"), key, header("X-Segment-Settings", "e30="), header("Cache-Control", "no-cache"),
	}, false}
	tracking := []way{
		{"tracking", "/v1/identify", []option{key}, false},
		{"tracking, short", "/v1/i", []option{key, header("Content-Type", "text/plain")}, true},
	}
	arrays := []way{{"actions", "/webhook/signed", []option{header("User-Agent", "Segment (Actions)"), sign(secret, elementZero(t, body))}, false}}
	switch via {
	case "webhook (classic or Actions single) or partner endpoint":
		return []way{classic, partner}
	case "webhook (classic or Actions single) or partner endpoint or /v1/identify",
		"webhook (classic or Actions single) or partner endpoint or HTTP API":
		return append(tracking, classic, partner)
	case "webhook (classic)":
		return []way{classic}
	case "/v1/identify":
		return tracking
	case "POST /v1/batch":
		return []way{{"body key", "/v1/batch", nil, false}, {"ruby, java", "/v1/import/", []option{key}, false}}
	case "POST /v1/batch, no Authorization header, optional gzip":
		return []way{{"plain", "/v1/batch", nil, false}, {"gzip", "/v1/batch", nil, true}, {"short", "/v1/b", nil, false}}
	case "POST /v1/p, text/plain, browser":
		return []way{{"browser", "/v1/p", []option{key, header("Content-Type", "text/plain"), header("Origin", origin)}, false}}
	case "Webhooks (Actions) with batching":
		return arrays
	}
	t.Fatalf("no way is known for %q", via)
	return nil
}

// elementZero is the first element of an array, cut out by hand so as not to test the code with itself.
func elementZero(t *testing.T, body string) string {
	t.Helper()
	if !strings.HasPrefix(body, "[") {
		return ""
	}
	d := json.NewDecoder(strings.NewReader(body[1:]))
	var first json.RawMessage
	if err := d.Decode(&first); err != nil {
		t.Fatal(err)
	}
	return string(first)
}

func TestSamples(t *testing.T) {
	t.Parallel()
	var index []struct {
		File, Via string
		Bytes     int
	}
	if err := json.Unmarshal([]byte(sample(t, "index.json")), &index); err != nil {
		t.Fatal(err)
	}
	want := outcomes()
	if len(index) != len(want) {
		t.Errorf("%d samples, %d outcomes", len(index), len(want))
	}
	for _, entry := range index {
		body := sample(t, entry.File)
		if len(body) != entry.Bytes {
			t.Errorf("%s has %d bytes, want %d: it must not be reformatted", entry.File, len(body), entry.Bytes)
		}
		out, ok := want[entry.File]
		if !ok {
			t.Errorf("no outcome for %s", entry.File)
		}
		for _, w := range ways(t, entry.Via, body) {
			t.Run(entry.File+", "+w.name, func(t *testing.T) {
				t.Parallel()
				testSample(t, body, w, out)
			})
		}
	}
}

func testSample(t *testing.T, body string, w way, want outcome) {
	t.Helper()
	d := newDoorWith(t, ingest.Config{Sources: []ingest.Source{
		{Name: "website", WriteKeys: []string{demoKey}}, {Name: "signed", WebhookSecrets: []string{secret}},
	}})
	options := w.options
	if w.zipped {
		body = zip(t, body)
		options = append(options, header("Content-Encoding", "gzip"))
	}
	answer := d.do(request(w.path, body, options...))
	if want.refused {
		wantRefused(t, answer, http.StatusBadRequest, "payload_too_large")
		return
	}
	wantOK(t, answer)
	var got []seen
	for _, r := range d.store.stored(t) {
		got = append(got, see(t, r))
		if bytes.Contains(r.Body, []byte(demoKey)) {
			t.Error("the write key is stored")
		}
	}
	if diff := cmp.Diff(want.stored, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	for typ, reason := range want.dropped {
		d.wantCounted(t, dropped(typ, reason), "1")
	}
}

func see(t *testing.T, r segment.Received) seen {
	t.Helper()
	e, err := r.Event()
	if err != nil {
		t.Fatal(err)
	}
	s := seen{Type: e.Type, User: e.UserID, Disabled: e.Disabled, Partial: e.Partial}
	for _, trait := range e.Traits {
		if trait.Key == "email" {
			s.Email, _ = trait.Value.(string)
		}
	}
	return s
}

// TestOversizeSampleAsWebhook: Segment adds to events what their senders did not send, so the Tracking API's limit is not
// for webhooks.
func TestOversizeSampleAsWebhook(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	wantOK(t, d.post("/webhook/website", sample(t, "11-identify-oversize-40k.json")))
	d.store.only(t)
}
