package segment

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestEdit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ body, path, value, want string }{
		{`{"userId":"a","traits":{"plan":"Gold+", "n":1.50}}`, "traits.plan", `"Gold"`, `{"userId":"a","traits":{"plan":"Gold","n":1.50}}`},
		{`{"traits":{"plan":"x"}}`, "traits.plan", `null`, `{"traits":{"plan":null}}`},
		{`{"traits":{"plan":"x","a":1}}`, "traits.plan", "", `{"traits":{"a":1}}`},
		{`{"traits":{"a":1}}`, "traits.plan.name", "", `{"traits":{"a":1}}`},
		{`{"traits":{"a":1}}`, "traits.address.city", `"Porto"`, `{"traits":{"a":1,"address":{"city":"Porto"}}}`},
		{`{"traits":7}`, "traits.plan", `true`, `{"traits":{"plan":true}}`},
		{`{}`, `traits.a\.b`, `[1]`, `{"traits":{"a.b":[1]}}`},
		{`{"traits":{"a":1,"a":2}}`, "traits.a", `3`, `{"traits":{"a":3}}`},
	} {
		var value json.RawMessage
		if tt.value != "" {
			value = json.RawMessage(tt.value)
		}
		got, err := Edit([]byte(tt.body), tt.path, value)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s at %s: %s, %v", tt.body, tt.path, got, err)
		}
	}
}

// TestEditLeavesThePlaceOfACallAlone: who a call is about, and when it happened, is not for editing.
func TestEditLeavesThePlaceOfACallAlone(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "traits", "userId", "timestamp", "messageId", "type", "userId.x", "traits.", ".traits", "traits..a", "sentAt.x"} {
		if got, err := Edit([]byte(`{"userId":"a"}`), path, json.RawMessage(`1`)); !errors.Is(err, ErrPath) {
			t.Errorf("%q: %s, %v", path, got, err)
		}
	}
	if _, err := Edit([]byte(`{"traits":{}}`), "traits.a", json.RawMessage(`{`)); !errors.Is(err, ErrPath) {
		t.Error(err)
	}
	if _, err := Edit([]byte(`{"traits":`), "traits.a", json.RawMessage(`1`)); err == nil {
		t.Error("half an object is edited")
	}
}

// FuzzEdit: what comes out of valid JSON is valid JSON and has the value where it was put.
func FuzzEdit(f *testing.F) {
	f.Add(`{"traits":{"a":1}}`, "traits.a.b", `"x"`)
	f.Fuzz(func(t *testing.T, body, path, value string) {
		if !json.Valid([]byte(body)) || !json.Valid([]byte(value)) {
			return
		}
		got, err := Edit([]byte(body), path, json.RawMessage(value))
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Errorf("%s with %s at %s becomes %s", body, value, path, got)
		}
		parts, _ := EditPath(path)
		at := got
		for _, part := range parts {
			o, err := ParseObject(at)
			if err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			at = o.Get(part)
		}
		if string(Trim(at)) != string(Trim([]byte(value))) {
			t.Errorf("%s at %s is %s", value, path, at)
		}
	})
}
