package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// TestARestoredCopyGoesOn is what docs/operations.md says of a backup: a copy of the stopped directory has the contacts'
// records, the dead letters and the ledger, and what was waiting is delivered.
func TestARestoredCopyGoesOn(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{childAPIKey}})
	if err != nil {
		t.Fatal(err)
	}
	if err := box.AddFault(sandbox.Fault{Percent: 100, Status: http.StatusBadRequest, MatchBody: "refused"}); err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(box.Handler())
	t.Cleanup(api.Close)
	ctx := t.Context()
	c := newChild(t, buildProgram(t), t.TempDir(), api.URL, "nats: {max_bytes: 128MiB}\n")
	c.start("")
	for n := range 20 {
		c.deliver(ctx, identify(fmt.Sprintf("user-%d", n), 1, ""))
	}
	c.deliver(ctx, identify("refused", 1, ""))
	before := c.untilSettled(ctx).Ledger
	if before.Delivered != 20 || before.Dead != 1 {
		t.Fatalf("before the backup: %+v", before)
	}
	if !c.ask(ctx, http.MethodPost, "/api/pause", "{}", &admin.Sent{}) {
		t.Fatal("it is not paused")
	}
	for n := range 5 {
		c.deliver(ctx, identify(fmt.Sprintf("user-%d", n), 2, ""))
	}
	c.signal(syscall.SIGTERM)
	if c.killed() || c.cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("it did not stop: %v\n%s", c.cmd.ProcessState, c.stderr)
	}

	// The machine is lost; the copy is put on another.
	backup := t.TempDir()
	if err := os.CopyFS(backup+"/data", os.DirFS(c.data())); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(c.data()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup+"/data", c.data()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(c.data(), 0o700); err != nil {
		t.Fatal(err)
	}
	writes := box.CallCount()
	c.start("")
	c.ready(ctx)
	// What was settled before the backup may be read again: it is pending until its lane has seen its record.
	var st admin.Status
	for ctx.Err() == nil && (!c.ask(ctx, http.MethodGet, "/api/status", "", &st) || st.Ledger.Difference != 0 || !st.Ledger.SettledReading) {
		pause(ctx, 50*time.Millisecond)
	}
	if st.Ledger.Pending != 5 || st.Ledger.Accepted != 26 || st.Ledger.Delivered != 20 || st.Ledger.Dead != 1 || st.Ledger.Difference != 0 {
		t.Errorf("after the restore: %+v", st.Ledger)
	}
	c.ask(ctx, http.MethodPost, "/api/resume", "{}", &admin.Sent{})
	after := c.untilSettled(ctx).Ledger
	want := before
	want.Accepted, want.Delivered = 26, 25
	if diff := cmp.Diff([]int64{want.Accepted, want.Delivered, want.Discarded, want.Dead, 0, 0}, []int64{after.Accepted, after.Delivered, after.Discarded, after.Dead, after.Pending, after.Difference}); diff != "" {
		t.Errorf("the ledger: %s", diff)
	}
	if got := len(box.Contacts()); got != 20 {
		t.Errorf("%d contacts", got)
	}
	if made := box.CallCount() - writes; made > 2*5+3 {
		t.Errorf("the restored copy made %d calls for 5 changes: it has forgotten what it knew", made)
	}
	c.signal(syscall.SIGTERM)
}
