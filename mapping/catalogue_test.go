package mapping

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDuplicateLabels(t *testing.T) {
	t.Parallel()
	cat := NewCatalogue([]Field{
		{Name: "cf_status", Label: "Status", Type: "text", Custom: true},
		{Name: "contact_status_id", Label: " Status ", Type: "dropdown"},
		{Name: "lead_score", Label: "Score", Type: "number"},
		{Name: "cf_score", Label: "Score", Type: "number", Custom: true},
		{Name: "cf_a", Label: "Plan tier", Type: "text", Custom: true},
		{Name: "cf_b", Label: "Plan tier", Type: "text", Custom: true},
		{Name: "cf_c", Label: "plan_tier", Type: "text", Custom: true},
		{Name: "cf_a", Label: "Same name again", Type: "text", Custom: true},
	})
	want := []Duplicate{
		{Label: "Plan tier", Kept: "cf_a", Dropped: []string{"cf_b"}},
		{Label: "Status", Kept: "contact_status_id", Dropped: []string{"cf_status"}},
		{Label: "Score", Kept: "cf_score", Dropped: []string{"lead_score"}},
		{Label: "plantier", Normalised: true, Kept: "cf_a", Dropped: []string{"cf_c"}},
	}
	got := map[string]Duplicate{}
	for _, d := range cat.Duplicates() {
		got[d.Label] = d
	}
	for _, d := range want {
		if diff := cmp.Diff(d, got[d.Label]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", d.Label, diff)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d duplicates, want %d: %v", len(got), len(want), got)
	}
}

func TestCatalogueField(t *testing.T) {
	t.Parallel()
	cat := readCatalogue(t, "account")
	tests := []struct{ target, want string }{
		{"Plan tier", "cf_plan_tier"},
		{" Plan   tier ", "cf_plan_tier"},
		{"plan_tier", "cf_plan_tier"},
		{"cf_plan_tier", "cf_plan_tier"},
		{"Status", "contact_status_id"},
		{"Email", "email"},
		{"Emails", "email"},
		{"emails", "email"},
		{"E-mail", "email"},
		{"Nothing", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if f, ok := cat.Field(tt.target); f.Name != tt.want || ok != (tt.want != "") {
			t.Errorf("Field(%q) = %q, %v, want %q", tt.target, f.Name, ok, tt.want)
		}
	}
}

func TestUnresolved(t *testing.T) {
	t.Parallel()
	cat := readCatalogue(t, "account")
	opt := Options{Traits: map[string]string{"z": "No such", "a.b": "Plan teir", "plan": "Plan"}}
	if diff := cmp.Diff([]string{"a.b", "z"}, cat.Unresolved(opt)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestCatalogueIsACopy: a catalogue is shared by goroutines, so what it was made from must not reach it.
func TestCatalogueIsACopy(t *testing.T) {
	t.Parallel()
	fields := []Field{{Name: "cf_a", Label: "A", Type: "dropdown", Custom: true, Choices: []Choice{{ID: "1", Value: "One"}}}}
	cat := NewCatalogue(fields)
	fields[0].Label, fields[0].Choices[0].Value = "B", "Two"
	f, ok := cat.Field("A")
	if !ok || f.Choices[0].Value != "One" {
		t.Errorf("the catalogue changed with the slice it was made from: %+v", f)
	}
}

func TestReasonsAreClosedAndDistinct(t *testing.T) {
	t.Parallel()
	seen := map[Reason]bool{}
	for _, r := range append(DiscardReasons(), LeftOutReasons()...) {
		if r == "" || seen[r] {
			t.Errorf("reason %q is empty or there twice", r)
		}
		seen[r] = true
	}
}
