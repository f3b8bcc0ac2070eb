package segment

import (
	"encoding/json"
	"testing"
)

// FuzzHeader holds the line that Encode writes against json.Marshal.
func FuzzHeader(f *testing.F) {
	f.Add("web", "2026-11-23T10:10:11Z", "m-1", true)
	f.Add("web", "", "a<b>&\"\\\u2028\x7f\n\xff", false)
	f.Fuzz(func(t *testing.T, source, sentAt, id string, addressed bool) {
		h := header{
			Version: version, Source: source, Surface: SurfaceTracking, At: "2026-11-23T10:10:11.123456789Z", SentAt: sentAt,
			Type: Identify, MessageID: id, Addressed: addressed,
		}
		want, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.append(nil); string(got) != string(want) {
			t.Errorf("append = %s, want %s", got, want)
		}
	})
}
