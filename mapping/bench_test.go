package mapping

import (
	"os"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/segment"
)

// BenchmarkParseAndMap is the work of one identify of about 500 bytes for a known contact: parse the stored call, fold it.
// The aim is at most 10 µs and 40 allocations.
func BenchmarkParseAndMap(b *testing.B) {
	body, err := os.ReadFile("../ingest/testdata/segment/01-identify-create.json")
	if err != nil {
		b.Fatal(err)
	}
	r := segment.Received{
		Source: "website", Surface: segment.SurfaceWebhook, At: time.Unix(1772442905, 0), Type: segment.Identify,
		MessageID: "smp-0001-7c1d", UserID: "cust-1001", Body: body,
	}
	cat := readCatalogue(b, "account")
	now := time.Unix(1772442910, 0)
	ev, err := r.Event()
	if err != nil {
		b.Fatal(err)
	}
	rec := Fold(cat, Options{}, Record{ContactID: "1"}, []Call{{Event: ev, Pos: 1}}, now).Record
	r.MessageID = "smp-0002-7c1d"
	calls := make([]Call, 1)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := r.Event(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		b.ReportAllocs()
		calls[0] = Call{Event: ev, Pos: 2}
		calls[0].Event.MessageID = r.MessageID
		for b.Loop() {
			if res := Fold(cat, Options{}, rec, calls, now); !res.Outcomes[0].Delivered {
				b.Fatal(res.Outcomes)
			}
		}
	})
	b.Run("both", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			ev, err := r.Event()
			if err != nil {
				b.Fatal(err)
			}
			calls[0] = Call{Event: ev, Pos: 2}
			if res := Fold(cat, Options{}, rec, calls, now); !res.Outcomes[0].Delivered {
				b.Fatal(res.Outcomes)
			}
		}
	})
}
