package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app"
)

// A running service says of each type of call what check says of its configuration (and the README of none:
// TestDocsReadmeSaysOfEachCallWhatCheckSays), and counts what came, whatever became of it.
func TestStatusSaysOfEachCallWhatCheckSays(t *testing.T) {
	t.Parallel()
	w := &walk{t: t, dir: t.TempDir()}
	w.start("deletion: {webhooks: true}\n")
	t.Cleanup(func() { w.stop() })
	w.send(2)
	for _, call := range []string{
		`{"type":"track","userId":"user-1","event":"Order Completed"}`, `{"type":"track","userId":"user-1","event":"Other"}`,
		`{"type":"screen","userId":"user-1","name":"Home"}`, `{"type":"teleport","userId":"user-1"}`,
	} {
		w.ask(http.MethodPost, w.at.Ingest+"/v1/batch", `{"batch":[`+call+`]}`)
	}
	var checked []admin.CallFate
	for _, f := range decode[app.CheckReport](t, w.run("check", "-o", "json").out).Calls {
		if f.Which == "" {
			checked = append(checked, f)
		}
	}
	got := w.run("status", "-o", "json")
	wantCode(t, got, exitOK)
	var said []admin.CallFate
	came, dropped := map[string]int{}, map[string]int{}
	for _, c := range decode[admin.Status](t, got.out).Calls {
		if c.Received+c.Dropped["invalid_type"] > 0 {
			came[c.Type], dropped[c.Type] = c.Received, c.Dropped["not_forwarded"]+c.Dropped["screen"]+c.Dropped["invalid_type"]
		}
		if c.Type != "other" {
			said = append(said, c.CallFate)
		}
	}
	if diff := cmp.Diff(checked, said); diff != "" || len(said) != 7 {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"identify": 2, "track": 2, "screen": 1, "other": 1}, came); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"identify": 0, "track": 2, "screen": 1, "other": 1}, dropped); diff != "" {
		t.Error(diff)
	}
	text, check := w.run("status").out, w.run("check").out
	for _, f := range checked {
		wantParts(t, "status", text, f.Fate+" ("+f.Switch+")\n")
		wantParts(t, "check", check, f.Type, f.Fate, f.Switch)
	}
}

// Where the sandbox's data directory is all there is, check is about the sandbox, as every other command.
func TestCheckIsAboutTheSandboxWhereThatIsAllThereIs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := os.RemoveAll(filepath.Join(r.dir, "data")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.run(t, "check", "--offline"), exitUsage) // nothing is here at all
	writeFile(t, filepath.Join(r.dir, "data-sandbox", "x"), "")
	got := r.run(t, "check", "--offline")
	wantCode(t, got, exitOK)
	wantParts(t, "check", got.errOut, "using ./data-sandbox")
	wantParts(t, "check", got.out, "→ on; sources[].forward.track names them\n")
	writeFile(t, filepath.Join(r.dir, "freshrelay.yaml"), "data_dir: mine\n")
	wantCode(t, r.run(t, "check", "--offline"), exitUsage)
}
