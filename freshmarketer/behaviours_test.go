package freshmarketer_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox/sandboxtest"
)

// TestEveryBehaviour goes through the table of what the API does, row by row, against the sandbox on fake time.
func TestEveryBehaviour(t *testing.T) {
	t.Parallel()
	rows := sandboxtest.Behaviours()
	names := map[string]bool{}
	for _, b := range rows {
		names[b.Name] = true
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { meets(t, b) })
		})
	}
	if len(names) != len(rows) || len(rows) < 40 {
		t.Errorf("%d rows with %d names, want at least 40, each with its own", len(rows), len(names))
	}
}

func meets(t *testing.T, b sandboxtest.Behaviour) {
	t.Helper()
	box, cfg := sandboxtest.Start(t, b.Options)
	status := 0
	cfg.OnCall = func(_ string, got int, _ time.Duration) { status = got }
	client, err := freshmarketer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Prepare(box); err != nil {
		t.Fatal(err)
	}
	before, writes := box.Contacts(), box.Writes()
	err = b.Do(t.Context(), client)
	e := new(freshmarketer.Error)
	if !errors.As(err, &e) && err != nil {
		t.Fatalf("got %v, want an *Error", err)
	}
	// What the row says and what there was, side by side.
	got := sandboxtest.Behaviour{Kind: e.Kind, Status: status, RetryAfter: e.RetryAfter, Field: e.Field, Doubt: e.IdentifierDoubt}
	got.MayBeDone = err != nil && e.MayHaveEffect()
	synctest.Wait() // an effect whose answer nobody waits for
	got.Written = cmp.Diff(writes, box.Writes()) != ""
	want := sandboxtest.Behaviour{
		Kind: b.Kind, Status: b.Status, RetryAfter: b.RetryAfter, Field: b.Field, Doubt: b.Doubt, MayBeDone: b.MayBeDone, Written: b.Written,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err != nil && e.Status != status && e.Status != 0 {
		t.Errorf("the error says %d, the answer was %d", e.Status, status)
	}
	if !b.Written && cmp.Diff(before, box.Contacts()) != "" {
		t.Error("a contact is not what it was")
	}
}
