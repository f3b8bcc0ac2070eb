package freshmarketer

import (
	"encoding/json"
	"testing"
)

func TestShapeKeepsFormAndDropsContent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ body, want string }{
		{
			`{"contact":{"id":70042006456,"email":"ada@example.com","custom_field":{"cf_salary":"9000","cf_b":1.5},"tags":["x","y"],"city":""}}`,
			`{"contact":{"city":"empty text","custom_field":{"cf_*":"number"},"email":"text","id":"integer of 11 digits","tags":["text","2 in all"]}}`,
		},
		{
			`{"ada@example.com":{"a":null},"created_at":"2022-08-09T03:22:12-04:00","mcr_id":"123","ok":true,"none":[]}`,
			`{"*":{"a":null},"created_at":"time as text","mcr_id":"text of digits","none":[],"ok":"boolean"}`,
		},
		{`true`, `"boolean"`},
		{`null`, `null`},
		{``, `"empty"`},
		{`<html>Ada</html>`, `"HTML or XML, 16 bytes"`},
		{`Ada was here`, `"no JSON, 12 bytes"`},
		{`{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}`, `{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":"…"}}}}}}}}`},
	} {
		got, err := json.Marshal(Shape([]byte(tc.body)))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s\n got %s %v\nwant %s", tc.body, got, err, tc.want)
		}
	}
}
