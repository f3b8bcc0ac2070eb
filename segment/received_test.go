package segment_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/segment"
)

var arrival = time.Date(2026, 3, 2, 9, 15, 5, 123456789, time.UTC)

func received(body string) segment.Received {
	return segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: arrival, Type: segment.Identify,
		MessageID: "m-1", Body: []byte(body),
	}
}

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	tests := map[string]segment.Received{
		"plain": received(`{"userId":"u-1","traits":{"n":4.80017e5}}`),
		"newlines in body and id": {
			Source: "a\nb", Surface: segment.SurfaceTracking, At: arrival, SentAt: "2026-03-02T09:10:43.120394+00:00",
			Type: segment.Group, MessageID: "<id>\n\u2028&", UserID: " u ", Body: []byte("{\n\"userId\": \" u \"\n}"),
		},
		"no user": received(`{"userId":null}`),
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if want.UserID == "" && strings.Contains(string(want.Body), "u-1") {
				want.UserID = "u-1"
			}
			got, err := segment.Decode(want.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
		})
	}
}

// The stored form is read by later versions of the program: a change here needs a new version number.
func TestEncodeGolden(t *testing.T) {
	t.Parallel()
	r := received(`{"userId":"u-1"}`)
	r.SentAt = "2026-03-02T09:15:04Z"
	const want = `{"v":1,"src":"website","surface":"webhook","at":"2026-03-02T09:15:05.123456789Z",` +
		`"sent_at":"2026-03-02T09:15:04Z","type":"identify","id":"m-1"}` + "\n" + `{"userId":"u-1"}`
	if got := string(r.Encode()); got != want {
		t.Errorf("stored form =\n%s\nwant\n%s", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	valid := string(received(`{"userId":"secret-user"}`).Encode())
	tests := map[string]struct {
		in   string
		want error
	}{
		"nothing":        {"", segment.ErrCorrupt},
		"no newline":     {strings.ReplaceAll(valid, "\n", " "), segment.ErrCorrupt},
		"no header":      {"\n{}", segment.ErrCorrupt},
		"header cut":     {valid[20:], segment.ErrCorrupt},
		"body cut":       {valid[:len(valid)-1], segment.ErrCorrupt},
		"body missing":   {valid[:strings.IndexByte(valid, '\n')+1], segment.ErrCorrupt},
		"body no object": {valid[:strings.IndexByte(valid, '\n')+1] + `["secret-user"]`, segment.ErrCorrupt},
		"newer version":  {strings.Replace(valid, `"v":1`, `"v":2`, 1), segment.ErrVersion},
		"no version":     {strings.Replace(valid, `"v":1`, `"v":0`, 1), segment.ErrCorrupt},
		"no source":      {strings.Replace(valid, `"website"`, `""`, 1), segment.ErrCorrupt},
		"no surface":     {strings.Replace(valid, `"webhook"`, `"secret-user"`, 1), segment.ErrCorrupt},
		"no type":        {strings.Replace(valid, `"identify"`, `"Identify"`, 1), segment.ErrCorrupt},
		"no time":        {strings.Replace(valid, `"2026-`, `"secret-user`, 1), segment.ErrCorrupt},
		"no message id":  {strings.Replace(valid, `"m-1"`, `""`, 1), segment.ErrCorrupt},
		"wrong kind":     {strings.Replace(valid, `"m-1"`, `7`, 1), segment.ErrCorrupt},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := segment.Decode([]byte(tt.in))
			if !errors.Is(err, tt.want) {
				t.Fatalf("error = %v, want %v", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows content: %v", err)
			}
		})
	}
}

func TestEventOfNonObject(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `[]`, `{"traits":{"a":tru}}`, `{"traits":{"a":[1,}}`, `{"context":{"traits":{"a":+1}}}`} {
		if _, err := received(body).Event(); !errors.Is(err, segment.ErrCorrupt) {
			t.Errorf("Event of %q: error = %v, want ErrCorrupt", body, err)
		}
	}
}

// FuzzDecode checks that Decode survives anything, and that what it accepts encodes and decodes to the same call.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(""))
	f.Add(received(`{"userId":480017.0}`).Encode())
	f.Add(received("{\n\"userId\":null}").Encode())
	f.Add([]byte("{\"v\":1}\n{}"))
	f.Add([]byte("{\"v\":9}\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := segment.Decode(b)
		if err != nil {
			if !errors.Is(err, segment.ErrCorrupt) && !errors.Is(err, segment.ErrVersion) {
				t.Fatalf("untyped error: %v", err)
			}
			return
		}
		again, err := segment.Decode(r.Encode())
		if err != nil {
			t.Fatalf("decoding again: %v", err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("decoded again it differs:\n%s", diff)
		}
		if _, err := r.Event(); err != nil {
			t.Fatalf("Event of a decoded call: %v", err)
		}
	})
}

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
