package mapping

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(minute int) time.Time { return time.Date(2026, 3, 2, 9, minute, 0, 0, time.UTC) }

func unmapped(names ...string) Outcome {
	o := Outcome{Unmapped: len(names)}
	for _, name := range names {
		o.LeftOut = append(o.LeftOut, LeftOut{Trait: name, Reason: ReasonUnmapped})
	}
	o.LeftOut = append(o.LeftOut, LeftOut{Trait: "other", Field: "cf_x", Reason: ReasonTooLong})
	return o
}

func TestReport(t *testing.T) {
	t.Parallel()
	var r, other Report
	r.Add("website", unmapped("cart", "plan"), at(2))
	r.Add("website", unmapped("cart"), at(1))
	other.Add("shop", unmapped("cart"), at(5))
	other.Add("website", unmapped("cart"), at(7))
	r.Merge(other)
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = DecodeReport(b); err != nil {
		t.Fatal(err)
	}
	want := []Unmapped{
		{"cart", "website", 3, at(1), at(7)}, {"cart", "shop", 1, at(5), at(5)}, {"plan", "website", 1, at(2), at(2)},
	}
	if diff := cmp.Diff(want, r.List()); diff != "" || r.Dropped() != 0 {
		t.Errorf("-want +got\n%s", diff)
	}
	if none, err := DecodeReport(nil); err != nil || !none.Empty() {
		t.Errorf("%+v, %v", none, err)
	}
	if _, err := DecodeReport([]byte("[]")); err == nil {
		t.Error("anything is a report")
	}
}

// TestReportIsBounded: names that are made up push each other out, not those that come again.
func TestReportIsBounded(t *testing.T) {
	t.Parallel()
	var r Report
	for n := range 20 * maxUnmapped {
		r.Add("website", unmapped(fmt.Sprint("made-up-", n)), at(0))
		if n%100 == 0 {
			r.Add("website", unmapped("real"), at(1))
		}
	}
	o := unmapped("real")
	o.Unmapped = 5000 // a call lists a hundred
	r.Add("website", o, at(2))
	list := r.List()
	if len(list) != maxUnmapped || list[0].Trait != "real" || list[0].Count != 20*maxUnmapped/100+1 {
		t.Errorf("%d traits, first %+v", len(list), list[0])
	}
	total := r.Dropped()
	for _, u := range list {
		total += u.Count
	}
	if want := int64(20*maxUnmapped + 20*maxUnmapped/100 + 5000); total != want {
		t.Errorf("counted %d traits, want %d", total, want)
	}
}

func TestPublicName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"favourite_colour": "favourite_colour", "total_revenue_180_days": "total_revenue_180_days", "year_2026": "year_2026",
		"ada@example.com": "(a name with an address in it)", "user_48001712": "user_#", "+14155550102": "+#", "123456a1234567": "#a#",
		"": "", "Größe 5": "Größe 5", "12345": "12345",
	} {
		if got := publicName(in); got != want {
			t.Errorf("%q is reported as %q, want %q", in, got, want)
		}
	}
}
