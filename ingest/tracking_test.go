package ingest_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/freshrelay/freshrelay/segment"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	wantOK(t, d.post("/v1/identify", ` {"writeKey":"wk_website","userId":480017.0,"messageId":"m-1",`+
		`"sentAt":"2026-03-02T09:15:04.900Z","traits":{"n":4.80017e5,"big":12345678901234567890}} `))
	r := d.store.only(t)
	want := segment.Received{
		Source: "website", Surface: segment.SurfaceTracking, At: r.At, SentAt: "2026-03-02T09:15:04.900Z",
		Type: segment.Identify, MessageID: "m-1", UserID: "480017",
		Body: []byte(`{"userId":480017.0,"messageId":"m-1","sentAt":"2026-03-02T09:15:04.900Z",` +
			`"traits":{"n":4.80017e5,"big":12345678901234567890},"type":"identify"}`),
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if r.At.IsZero() {
		t.Error("no time of arrival")
	}
	d.wantCounted(t, `freshrelay_events_received_total{source="website",type="identify"}`, "1")
}

func TestPathsAndTypes(t *testing.T) {
	t.Parallel()
	for typ, stored := range map[segment.Type]bool{
		segment.Identify: true, segment.Group: true, segment.Alias: true,
		segment.Track: false, segment.Page: false, segment.Screen: false,
	} {
		for _, path := range []string{"/v1/" + string(typ), "/v1/" + string(typ) + "/"} {
			for _, inBody := range []string{`"delete"`, `"nonsense"`, `null`, `"` + string(typ) + `"`} {
				d := newDoor(t)
				body := `{"userId":"u-1","type":` + inBody + `}`
				wantOK(t, d.post(path, body))
				if !stored {
					if n := len(d.store.stored(t)); n != 0 {
						t.Errorf("%s: %d events stored", path, n)
					}
					reason := map[segment.Type]string{segment.Screen: "screen"}[typ]
					if reason == "" {
						reason = "not_forwarded"
					}
					d.wantCounted(t, dropped(string(typ), reason), "1")
					continue
				}
				r := d.store.only(t)
				if want := `{"userId":"u-1","type":"` + string(typ) + `"}`; r.Type != typ || string(r.Body) != want {
					t.Errorf("%s with type %s: stored %s %s", path, inBody, r.Type, r.Body)
				}
			}
		}
	}
}

func TestWriteKeys(t *testing.T) {
	t.Parallel()
	encode := base64.StdEncoding.EncodeToString
	tests := map[string]struct {
		authorization string
		path, body    string
		source        string // "" = refused
		code          string
	}{
		"basic":                {"Basic " + encode([]byte(key+":")), "/v1/identify", `{}`, "website", ""},
		"basic without colon":  {"Basic " + encode([]byte(key)), "/v1/identify", `{}`, "website", ""},
		"basic unpadded":       {"basic  " + strings.TrimRight(encode([]byte(key)), "="), "/v1/identify", `{}`, "website", ""},
		"basic with password":  {"Basic " + encode([]byte("wk_second:x:y")), "/v1/identify", `{}`, "website", ""},
		"basic beats body":     {"Basic " + encode([]byte("wk_signed:")), "/v1/identify", `{"writeKey":"wk_website"}`, "signed", ""},
		"wrong basic":          {"Basic " + encode([]byte(marker+":")), "/v1/identify", `{"writeKey":"wk_website"}`, "", "unknown_write_key"},
		"broken basic":         {"Basic " + marker + "!", "/v1/identify", `{"writeKey":"wk_website"}`, "", "bad_authorization"},
		"empty basic":          {"Basic " + encode([]byte(":")), "/v1/identify", `{"writeKey":"wk_website"}`, "website", ""},
		"body":                 {"", "/v1/identify", `{"writeKey":"wk_website"}`, "website", ""},
		"bearer and body":      {"Bearer " + marker, "/v1/identify", `{"writeKey":"wk_website"}`, "website", ""},
		"bearer alone":         {"Bearer " + marker, "/v1/identify", `{}`, "", "missing_write_key"},
		"none":                 {"", "/v1/identify", `{"traits":{"writeKey":"wk_website"}}`, "", "missing_write_key"},
		"wrong kind":           {"", "/v1/identify", `{"writeKey":{"a":"wk_website"}}`, "", "missing_write_key"},
		"wrong body":           {"", "/v1/identify", `{"writeKey":"` + marker + `"}`, "", "unknown_write_key"},
		"prefix of a key":      {"", "/v1/identify", `{"writeKey":"wk_web"}`, "", "unknown_write_key"},
		"envelope":             {"", "/v1/batch", `{"writeKey":"wk_website","batch":[{"type":"identify"}]}`, "website", ""},
		"envelope beats item":  {"", "/v1/batch", `{"batch":[{"type":"identify","writeKey":"wk_signed"}],"writeKey":"wk_website"}`, "website", ""},
		"item as last resort":  {"", "/v1/batch", `{"batch":[null,{"type":"identify","writeKey":"wk_signed"}]}`, "signed", ""},
		"wrong item":           {"", "/v1/batch", `{"batch":[{"type":"identify","writeKey":"` + marker + `"}]}`, "", "unknown_write_key"},
		"empty batch, no key":  {"", "/v1/batch", `{"batch":[]}`, "", "missing_write_key"},
		"basic beats envelope": {"Basic " + encode([]byte(key+":")), "/v1/batch", `{"batch":[{"type":"identify"}],"writeKey":"` + marker + `"}`, "website", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			w := d.do(request(tt.path, tt.body, header("Authorization", tt.authorization)))
			if tt.source == "" {
				wantRefused(t, w, http.StatusUnauthorized, tt.code)
				d.wantCounted(t, `freshrelay_requests_rejected_total{reason="unauthorized"}`, "1")
				return
			}
			wantOK(t, w)
			r := d.store.only(t)
			if r.Source != tt.source || strings.Contains(string(r.Body), "writeKey") {
				t.Errorf("stored for %s: %s", r.Source, r.Body)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const body = `{"userId":"u-1"}`
	tests := map[string]*http.Request{
		"text/plain":       request("/v1/identify", body, basic(key), header("Content-Type", "text/plain")),
		"no content type":  request("/v1/identify", body, basic(key)),
		"leading space":    request("/v1/identify", " \n\t"+body+"\r\n", basic(key)),
		"gzip":             request("/v1/identify", zip(t, body), basic(key), header("Content-Encoding", "GZIP")),
		"gzip in two":      request("/v1/identify", zip(t, body[:5])+zip(t, body[5:]), basic(key), header("Content-Encoding", "x-gzip")),
		"chunked":          request("/v1/identify", "", basic(key), chunked(body)),
		"chunked and gzip": request("/v1/identify", "", basic(key), header("Content-Encoding", "gzip"), chunked(zip(t, body))),
		"identity":         request("/v1/identify", body, basic(key), header("Content-Encoding", "identity")),
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			wantOK(t, d.do(r))
			if got := string(d.store.only(t).Body); got != `{"userId":"u-1","type":"identify"}` {
				t.Errorf("stored %s", got)
			}
		})
	}
}

func chunked(body string) option {
	return func(r *http.Request) {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(body[:3]), strings.NewReader(body[3:])))
		r.ContentLength = -1
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	wantOK(t, d.post("/v1/batch", `{"batch":[
		{"type":"identify","messageId":"a","userId":"u-1","context":{"library":{"version":"9"},"ip":null},"sentAt":"item"},
		{"type":"track","event":"x"},
		{"type":"group","messageId":"b","userId":"u-1","groupId":"g","integrations":{"all":true},"writeKey":"k"},
		null, "text", 7, [], {}, {"type":"nonsense"}, {"type":["identify"]}, {"type":"delete","userId":"u-1"},
		{"type":"page"}, {"type":"screen"},
		{"type":"IDENTIFY","messageId":"c","userId":"u-2"}
	],"context":{"library":{"name":"go","version":"3"},"ip":"127.0.0.1"},"integrations":{"All":false},"sentAt":"envelope"}`))
	type line struct{ ID, Type, SentAt, Body string }
	var got []line
	for _, r := range d.store.stored(t) {
		got = append(got, line{r.MessageID, string(r.Type), r.SentAt, string(r.Body)})
	}
	want := []line{
		{"a", "identify", "item", `{"type":"identify","messageId":"a","userId":"u-1","context":{"library":{"version":"9","name":"go"},"ip":null},"sentAt":"item","integrations":{"All":false}}`},
		{"b", "group", "envelope", `{"type":"group","messageId":"b","userId":"u-1","groupId":"g","integrations":{"all":true,"All":false},"context":{"library":{"name":"go","version":"3"},"ip":"127.0.0.1"}}`},
		{"c", "identify", "envelope", `{"type":"IDENTIFY","messageId":"c","userId":"u-2","context":{"library":{"name":"go","version":"3"},"ip":"127.0.0.1"},"integrations":{"All":false}}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	d.wantCounted(t, dropped("track", "not_forwarded"), "1")
	d.wantCounted(t, dropped("page", "not_forwarded"), "1")
	d.wantCounted(t, dropped("screen", "screen"), "1")
	d.wantCounted(t, dropped("delete", "invalid_type"), "1")
	d.wantCounted(t, `freshrelay_events_received_total{source="website",type="other"}`, "7")
	d.wantCounted(t, `freshrelay_events_received_total{source="website",type="identify"}`, "2")
}

func TestBatchSamples(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	body := strings.Replace(sample(t, "39-http-batch-analytics-python.json"), "WK_DEMO_0001", key, 1)
	wantOK(t, d.do(request("/v1/batch", body)))
	r := d.store.only(t)
	if r.UserID != "480018" || r.SentAt != "2026-03-02T09:10:43.120394+00:00" {
		t.Errorf("stored %+v", r)
	}
	d = newDoor(t)
	body = strings.Replace(sample(t, "18-batch-duplicate-messageid.json"), "WK_DEMO_0001", key, 1)
	wantOK(t, d.do(request("/v1/batch/", body)))
	var ids []string
	for _, r := range d.store.stored(t) {
		ids = append(ids, r.MessageID)
	}
	if diff := cmp.Diff([]string{"dup-55d1", "dup-55d1", "dup-55d2"}, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

func TestEmptyBatchStoresNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	wantOK(t, d.post("/v1/batch", `{"batch":[]}`))
	wantOK(t, d.post("/v1/batch", `{"batch":[null,{"type":"track"}]}`))
	if d.store.calls != 0 {
		t.Errorf("the store was called %d times for nothing", d.store.calls)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	event := func(size int) string {
		const frame = `{"userId":"u-1","traits":{"x":""}}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	batch := func(size int) string {
		const frame = `{"batch":[{"type":"identify","userId":"u-1"}],"pad":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	d := newDoor(t)
	wantOK(t, d.post("/v1/identify", sample(t, "10-identify-large-ok-32000.json")))
	wantOK(t, d.post("/v1/identify", event(segment.MaxEventBytes)))
	wantOK(t, d.post("/v1/identify", "\n\n"+event(segment.MaxEventBytes)+" "))
	wantOK(t, d.post("/v1/batch", batch(segment.MaxBatchBytes)))
	for name, r := range map[string]*http.Request{
		"sample":     request("/v1/identify", sample(t, "11-identify-oversize-40k.json"), basic(key)),
		"event":      request("/v1/identify", event(segment.MaxEventBytes+1), basic(key)),
		"batch":      request("/v1/batch", batch(segment.MaxBatchBytes+1), basic(key)),
		"far beyond": request("/v1/batch", batch(4<<20), basic(key)),
		"chunked":    request("/v1/batch", "", basic(key), chunked(batch(2<<20))),
		"gzip":       request("/v1/identify", zip(t, event(segment.MaxEventBytes+1)), basic(key), header("Content-Encoding", "gzip")),
		"bomb":       request("/v1/identify", zip(t, strings.Repeat(" ", 4<<20)), basic(key), header("Content-Encoding", "gzip")),
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, d.do(r), http.StatusBadRequest, "payload_too_large") })
	}
	if got := len(d.store.stored(t)); got != 4 {
		t.Errorf("%d events stored, want 4", got)
	}
}

func TestOneBadEventDoesNotSinkItsBatch(t *testing.T) {
	t.Parallel()
	deep := `{"type":"identify","traits":` + strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 70) + `}`
	keys := `{"type":"identify","traits":{"k":0` + strings.Repeat(`,"":0`, segment.MaxKeys) + `}}`
	large := `{"type":"identify","traits":{"x":"` + strings.Repeat("x", segment.MaxEventBytes) + `"}}`
	const good = `{"type":"identify","userId":"u-1"}`
	d := newDoor(t)
	wantOK(t, d.post("/v1/batch", `{"batch":[`+strings.Join([]string{deep, keys, large, good}, ",")+`]}`))
	d.store.only(t)

	wantRefused(t, d.post("/v1/identify", deep), http.StatusBadRequest, "too_complex")

	// In a webhook they fit by size, so the other limits show.
	d = newDoor(t)
	huge := `{"type":"identify","traits":{"x":"` + strings.Repeat("x", segment.MaxWebhookEventBytes) + `"}}`
	wantOK(t, d.post("/webhook/website", `[`+strings.Join([]string{deep, keys, huge, large, good}, ",")+`]`))
	if got := len(d.store.stored(t)); got != 2 {
		t.Errorf("%d events stored, want 2", got)
	}
	wantRefused(t, d.post("/webhook/website", deep), http.StatusBadRequest, "too_complex")
	wantRefused(t, d.post("/webhook/website", keys), http.StatusBadRequest, "too_complex")
	wantRefused(t, d.post("/webhook/website", huge), http.StatusRequestEntityTooLarge, "payload_too_large")
}

func TestTooManyEvents(t *testing.T) {
	t.Parallel()
	events := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"type":"group","userId":"%d"}`, i)
		}
		return strings.Join(list, ",")
	}
	d := newDoor(t)
	wantOK(t, d.post("/v1/batch", `{"batch":[`+events(segment.MaxBatchEvents+3)+`]}`))
	list := d.store.stored(t)
	if len(list) != segment.MaxBatchEvents {
		t.Fatalf("%d events stored, want %d", len(list), segment.MaxBatchEvents)
	}
	for i, r := range list {
		if r.UserID != fmt.Sprint(i) {
			t.Fatalf("event %d is of user %s: the order is lost", i, r.UserID)
		}
	}
	d.wantCounted(t, dropped("other", "batch_overflow"), "3")

	d = newDoor(t)
	wantOK(t, d.post("/webhook/website", `[`+events(segment.MaxWebhookEvents)+`]`))
	wantRefused(t, d.post("/webhook/website", `[`+events(segment.MaxWebhookEvents+1)+`]`),
		http.StatusRequestEntityTooLarge, "payload_too_large")
}

// What a batch shares is copied into every event: it must not become a way to fill the disk.
func TestSharedContextCannotMultiply(t *testing.T) {
	t.Parallel()
	events := func(n int) string {
		return strings.TrimSuffix(strings.Repeat(`{"type":"identify","userId":"u-1"},`, n), ",")
	}
	context := func(size int) string { return `{"x":"` + strings.Repeat("x", size) + `"}` }
	d := newDoor(t)
	wantOK(t, d.post("/v1/batch", `{"batch":[`+events(2500)+`],"context":`+context(1<<10)+`}`))
	wantRefused(t, d.post("/v1/batch", `{"batch":[`+events(2500)+`],"context":`+context(16<<10)+`}`),
		http.StatusBadRequest, "payload_too_large")
	deep := strings.Repeat(`{"a":`, 64) + `1` + strings.Repeat(`}`, 64)
	wantRefused(t, d.post("/v1/batch", `{"batch":[`+events(1)+`],"context":`+deep+`}`),
		http.StatusBadRequest, "too_complex")
	// One event that no pack could hold, by what it shares.
	d = newDoor(t)
	wantOK(t, d.post("/v1/batch", `{"batch":[`+events(1)+`],"context":`+context(segment.MaxBatchBytes-200)+`}`))
	if got := len(d.store.stored(t)); got != 0 {
		t.Errorf("%d events stored, want 0", got)
	}
	d.wantCounted(t, dropped("identify", "too_large"), "1")
}

func TestMessageIDs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", segment.MaxMessageIDBytes/2)
	id := func(value string) string {
		d := newDoor(t)
		wantOK(t, d.post("/v1/identify", `{"userId":"u-1","messageId":`+value+`}`))
		r := d.store.only(t)
		if want := `"messageId":` + value; !strings.Contains(string(r.Body), want) {
			t.Errorf("the body's own messageId was changed: %.80s", r.Body)
		}
		return r.MessageID
	}
	for value, want := range map[string]string{`"m 1"`: "m 1", `17.0`: "17", `"` + long + `"`: long} {
		if got := id(value); got != want {
			t.Errorf("message id %.40s became %.40s", value, got)
		}
	}
	seen := map[string]bool{}
	for _, value := range []string{`null`, `""`, `"  "`, `[]`, `null`} {
		got := id(value)
		if _, err := uuid.Parse(got); err != nil || seen[got] {
			t.Errorf("message id %s became %q, want a new uuid", value, got)
		}
		seen[got] = true
	}
	first, again, other := id(`"`+long+`x"`), id(`"`+long+`x"`), id(`"`+long+`y"`)
	if first != again || first == other || len(first) > 100 {
		t.Errorf("overlong message ids became %q, %q and %q", first, again, other)
	}
}
