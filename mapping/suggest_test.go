package mapping

import "testing"

func TestSuggest(t *testing.T) {
	t.Parallel()
	cat := readCatalogue(t, "account")
	tests := []struct {
		trait, target string
		confidence    Confidence
	}{
		{"timezone", "Time zone", High},
		{"timeZone", "Time zone", High},
		{"cf_plan_tier", "Plan tier", High},
		{"zip", "Zipcode", High},
		{"postal_code", "Zipcode", High},
		{"job_title", "Job title", High},
		{"plan teir", "Plan tier", Medium},
		{"birth_day", "Birthday", High},
		{"dob", "Birthday", High},
		{"cell", "Mobile", High},
		{"mobile_phone", "Mobile", Medium},
		{"company_industry", "Industry", Medium},
		{"company.industry", "Industry", Medium},
		{"organization_name", "Company name", High},
		{"lifecycle", "Lifecycle stage", Low},
		{"lifecycle_stage_id", "Lifecycle stage", High},
		{"cart", "", ""},
		{"@", "", ""},
		{"x", "", ""},
	}
	for _, tt := range tests {
		got := cat.suggest(tt.trait)
		if got.Target != tt.target || got.Confidence != tt.confidence || (got.Why == "") != (tt.target == "") {
			t.Errorf("%s: %q, %q (%s), want %q, %q", tt.trait, got.Target, got.Confidence, got.Why, tt.target, tt.confidence)
		}
		if f, ok := cat.Field(got.Target); got.Target != "" && (!ok || f.Name != got.Field) {
			t.Errorf("%s: the line %q would not reach %s", tt.trait, got.Target, got.Field)
		}
	}
	if got := cat.suggest("lifecycle_stage_id"); !got.Guarded {
		t.Error("that a field is guarded is not said")
	}
}

func TestSuggestCountsSources(t *testing.T) {
	t.Parallel()
	got := Suggest(readCatalogue(t, "account"), []Unmapped{
		{Trait: "cart", Source: "website", Count: 9}, {Trait: "zip", Source: "website", Count: 5}, {Trait: "zip", Source: "shop", Count: 6},
	})
	if len(got) != 2 || got[0].Trait != "zip" || got[0].Count != 11 || len(got[0].Sources) != 2 || got[1].Field != "" {
		t.Errorf("%+v", got)
	}
}
