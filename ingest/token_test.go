package ingest_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/segment"
)

func types(t *testing.T, d *door) (list []segment.Type) {
	t.Helper()
	for _, r := range d.store.stored(t) {
		list = append(list, r.Type)
	}
	return list
}

// TestBatchToken: the signature of an array covers its first event; the token speaks for the others.
func TestBatchToken(t *testing.T) {
	t.Parallel()
	const (
		one   = `{"type":"delete","userId":"u-1"}`
		array = `[` + one + `,` + `{"type":"alias","userId":"u-1","previousId":"u-0"},{"type":"identify","userId":"u-1"},` + one + `]`
	)
	all := []segment.Type{segment.Delete, segment.Alias, segment.Identify, segment.Delete}
	covered := []segment.Type{segment.Delete, segment.Identify}
	inHeader := header("X-Freshrelay-Token", token)
	tests := map[string]struct {
		path, body string
		options    []option
		stored     []segment.Type
		code       string // "" = accepted
	}{
		"none":                          {"/webhook/tokened", array, nil, covered, ""},
		"header":                        {"/webhook/tokened", array, []option{inHeader}, all, ""},
		"path":                          {"/webhook/tokened/" + token, array, nil, all, ""},
		"path with slash":               {"/webhook/tokened/" + token + "/", array, nil, all, ""},
		"both":                          {"/webhook/tokened/" + token, array, []option{inHeader}, all, ""},
		"wrong":                         {"/webhook/tokened", array, []option{header("X-Freshrelay-Token", token+"0")}, nil, "bad_batch_token"},
		"wrong path":                    {"/webhook/tokened/" + token[1:], array, nil, nil, "bad_batch_token"},
		"right path, wrong header":      {"/webhook/tokened/" + token, array, []option{header("X-Freshrelay-Token", "x")}, nil, "bad_batch_token"},
		"wrong, though one event":       {"/webhook/tokened", one, []option{header("X-Freshrelay-Token", "x")}, nil, "bad_batch_token"},
		"token but no signature":        {"/webhook/tokened", array, []option{inHeader, header("X-Signature", "")}, nil, "missing_signature"},
		"token but bad signature":       {"/webhook/tokened", array, []option{inHeader, sign("x", one)}, nil, "bad_signature"},
		"empty path token":              {"/webhook/tokened//", array, nil, nil, "not_found"},
		"token where there is none":     {"/webhook/signed/" + token, array, nil, nil, "not_found"},
		"header where there is none":    {"/webhook/signed", array, []option{inHeader}, covered, ""},
		"required, none":                {"/webhook/strict", array, nil, nil, "missing_batch_token"},
		"required, header":              {"/webhook/strict", array, []option{inHeader}, all, ""},
		"required, path":                {"/webhook/strict/" + token, array, nil, all, ""},
		"required, not for one":         {"/webhook/strict", one, nil, all[:1], ""},
		"required, not for array of 1":  {"/webhook/strict", "[" + one + "]", nil, all[:1], ""},
		"required, even for junk":       {"/webhook/strict", "[" + one + ",null]", nil, nil, "missing_batch_token"},
		"required, wrong":               {"/webhook/strict/" + marker, array, nil, nil, "bad_batch_token"},
		"required, key is not a token":  {"/webhook/strict", array, []option{basic(token)}, nil, "missing_batch_token"},
		"required, token as body field": {"/webhook/strict", "[" + one + `,{"token":"` + token + `"}]`, nil, nil, "missing_batch_token"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			w := d.do(request(tt.path, tt.body, append([]option{sign(secret, one)}, tt.options...)...))
			switch tt.code {
			case "":
				wantOK(t, w)
			case "not_found":
				wantRefused(t, w, http.StatusNotFound, tt.code)
			default:
				wantRefused(t, w, http.StatusUnauthorized, tt.code)
			}
			if diff := cmp.Diff(tt.stored, types(t, d)); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			wantNoContent(t, d, w)
		})
	}
}

// TestExtensibleWebhook: its arrays wrap each event, and its signature is over the event without the wrapper.
func TestExtensibleWebhook(t *testing.T) {
	t.Parallel()
	const (
		one  = `{"type":"identify","userId":"u-1","traits":{"2":1.0}}`
		two  = `{"type":"group","userId":"u-2"}`
		wrap = `[{"json":` + one + `},{"json":` + two + `}]`
	)
	tests := map[string]struct {
		body, signed string
		users        []string
		code         string
	}{
		"as Segment does":            {wrap, one, []string{"u-1", "u-2"}, ""},
		"signed with its wrapper":    {wrap, `{"json":` + one + `}`, []string{"u-1", "u-2"}, ""},
		"with spaces":                {` [ { "json" : ` + one + ` } , ` + two + ` ] `, one, []string{"u-1", "u-2"}, ""},
		"one alone":                  {`{"json":` + one + `}`, `{"json":` + one + `}`, []string{"u-1"}, ""},
		"array of one":               {`[{"json":` + one + `}]`, one, []string{"u-1"}, ""},
		"unwrapped":                  {`[` + one + `,` + two + `]`, one, []string{"u-1", "u-2"}, ""},
		"second signed":              {wrap, two, nil, "bad_signature"},
		"something beside it":        {`[{"json":` + one + `,"type":"delete","userId":"u-9"}]`, one, nil, "bad_signature"},
		"two of them":                {`[{"json":` + one + `,"json":` + two + `}]`, one, nil, "bad_signature"},
		"wrapped twice":              {`[{"json":{"json":` + one + `}}]`, one, nil, "bad_signature"},
		"wrapper of a string":        {`[{"json":"x"}]`, `"x"`, nil, "bad_signature"},
		"other key":                  {`[{"JSON":` + one + `}]`, one, nil, "bad_signature"},
		"an unsigned delete, hidden": {`[{"json":` + one + `},{"json":{"type":"delete","userId":"u-9"}}]`, one, []string{"u-1"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			w := d.do(request("/webhook/signed", tt.body, sign(secret, tt.signed)))
			if tt.code == "" {
				wantOK(t, w)
			} else {
				wantRefused(t, w, http.StatusUnauthorized, tt.code)
			}
			var users []string
			for _, r := range d.store.stored(t) {
				users = append(users, r.UserID)
			}
			if diff := cmp.Diff(tt.users, users); diff != "" {
				t.Errorf("users (-want +got):\n%s", diff)
			}
		})
	}
	// The bytes inside stay as they are.
	d := newDoor(t)
	wantOK(t, d.post("/webhook/website", `[{"json": `+one+`}]`))
	if got := string(d.store.only(t).Body); got != one {
		t.Errorf("stored %s", got)
	}
	// A client library knows no wrapper: there it is an event without traits.
	d = newDoor(t)
	wantOK(t, d.post("/v1/identify", `{"json":`+one+`}`))
	if got := d.store.only(t); got.UserID != "" {
		t.Errorf("unwrapped on the Tracking API: %s", got.Body)
	}
}

func TestWebhookWithBearer(t *testing.T) {
	t.Parallel()
	const body = `{"type":"identify","userId":"u-1"}`
	for authorization, want := range map[string]string{
		"Bearer " + key:    "",
		"bearer  " + key:   "",
		"Bearer wk_signed": "unknown_write_key", // another source's
		"Bearer " + marker: "unknown_write_key",
		"Bearer ":          "missing_write_key",
		"Token " + key:     "missing_write_key",
	} {
		d := newDoor(t)
		w := d.do(request("/webhook/website", body, header("Authorization", authorization)))
		if want == "" {
			wantOK(t, w)
			d.store.only(t)
			continue
		}
		wantRefused(t, w, http.StatusUnauthorized, want)
	}
	d := newDoor(t)
	wantRefused(t, d.do(request("/webhook/signed", body, header("Authorization", "Bearer wk_signed"))), 401, "missing_signature")
}
