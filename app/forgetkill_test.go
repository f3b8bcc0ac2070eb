package app_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/failpoint"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
)

// stepsOfAForget are the points that only erasing passes.
func stepsOfAForget() []failpoint.Point {
	return []failpoint.Point{failpoint.EraseNoted, failpoint.EraseFilled, failpoint.EraseTrimmed}
}

// TestAForgetSurvivesAKillAtEachStep: a user with a contact and a letter that was set aside twice is erased, and the process is killed at
// each step of it. After the next life nothing of the user is in the directory, the contact is gone, and the ledger adds up.
func TestAForgetSurvivesAKillAtEachStep(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]failpoint.Point{
		"its own": stepsOfAForget(),
		"commit":  {failpoint.EffectAfter, failpoint.CommitBefore, failpoint.CommitAfter},
		"others":  {failpoint.ReplayCommitted, failpoint.TrimAfter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forgetWithKills(t, steps)
		})
	}
}

// forgetWithKills goes through steps on one store, each with a user of its own.
func forgetWithKills(t *testing.T, steps []failpoint.Point) {
	t.Helper()
	box, api := childAPI(t, sandbox.Options{}, sandbox.Fault{Percent: 100, MatchBody: refusedSeq + "}", Status: http.StatusUnprocessableEntity})
	c := newChild(t, buildProgram(t, "-tags", "failpoints"), t.TempDir(), api, "nats: {max_bytes: 128MiB}\n")
	ctx := t.Context()
	forgotten := map[string]bool{}
	for i, step := range steps {
		user := fmt.Sprintf("zq-somebody-%d-zq", i)
		forgotten[user] = true
		c.start("")
		for _, u := range []string{user, fmt.Sprint("stays-", i)} { // of the second something stays in every file
			c.deliver(ctx, anonymised(identify(u, 1, "")))
			c.settled(ctx) // so that the next call has nothing to say but what is refused
			c.deliver(ctx, anonymised(identifyWith(u, 2, "2"+refusedSeq)))
		}
		c.settled(ctx)
		for again := false; !again && ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
			var list admin.LetterList
			c.ask(ctx, http.MethodPost, "/api/replays", `{"all":true}`, &struct{}{})
			again = c.ask(ctx, http.MethodGet, "/api/letters", "", &list) && len(list.Letters) == i+2
			for _, l := range list.Letters {
				again = again && l.Attempts > 1
			}
		}
		c.signal(syscall.SIGTERM)
		if len(holding(t, c.data(), user)) == 0 {
			t.Fatal("there is nobody to forget")
		}

		c.start(string(step) + "=1:kill")
		body, err := json.Marshal(admin.ForgetRequest{UserIDs: []string{user}})
		if err != nil {
			t.Fatal(err)
		}
		taken := false
		for ; !c.over() && ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
			taken = taken || c.ask(ctx, http.MethodPost, "/api/forget", string(body), &admin.Forgetting{})
		}
		if !c.killed() || !strings.Contains(c.stderr.String(), "failpoint "+string(step)) {
			t.Fatalf("%s: %v\n%s", step, c.cmd.ProcessState, c.stderr)
		}

		c.start("")
		for ; !taken && ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
			taken = c.ask(ctx, http.MethodPost, "/api/forget", string(body), &admin.Forgetting{})
		}
		st := c.settled(ctx)
		for end := time.Now().Add(processPatience); (st.Ledger.Difference != 0 || st.Ledger.Dead != int64(i+1)) && time.Now().Before(end); st = c.settled(ctx) {
			pause(ctx, 100*time.Millisecond) // a letter is removed after its settlement is committed: a reading may come between
		}
		if st.Ledger.Difference != 0 || st.Ledger.Dead != int64(i+1) {
			t.Errorf("%s: %+v", step, st.Ledger)
		}
		for _, contact := range box.Contacts() {
			if forgotten[contact.ExternalID] {
				t.Errorf("%s: %s is still there", step, contact.ExternalID)
			}
		}
		for left := holding(t, c.data(), user); len(left) > 0; left = holding(t, c.data(), user) { // until the next trim
			select {
			case <-ctx.Done():
				t.Fatalf("%s: still in %v", step, left)
			case <-time.After(100 * time.Millisecond):
			}
		}
		c.signal(syscall.SIGTERM)
	}
}

// anonymised is a call whose message id does not name its user: those stay in the journal's file.
func anonymised(body []byte) []byte {
	at := bytes.Index(body, []byte(`"messageId":"`)) + len(`"messageId":"`)
	end := at + bytes.IndexByte(body[at:], '"')
	return slices.Concat(body[:at], []byte(rand.Text()), body[end:])
}
