package app_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// The real program is killed around activities: after what announces one is committed, after the effect and before its commit, and
// after the commit. Each is made once; nothing accepted is lost.
func TestKilledProcessesMakeEachActivityOnce(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{childAPIKey}, CallLog: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	if err := box.AddFault(sandbox.Fault{Percent: 100, Delay: 5 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box.Handler())
	t.Cleanup(server.Close)
	c := newChild(t, buildProgram(t, "-tags", "failpoints"), t.TempDir(), server.URL, `
nats: {max_bytes: 128MiB}
activities: {type: Task, owner: Sandbox User}
`)
	c.environ = append(c.environ, "FRESHRELAY_SOURCES_0_FORWARD_TRACK=*", failpoint.LookupVariable+"=2s")
	ctx, cancel := context.WithTimeout(t.Context(), processPatience)
	defer cancel()
	const users, each = 8, 4
	sent := 0
	for life, plan := range []string{
		"", "effect-before=2:kill", "effect-after=3:kill", "commit-before=4:kill", "commit-after=5:kill", "effect-after=1:kill", "effect-before=6:kill",
	} {
		c.start(plan)
		for user := range users {
			if life == 0 {
				if c.over() {
					t.Fatalf("the process did not start: %s", c.stderr)
				}
				c.deliver(ctx, identify(fmt.Sprint("user", user), 1, ""))
				continue
			}
			for n := range each {
				for ctx.Err() == nil && !c.over() { // until it listens, or is gone; then what was not accepted is not sent again
					if c.track(ctx, fmt.Sprint("user", user), fmt.Sprintf("life%d-%d", life, n)) {
						sent++
						break
					}
					pause(ctx, 20*time.Millisecond)
				}
			}
		}
		if plan == "" {
			c.settled(ctx)
			c.signal(syscall.SIGKILL)
			continue
		}
		select {
		case <-c.exited:
		case <-ctx.Done():
			t.Fatalf("life %d: the process was not killed at %s", life, plan)
		}
	}
	c.start("")
	st := c.settled(ctx)
	made := map[string]int{}
	for _, a := range box.Activities() {
		made[fmt.Sprint(a.ContactID, a.Fields["title"])]++
	}
	for what, n := range made {
		if n != 1 {
			t.Errorf("%s was made %d times", what, n)
		}
	}
	// A call whose acknowledgement the kill has cut off may be stored all the same.
	if len(made) < sent || int64(len(made))+users != st.Ledger.Accepted || st.Ledger.Difference != 0 || st.Ledger.Dead != 0 {
		t.Errorf("%d acknowledged, %d made, ledger %+v", sent, len(made), st.Ledger)
	}
	if sent < users*each {
		t.Errorf("only %d were sent: the test has shown little", sent)
	}
	c.signal(syscall.SIGTERM)
}

// track posts one call; false if it was not acknowledged.
func (c *child) track(ctx context.Context, user, event string) bool {
	body := fmt.Appendf(nil, `{"userId":%q,"messageId":"%s-%s","event":%q}`, user, user, event, event)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.listen+"/v1/track", bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return false
	}
	req.SetBasicAuth(childWriteKey, "")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
