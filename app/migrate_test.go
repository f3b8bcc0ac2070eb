package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/queue/queuetest"
)

// The way of an operator: the service is drained and stopped, its store is moved to a NATS server, and the same process goes
// on there. It knows its users, its books go on, and the old store is out of use.
func TestAServiceMovesToANATSServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	box, api := childAPI(t, sandbox.Options{})
	servers := queuetest.Servers(t, 1)
	program := buildProgram(t)
	c := newChild(t, program, t.TempDir(), api, "")
	const users = 10
	deliver := func(seq int) {
		for u := range users {
			c.deliver(ctx, identify(fmt.Sprint("user-", u), seq, "plan"))
		}
	}
	c.start("")
	deliver(0)
	if l := c.settled(ctx).Ledger; l.Accepted != users || l.Delivered != users {
		t.Errorf("before: %+v", l)
	}
	migrate := func() (string, error) {
		cmd := exec.CommandContext(ctx, program, "migrate", "--config", c.file(), "--to", servers[0].URL, "--replicas", "1", "--partitions", "3", "--durability", "fsync")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := migrate(); err == nil || !strings.Contains(out, "stop the service first") {
		t.Errorf("a running service moved: %v\n%s", err, out)
	}
	c.signal(syscall.SIGTERM)
	out, err := migrate()
	if err != nil || !strings.Contains(out, "in 3 partitions; the books go on at 10 events accepted") {
		t.Fatalf("%v\n%s", err, out)
	}

	c.start("") // the old configuration: it must not deliver a second time
	<-c.exited
	if said := c.stderr.String(); c.cmd.ProcessState.ExitCode() == 0 || !strings.Contains(said, "the store has moved") {
		t.Errorf("the old store starts:\n%s", said)
	}
	text, err := os.ReadFile(c.file())
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "nats: {url: %q, durability: fsync, partitions: 3}\n", servers[0].URL)
	if err := os.WriteFile(c.file(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	c.start("")
	deliver(1)
	for l := c.settled(ctx).Ledger; ; l = c.settled(ctx).Ledger { // it takes its partitions one after the other
		if ctx.Err() != nil || l.Accepted == 2*users {
			if l.Delivered != 2*users || l.Difference != 0 {
				t.Errorf("after: %+v", l)
			}
			break
		}
	}
	contacts := box.Contacts()
	if len(contacts) != users {
		t.Errorf("%d contacts for %d users", len(contacts), users)
	}
	for _, contact := range contacts {
		if got := fmt.Sprint(contact.Custom["cf_seq"]); got != "1" {
			t.Errorf("%s ends with %s", contact.ExternalID, got)
		}
	}
	c.signal(syscall.SIGTERM)
}
