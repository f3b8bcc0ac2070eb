package admin

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/mapping"
	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/worker"
)

// TestEveryReasonHasAdvice: whoever invents a reason says what it means and how to mend it.
func TestEveryReasonHasAdvice(t *testing.T) {
	t.Parallel()
	given := map[About][]string{
		AboutDead:    metrics.Reasons(metrics.OutcomeDead),
		AboutPause:   metrics.Pauses(),
		AboutDiscard: {worker.ReasonNotLive},
		AboutDropped: ingest.DropReasons(),
	}
	for _, r := range mapping.DiscardReasons() {
		given[AboutDiscard] = append(given[AboutDiscard], string(r))
	}
	for _, r := range mapping.LeftOutReasons() {
		given[AboutLeftOut] = append(given[AboutLeftOut], string(r))
	}
	given[AboutDiscard] = append(given[AboutDiscard], "by_operator", "expired")            // operators and their rules
	given[AboutLeftOut] = append(given[AboutLeftOut], "sent_not_stored", "email_conflict") // the worker's
	given[AboutWaiting] = worker.WaitReasons()
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

// TestReasonsAreCounted: metrics knows the words of the packages that decide. It cannot import them itself.
func TestReasonsAreCounted(t *testing.T) {
	t.Parallel()
	given := map[string][]string{
		metrics.OutcomeDropped: ingest.DropReasons(),
		metrics.OutcomeDead:    {worker.ReasonInvalid, worker.ReasonEmailConflict, worker.ReasonExhausted, worker.ReasonUnreadable, worker.ReasonRecordTooLarge, worker.ReasonNoAccount, worker.ReasonUnknownContact, worker.ReasonAliasConflict, worker.ReasonUnknownOutcome},

		metrics.OutcomeDiscarded: {worker.ReasonNotLive},
	}
	for _, r := range mapping.DiscardReasons() {
		given[metrics.OutcomeDiscarded] = append(given[metrics.OutcomeDiscarded], string(r))
	}
	given[metrics.OutcomeDiscarded] = append(given[metrics.OutcomeDiscarded], worker.ReasonByOperator, worker.ReasonExpired)
	for outcome, want := range given {
		want = append(want, metrics.Other)
		got := metrics.Reasons(outcome)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: metrics counts by %v, given are %v", outcome, got, want)
		}
	}
	operations := []string{
		freshmarketer.OpUpsertContact, freshmarketer.OpUpdateContact, freshmarketer.OpGetContact, freshmarketer.OpDeleteContact,
		freshmarketer.OpLookupContacts, freshmarketer.OpContactFields, freshmarketer.OpContactFilters,
		freshmarketer.OpContactView, freshmarketer.OpForgetContact, freshmarketer.OpBulkUpsert, freshmarketer.OpJobStatus,
		freshmarketer.OpUpsertAccount, freshmarketer.OpGetAccount, freshmarketer.OpUpdateAccount, freshmarketer.OpAccountFields,
		freshmarketer.OpCreateActivity, freshmarketer.OpListActivities, freshmarketer.OpSelector, freshmarketer.OpSendEvent,
	}
	for _, op := range operations {
		if !slices.Contains(metrics.Operations(), op) {
			t.Errorf("metrics counts calls of %s as other", op)
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
