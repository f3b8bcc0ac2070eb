package segment

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzHeader holds the line that AppendTo writes against json.Marshal.
func FuzzHeader(f *testing.F) {
	f.Add("web", "2026-11-23T10:10:11Z", "m-1", true)
	f.Add("web", "", "a<b>&\"\\\u2028\x7f\n\xff", false)
	f.Fuzz(func(t *testing.T, source, sentAt, id string, addressed bool) {
		const at = "2026-11-23T10:10:11.123456789Z"
		want, err := json.Marshal(header{
			Version: version, Source: source, Surface: SurfaceTracking, At: at, SentAt: sentAt,
			Type: Identify, MessageID: id, Addressed: addressed,
		})
		if err != nil {
			t.Fatal(err)
		}
		r := Received{Source: source, Surface: SurfaceTracking, SentAt: sentAt, Type: Identify, MessageID: id, Addressed: addressed}
		if r.At, err = time.Parse(time.RFC3339Nano, at); err != nil {
			t.Fatal(err)
		}
		r.Body = []byte("{}")
		if got := string(r.AppendTo([]byte("before"))); got != "before"+string(want)+"\n{}" {
			t.Errorf("AppendTo = %s, want %s", got, want)
		}
		if got := len(r.AppendTo(nil)); got > r.Size() && plain(source) && plain(sentAt) && plain(id) {
			t.Errorf("%d bytes, and Size said %d", got, r.Size())
		}
	})
}
