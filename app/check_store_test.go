package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/queue"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// inSandbox is what check says of a configuration in sandbox mode, where nothing runs.
func inSandbox(t *testing.T, text string) app.CheckReport {
	t.Helper()
	file := filepath.Join(t.TempDir(), "freshrelay.yaml")
	text = "listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\n" + text
	if !strings.Contains(text, "sources:") {
		text += "sources: [{name: website, write_keys: [wk_a]}]\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return app.Check(t.Context(), app.CheckOptions{Config: config.Options{Path: file, Dir: filepath.Dir(file), Environ: []string{}, Sandbox: true}, HTTP: http.DefaultClient})
}

// wantFinding looks for one finding of an area by parts of its text and mend.
func wantFinding(t *testing.T, r app.CheckReport, area, level string, parts ...string) {
	t.Helper()
	for _, f := range r.Findings {
		all := f.Area == area && f.Level == level
		for _, part := range parts {
			all = all && strings.Contains(f.What+" → "+f.Mend, part)
		}
		if all {
			return
		}
	}
	t.Errorf("no finding %s %s %q in %+v", area, level, parts, r.Findings)
}

// Of NATS servers check says whether they answer, which they are, and whether the streams are as they must be, with what to run.
func TestCheckLooksAtTheServers(t *testing.T) {
	t.Parallel()
	servers := queuetest.Servers(t, 1)
	nats := func(more string) string {
		return fmt.Sprintf("nats: {url: %q, durability: fsync, prefix: checked, max_bytes: 128MiB%s}\n", queuetest.URLs(servers), more)
	}
	for range 2 { // a check makes nothing
		r := inSandbox(t, nats(""))
		wantFinding(t, r, "broker", app.LevelOK, "answers, version 2.")
		wantFinding(t, r, "broker", app.LevelOK, "the first start will make CHECKED_EVENTS, CHECKED_STATE")
	}
	store, err := queue.Open(t.Context(), queue.Config{
		Dir: t.TempDir(), Prefix: "checked", MaxBytes: 128 << 20, Account: app.SandboxAccount, Logger: zap.NewNop(),
		External: &queue.External{URL: queuetest.URLs(servers), Replicas: 1, Durability: queue.DurabilityFsync},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, inSandbox(t, nats("")), "broker", app.LevelOK, "its streams are as they must be")
	drifted := inSandbox(t, nats(", replicas: 3"))
	for _, kind := range []string{"EVENTS", "STATE", "DEAD", "AUDIT"} {
		wantFinding(t, drifted, "broker", app.LevelProblem, "stream CHECKED_"+kind+": replicas is 1 and must be 3", "→ run: nats stream edit CHECKED_"+kind)
	}
	wantFinding(t, drifted, "broker", app.LevelProblem, "stream CHECKED_JOURNAL: ", "this cannot be edited", "another nats.prefix")
	wantFinding(t, inSandbox(t, nats(", partitions: 3")), "broker", app.LevelProblem, "the store has 16 and nats.partitions is 3", "docs/cluster.md")
	servers[0].Kill()
	wantFinding(t, inSandbox(t, nats("")), "broker", app.LevelProblem, "connecting to the NATS servers", "start the servers, or correct nats.url")
}

// Of the embedded broker check says whether what it may take fits on its disk.
func TestCheckLooksAtTheDisk(t *testing.T) {
	t.Parallel()
	wantFinding(t, inSandbox(t, "nats: {max_bytes: 64MiB}\n"), "broker", app.LevelOK, "are free on the disk", "may take 64 MiB")
	wantFinding(t, inSandbox(t, "nats: {max_bytes: 100TiB}\n"), "broker", app.LevelWarning, "the disk is full before they are", "nats.max_bytes")
}

// In sandbox mode the account is a sandbox, and what it lacks is said before the service says it.
func TestCheckAsksTheSandbox(t *testing.T) {
	t.Parallel()
	const forwards = "sources: [{name: website, write_keys: [wk_a], forward: {track: [Order Completed]}}]\n"
	r := inSandbox(t, forwards+"activities: {type: Nonsense, owner: Sandbox User}\n")
	wantFinding(t, r, "account", app.LevelOK, "sandbox takes the key")
	wantFinding(t, r, "fields", app.LevelOK, "contact fields")
	wantFinding(t, r, "activities", app.LevelProblem, "activities.type")
	wantFinding(t, inSandbox(t, forwards+"activities: {type: Task, owner: nobody@example.com}\n"), "activities", app.LevelProblem, "activities.owner")
	wantFinding(t, inSandbox(t, forwards+"activities: {type: Task, owner: Sandbox User}\n"), "activities", app.LevelOK, "the account has the type")
}
