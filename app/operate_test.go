package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue"
)

// freshrelay runs a command of the real program against the running service and returns its output.
func (k *killRig) freshrelay(args ...string) string {
	k.t.Helper()
	cmd := exec.CommandContext(k.t.Context(), k.program, append(args, "--config", k.file())...)
	out, err := cmd.Output()
	if err != nil {
		detail := ""
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			detail = string(exit.Stderr)
		}
		k.t.Fatalf("freshrelay %s: %v\n%s%s", strings.Join(args, " "), err, out, detail)
	}
	return string(out)
}

type letterList struct {
	Letters []struct {
		ID, Reason string
		Status     int
		MessageID  string `json:"message_id"`
	}
	Total int
}

func (k *killRig) letters() letterList {
	k.t.Helper()
	var list letterList
	if err := json.Unmarshal([]byte(k.freshrelay("dlq", "list", "-o", "json")), &list); err != nil {
		k.t.Fatal(err)
	}
	return list
}

// What an operator does: the API refuses a contact, the trouble is mended, the dead letter is replayed from the command
// line. Once; a second replay does nothing.
func TestAnOperatorReplaysADeadLetter(t *testing.T) {
	t.Parallel()
	k, ctx := newKillRig(t, nil)
	k.box.ClearFaults() // the delay; the first fault that fits is the only one
	if err := k.box.AddFault(sandbox.Fault{Percent: 100, Status: 400, Operation: "create_contact"}); err != nil {
		t.Fatal(err)
	}
	k.call(ctx, "ann", 7)
	k.settled(ctx)
	list := k.letters()
	if list.Total != 1 || list.Letters[0].Reason != "invalid" || list.Letters[0].Status != 400 || list.Letters[0].MessageID != "ann-7" {
		t.Fatalf("letters %+v", list)
	}
	id := list.Letters[0].ID
	if shown := k.freshrelay("dlq", "show", id); !strings.Contains(shown, "invalid") || strings.Contains(shown, "ann@example.test") {
		t.Errorf("dlq show should name the reason and mask the address:\n%s", shown)
	}
	k.box.ClearFaults()
	k.freshrelay("dlq", "replay", id, "--yes")
	st := k.settled(ctx)
	if list := k.letters(); list.Total != 0 || st.Ledger.Delivered != 1 || st.Ledger.Dead != 0 || st.Ledger.Difference != 0 {
		t.Errorf("after the replay: %+v, ledger %+v", list, st.Ledger)
	}
	contacts := k.box.Contacts()
	if len(contacts) != 1 || contacts[0].Custom["cf_seq"] != json.Number("7") {
		t.Errorf("contacts %+v", contacts)
	}
	effects := k.effects.Load()
	k.freshrelay("dlq", "replay", id, "--yes")
	if st = k.settled(ctx); k.effects.Load() != effects || st.Ledger.Delivered != 1 {
		t.Errorf("the second replay did something: %d effects more, ledger %+v", k.effects.Load()-effects, st.Ledger)
	}
}

// A store that was filled for the sandbox is not opened for a real account, and the other way round.
func TestAStoreOfAnotherAccountIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	cfg := p.cfg
	cfg.Freshmarketer = config.Freshmarketer{Domain: "acme", APIKey: "a-key-that-never-leaves"}
	err := app.Run(context.Background(), cfg, app.Options{Version: "test", Logger: zap.NewNop()})
	if !errors.Is(err, queue.ErrForeignAccount) {
		t.Fatalf("a run against acme on the sandbox's store: %v", err)
	}
	for _, part := range []string{dir, "sandbox", "acme.myfreshworks.com", "another data_dir"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the message does not say %q: %v", part, err)
		}
	}
}

// Two services cannot share a directory; the second says so and harms nothing.
func TestADirectoryHasOneOwner(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir())
	err := app.Run(context.Background(), p.cfg, app.Options{Sandbox: true, SandboxListen: "127.0.0.1:0", Version: "test", Logger: zap.NewNop()})
	if !errors.Is(err, queue.ErrLocked) || !strings.Contains(err.Error(), "another data_dir") {
		t.Errorf("a second owner: %v", err)
	}
	if status, answer := p.post("/v1/identify", sample(t, "01")); status != 200 {
		t.Errorf("the first owner answers %d %s", status, answer)
	}
	if st := p.drained(); st.Ledger.Delivered != 1 {
		t.Errorf("ledger %+v", st.Ledger)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// Clients open connections ahead. A stop does not wait for requests that nobody has begun.
func TestAStopDoesNotMindUnusedConnections(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir())
	for _, url := range []string{p.at.Ingest, p.at.Admin, p.at.Sandbox} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if status, answer := p.post("/v1/identify", sample(t, "01")); status != 200 {
		t.Errorf("answer %d %s", status, answer)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	for _, e := range p.logs.All() {
		if strings.Contains(e.Message, "cut off") {
			t.Errorf("the stop cut off requests that nobody had begun: %v", e.ContextMap())
		}
	}
}
