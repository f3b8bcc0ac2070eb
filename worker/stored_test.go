package worker

import (
	"encoding/json"
	"testing"
)

func TestAlike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sent any
		got  string
		want bool
	}{
		{"Growth", `"growth"`, true},
		{"  two\n words ", `"two words"`, true},
		{json.Number("12"), `12.0`, true},
		{json.Number("12"), `"12"`, true},
		{json.Number("1.50"), `1.5`, true},
		{true, `"true"`, true},
		{"2026-01-02", `"2026-01-02T00:00:00Z"`, true},
		{"2026-01-02T10:00:00Z", `"2026-01-02T05:00:00-05:00"`, true},
		{"growth", `"free"`, false},
		{json.Number("12"), `13`, false},
		{json.Number("1"), `true`, false},
		{false, `true`, false},
		{"2026-01-02", `"2026-01-03T00:00:00Z"`, false},
		{"growth", `["growth"]`, false},
	} {
		if got := alike(c.sent, json.RawMessage(c.got)); got != c.want {
			t.Errorf("%v and %s: %v", c.sent, c.got, got)
		}
	}
}
