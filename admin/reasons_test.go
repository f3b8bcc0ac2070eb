package admin

import (
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
)

// TestEveryReasonHasAdvice: whoever invents a reason says what it means and how to mend it.
func TestEveryReasonHasAdvice(t *testing.T) {
	t.Parallel()
	given := map[About][]string{
		AboutDead: metrics.Reasons(metrics.OutcomeDead),
		AboutPause: {
			metrics.PausedThrottled, metrics.PausedKeyRefused, metrics.PausedOutage, metrics.PausedMisconfigured, metrics.PausedCatalogue,
		},
	}
	for _, r := range mapping.DiscardReasons() {
		given[AboutDiscard] = append(given[AboutDiscard], string(r))
	}
	for _, r := range mapping.LeftOutReasons() {
		given[AboutLeftOut] = append(given[AboutLeftOut], string(r))
	}
	unknown := Advise(AboutDead, "never heard of")
	for about, reasons := range given {
		for _, r := range reasons {
			if r != metrics.Other && Advise(about, r) == unknown {
				t.Errorf("no advice about %s %s", about, r)
			}
		}
		if about != AboutPause && len(table()[about]) > len(reasons) {
			t.Errorf("advice about reasons of %s that nobody gives", about)
		}
	}
	if unknown.Mend == "" || Advise("nonsense", "x") != unknown {
		t.Errorf("%+v", unknown)
	}
}

// TestDiscardReasonsAreCounted: metrics knows the reasons that mapping gives.
func TestDiscardReasonsAreCounted(t *testing.T) {
	t.Parallel()
	known := strings.Join(metrics.Reasons(metrics.OutcomeDiscarded), " ") + " "
	for _, r := range mapping.DiscardReasons() {
		if !strings.Contains(known, string(r)+" ") {
			t.Errorf("metrics counts %s as other", r)
		}
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	for about, reasons := range table() {
		for reason, a := range reasons {
			if a.Meaning == "" || !strings.HasSuffix(a.Mend, ".") && !strings.Contains(a.Mend, "freshrelay ") {
				t.Errorf("%s %s: %+v", about, reason, a)
			}
		}
	}
}
