package ingest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/segment"
)

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	var file struct {
		Vectors []struct {
			File      string `json:"file"`
			Signature string `json:"x_signature"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal([]byte(sample(t, "signature-vectors.json")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 3 {
		t.Fatalf("%d vectors, want 3", len(file.Vectors))
	}
	users := map[string][]string{
		"01-identify-create.json":              {"cust-1001"},
		"36-webhook-actions-batch.json":        {"cust-1013", "cust-1014", "cust-1016"},
		"37-webhook-actions-batch-of-one.json": {"cust-1017"},
	}
	for _, v := range file.Vectors {
		t.Run(v.File, func(t *testing.T) {
			t.Parallel()
			body := sample(t, v.File)
			signature := header("X-Signature", v.Signature)
			for _, source := range []string{"signed", "secret-only"} {
				d := newDoor(t)
				wantOK(t, d.do(request("/webhook/"+source, body, signature)))
				var got []string
				for _, r := range d.store.stored(t) {
					if r.Source != source || r.Surface != segment.SurfaceWebhook {
						t.Errorf("stored for %s, %s", r.Source, r.Surface)
					}
					got = append(got, r.UserID)
				}
				if diff := cmp.Diff(users[v.File], got); diff != "" {
					t.Errorf("users (-want +got):\n%s", diff)
				}
			}
			d := newDoor(t)
			wantRefused(t, d.do(request("/webhook/signed", reserialised(t, body), signature)), http.StatusUnauthorized, "bad_signature")
			wantRefused(t, d.do(request("/webhook/signed", strings.Replace(body, "@", "+@", 1), signature)), http.StatusUnauthorized, "bad_signature")
			d.wantCounted(t, `freshrelay_requests_rejected_total{reason="bad_signature"}`, "2")
			if n := len(d.store.stored(t)); n != 0 {
				t.Errorf("%d events stored of refused requests", n)
			}
		})
	}
}

// reserialised is the same JSON value, written by another writer.
func reserialised(t *testing.T, body string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	const body = `{"type":"identify","userId":"u-1"}`
	tests := map[string]struct {
		body    string
		options []option
		code    string // "" = accepted
	}{
		"first secret":            {body, []option{sign("new-secret", body)}, ""},
		"second secret":           {body, []option{sign(secret, body)}, ""},
		"spaces belong to it":     {" " + body + "\n", []option{sign(secret, " "+body+"\n")}, ""},
		"spaces left out":         {" " + body, []option{sign(secret, body)}, "bad_signature"},
		"other secret":            {body, []option{sign(marker, body)}, "bad_signature"},
		"missing":                 {body, nil, "missing_signature"},
		"write key instead":       {body, []option{basic("wk_signed")}, "missing_signature"},
		"not hex":                 {body, []option{header("X-Signature", marker)}, "bad_signature"},
		"too short":               {body, []option{header("X-Signature", "ab")}, "bad_signature"},
		"array, first element":    {" [ " + body + " , 7]", []option{sign(secret, body)}, ""},
		"array, all of it":        {"[" + body + "]", []option{sign(secret, "["+body+"]")}, "bad_signature"},
		"array, second element":   {"[7," + body + "]", []option{sign(secret, body)}, "bad_signature"},
		"empty array":             {"[]", []option{sign(secret, "")}, "bad_signature"},
		"signed but malformed":    {body + "}", []option{sign(secret, body+"}")}, "malformed_json"},
		"array signed, malformed": {"[" + body + ",]", []option{sign(secret, body)}, "malformed_json"},
		"signed number":           {"7", []option{sign(secret, "7")}, "not_an_object"},
		"signed and zipped":       {zip(t, body), []option{sign(secret, body), header("Content-Encoding", "gzip")}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			w := d.do(request("/webhook/signed", tt.body, tt.options...))
			switch tt.code {
			case "":
				wantOK(t, w)
				d.store.only(t)
			case "malformed_json", "not_an_object":
				wantRefused(t, w, http.StatusBadRequest, tt.code)
			default:
				wantRefused(t, w, http.StatusUnauthorized, tt.code)
			}
		})
	}
}

// Whoever has one signed request could put events after its first one.
func TestUnsignedElements(t *testing.T) {
	t.Parallel()
	const (
		identify = `{"type":"identify","userId":"u-1"}`
		del      = `{"type":"delete","userId":"u-1"}`
		alias    = `{"type":"alias","userId":"u-1","previousId":"u-0"}`
	)
	types := func(d *door) (list []segment.Type) {
		for _, r := range d.store.stored(t) {
			list = append(list, r.Type)
		}
		return list
	}
	all := strings.Join([]string{del, alias, identify, del}, ",")
	d := newDoor(t)
	wantOK(t, d.do(request("/webhook/signed", `[`+all+`]`, sign(secret, del))))
	if diff := cmp.Diff([]segment.Type{segment.Delete, segment.Identify}, types(d)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	d.wantCounted(t, dropped("alias", "unsigned"), "1")
	d.wantCounted(t, dropped("delete", "unsigned"), "1")

	// A write key stands for the whole request.
	d = newDoor(t)
	wantOK(t, d.post("/webhook/website", `[`+all+`]`))
	if got := len(types(d)); got != 4 {
		t.Errorf("%d events stored, want 4", got)
	}
}

func TestWebhookWithWriteKey(t *testing.T) {
	t.Parallel()
	body := sample(t, "01-identify-create.json")
	d := newDoor(t)
	for _, m := range []string{http.MethodPost, http.MethodPut, http.MethodPatch} {
		wantOK(t, d.do(request("/webhook/website/", body, basic(key), method(m))))
	}
	wantOK(t, d.do(request("/webhook/website", body, basic("wk_second"))))
	for _, r := range d.store.stored(t) {
		if r.Surface != segment.SurfaceWebhook || string(r.Body) != body {
			t.Errorf("stored %s %s", r.Surface, r.Body)
		}
	}
	for code, options := range map[string][]option{
		"missing_write_key": nil,
		"unknown_write_key": {basic("wk_signed")}, // a good key, but another source's
		"bad_authorization": {header("Authorization", "Basic !")},
	} {
		w := d.do(request("/webhook/website", `{"writeKey":"wk_website"}`, options...))
		wantRefused(t, w, http.StatusUnauthorized, code)
	}
}

func TestWebhookKeepsEventsAsTheyAre(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]segment.Type{
		"33-group.json": segment.Group, "34-alias.json": segment.Alias, "35-delete.json": segment.Delete,
		"17-identify-userid-blank.json": segment.Identify, "11-identify-oversize-40k.json": segment.Identify,
		"27-engage-audience-track.json": "", "32-screen.json": "", "31-page-analyticsjs-shape.json": "",
	} {
		d := newDoor(t)
		wantOK(t, d.post("/webhook/website", sample(t, file)))
		if want == "" {
			if n := len(d.store.stored(t)); n != 0 {
				t.Errorf("%s: %d events stored", file, n)
			}
			continue
		}
		r := d.store.only(t)
		if r.Type != want || string(r.Body) != strings.TrimSpace(sample(t, file)) {
			t.Errorf("%s: stored %s, %s", file, r.Type, r.Body)
		}
	}
	d := newDoor(t)
	wantOK(t, d.post("/webhook/website", `{"userId":"u-1","traits":{"email":"a@example.test"}}`))
	d.wantCounted(t, dropped("other", "invalid_type"), "1")
	wantOK(t, d.post("/webhook/website", `{"type":"identify","a":1.0,"writeKey":"k"}`))
	if got := string(d.store.only(t).Body); got != `{"type":"identify","a":1.0}` {
		t.Errorf("stored %s", got)
	}
}

func TestIntegrationNames(t *testing.T) {
	t.Parallel()
	const body = `{"type":"identify","userId":"u-1","integrations":{"All":false,"Relay (acme)":true}}`
	cfg := ingest.Config{Sources: []ingest.Source{{Name: "website", WriteKeys: []string{key}, IntegrationNames: []string{"Relay (acme)"}}}}
	for path, disabled := range map[string]bool{"/webhook/website": false, "/v1/identify": true} {
		d := newDoorWith(t, cfg)
		wantOK(t, d.post(path, body))
		if got := see(t, d.store.only(t)).Disabled; got != disabled {
			t.Errorf("%s: Disabled = %v", path, got)
		}
	}
	d := newDoor(t)
	wantOK(t, d.post("/webhook/website", body))
	if !see(t, d.store.only(t)).Disabled {
		t.Error("a stranger's name counts without being configured")
	}
}
