package main

import (
	"strings"
	"testing"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got := r.run(t, "status")
	wantCode(t, got, exitOK)
	wantParts(t, "status", got.out,
		"freshrelay v1.2.3   mode sandbox, canary   account acme.example   up 3h0m",
		"freshrelay observe report",
		"PAUSED: key_refused for 1m  401\uFFFD[31m", "Put a valid key into freshmarketer.api_key",
		"quota       250 calls left this hour, 200 used (of 1000, 100 kept for people; 450 at present, after a 429)",
		"backfill    reading contacts: 120 of about 500 pages, 12000 contacts, 123 calls so far, done in about 25m; 41200 users wait for it",
		"backlog     clear in about 1h30m",
		"calls that came in 3h0m, and what happens to each",
		"identify          12  stored; its user's contact is made or updated;",
		"track              5  answered 200 and dropped (not_forwarded) (off; sources[].forward.track names those to make activities of)\n"+
			"                      dropped: 4 not_forwarded, 1 repeated\uFFFD\n", "delete             0  stored and discarded",
		"accepted          12", "delivered          7", "pending            1   the oldest for 1m",
		"do not add up: accepted is off by 1", "2  missing_email (identify)", "Send email among the traits",
		"dead letters", "1  invalid (identify)", "see them: freshrelay dlq list --reason invalid\n", "store       dead 91 B, events 3.0 MiB, state 100 B", "last success none yet",
		"2 dead letters will be given up, the first in 59m", "dead uses 91 % of its room: when it is full, calls that must be set aside wait")
	if strings.Contains(got.out, "\x1b") {
		t.Errorf("colours in a pipe, or an escape that came from outside: %q", got.out)
	}
	if n := strings.Count(got.out, "\n"); n > 40 {
		t.Errorf("%d lines are more than a screen", n)
	}
	st := decode[admin.Status](t, r.run(t, "status", "-o", "json").out)
	if len(st.Calls) != 7 || st.Calls[4].Received != 5 || st.Calls[4].Dropped["not_forwarded"] != 4 || st.Calls[4].Switch == "" || st.Calls[6].Received != 0 {
		t.Errorf("calls %+v", st.Calls)
	}
	if len(st.Quota) != 1 || st.Quota[0].Left != 250 || st.BacklogClear == nil || *st.BacklogClear != 5400 || st.Delivery != "canary" {
		t.Errorf("%+v", st)
	}
	if st.Ledger.Accepted != 12 || st.Ledger.Difference != 1 || len(st.Paused) != 1 || st.StoreBytes["events"] != 3<<20 {
		t.Errorf("%+v", st)
	}
}

func TestStatusWhileReading(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var out strings.Builder
	r.p.stdout = &out
	r.p.printStatus(admin.Status{Ledger: admin.Ledger{Difference: 5}, Paused: []admin.Pause{{Reason: "catalogue"}}}, time.Now())
	wantParts(t, "status", out.String(), "still being read again", "PAUSED: catalogue  \n")
	if strings.Contains(out.String(), "add up") {
		t.Errorf("a figure that is not settled is judged:\n%s", out.String())
	}
	out.Reset()
	r.p.printStatus(admin.Status{API: admin.API{LastError: &admin.APIError{Operation: "get_contact", Kind: "temporary"}}}, time.Now())
	wantParts(t, "status", out.String(), "last error: temporary on get_contact, no answer\n")
	out.Reset()
	list := make([]admin.Tally, maxTallies+3)
	r.p.printTallies("discarded", list, "")
	wantParts(t, "tallies", out.String(), "and 3 more")
}

func TestStatusSaysWhatA200IsWorth(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for want, d := range map[string]admin.Durability{
		"durability  fsync, by the embedded broker: what was answered with 200 is on disk\n":              {Means: "fsync"},
		"durability  fsync, as nats.durability declares it: what was answered with 200 is on disk\n":      {Means: "fsync", Declared: true},
		"durability  replicated, as nats.durability declares it: what was answered with 200 is with most": {Means: "replicated", Declared: true},
	} {
		var out strings.Builder
		r.p.stdout = &out
		r.p.printStatus(admin.Status{Durability: d}, time.Now())
		wantParts(t, "status", out.String(), want)
	}
}

// On servers that several processes share: who is there, whose the partitions are, and what nobody has.
func TestStatusOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var out strings.Builder
	r.p.stdout = &out
	now := time.Unix(1e9, 0)
	r.p.printStatus(admin.Status{
		Ledger: admin.Ledger{Accepted: 9, Pending: 9, Difference: 2, SettledReading: true, Uncounted: []int{4}},
		Processes: []admin.Process{
			{Host: "relay-1", PID: 7, Role: "ingest", Self: true},
			{Host: "relay-2\x1b", PID: 8, Role: "all", Partitions: []int{0, 1, 2, 3, 5, 8, 9}, Silent: true, Seen: now.Add(-time.Minute)},
			{Partitions: []int{6}},
		},
		Unowned: []int{4, 7},
	}, now)
	wantParts(t, "status", out.String(),
		"sending     not by this process, which only takes calls in",
		"processes   relay-1 pid 7   ingest   no partition   this one\n",
		"            relay-2\uFFFD pid 8   all   partitions 0-3, 5, 8, 9   no sign for 1m: it has ended without a word",
		"            ? pid 0   ?   partition 6\n", "nobody owns partitions 4, 7: what comes there waits",
		"what is pending in partition 4 cannot be told and is missing here")
	for _, wrong := range []string{"add up", "sending     yes", "last success", "when it will be clear"} {
		if strings.Contains(out.String(), wrong) {
			t.Errorf("it says %q:\n%s", wrong, out.String())
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 300 * time.Millisecond: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m",
		3*time.Hour + 4*time.Minute + 5*time.Second: "3h4m", 47 * time.Hour: "47h0m", 50 * time.Hour: "2 days",
	} {
		if got := ago(now, now.Add(-d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
