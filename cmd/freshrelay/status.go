package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
)

type statusCmd struct{}

// Run shows the service's own account of itself.
func (*statusCmd) Run(ctx context.Context, p *program, g *globals) error {
	c, err := p.connect(g)
	if err != nil {
		return err
	}
	var st admin.Status
	if err := c.get(ctx, "/api/status", nil, &st); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(st)
	}
	p.printStatus(st, time.Now())
	return nil
}

func (p *program) printStatus(st admin.Status, now time.Time) {
	out := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	delivery := ""
	if st.Delivery != "" && st.Delivery != config.ModeLive {
		delivery = ", " + p.loud(clean(st.Delivery, 20))
	}
	out("freshrelay %s   mode %s%s   account %s   up %s", st.Version, st.Mode, delivery, clean(st.Account, 80), ago(now, st.Started))
	out("")
	switch {
	case !st.Sends:
		out("sending     not by this process, which only takes calls in: ask one that delivers")
	case len(st.Paused) == 0:
		out("sending     yes")
	}
	for _, pause := range st.Paused {
		since := ""
		if !pause.Since.IsZero() {
			since = " for " + ago(now, pause.Since)
		}
		why := clean(pause.Detail, 100)
		if pause.By != "" {
			why = "by " + clean(pause.By, 40)
		}
		if pause.Note != "" {
			why += ": " + clean(pause.Note, 200)
		}
		out("sending     %s%s  %s", p.loud("PAUSED: "+pause.Reason), since, why)
		out("            %s", pause.Mend)
	}
	if st.Sends {
		out("API         last success %s, last failure %s", when(now, st.API.LastSuccess), when(now, st.API.LastFailure))
	}
	if e := st.API.LastError; e != nil {
		out("            last error: %s on %s, %s", clean(e.Kind, 40), clean(e.Operation, 40), answered(e.Status))
	}
	p.printQuota(st)
	if st.Delivery != "" && st.Delivery != config.ModeLive {
		out("waiting     what would be written: freshrelay observe report, and observe show <userId> for one contact before and after")
	}
	p.printProcesses(st, now)
	out("")
	p.printLedger(st, now)
	p.printCalls(st, now)
	p.printTallies("discarded", st.Discards, "")
	p.printTallies("dead letters", st.Dead, "see them: freshrelay dlq list --reason ")
	p.printCauses(st, now)
	p.printUnmapped(st.Unmapped, now)
	out("")
	sizes := make([]string, 0, len(st.StoreBytes))
	for _, stream := range slices.Sorted(maps.Keys(st.StoreBytes)) {
		sizes = append(sizes, stream+" "+bytesText(st.StoreBytes[stream]))
	}
	out("store       %s", strings.Join(sizes, ", "))
	if st.Durability.Means != "" {
		out("durability  %s", worth(st.Durability))
	}
	for _, stream := range slices.Sorted(maps.Keys(st.StoreFull)) {
		if percent := st.StoreFull[stream]; percent >= nearlyFull {
			out("            %s", p.loud(fmt.Sprintf("%s uses %d %% of its room", clean(stream, 20), percent))+": "+whenFull(stream))
		}
	}
	if !st.Journal {
		out("journal     off: events show and dlq show know less (journal.enabled)")
	}
}

// worth says what a call's 200 is worth.
func worth(d admin.Durability) string {
	means := "what was answered with 200 is on disk"
	if d.Means == config.DurabilityReplicated {
		means = "what was answered with 200 is with most servers, and can be lost if all lose power at once"
	}
	by := "by the embedded broker"
	if d.Declared {
		by = "as nats.durability declares it"
	}
	return fmt.Sprintf("%s, %s: %s", clean(d.Means, 20), by, means)
}

// nearlyFull is when a stream's fullness is said, in percent.
const nearlyFull = 80

// whenFull is what happens when a stream is full, and what helps.
func whenFull(stream string) string {
	switch stream {
	case "dead":
		return "when it is full, calls that must be set aside wait and hold up their users; replay, export or discard dead letters, or raise nats.max_bytes"
	case "state":
		return "when it is full, calls of new users are refused; raise nats.max_bytes"
	}
	return "when it is full, senders are refused; see why nothing is delivered, or raise nats.max_bytes"
}

// printCauses shows what the dead letters have in common, and which will soon be given up.
func (p *program) printCauses(st admin.Status, now time.Time) {
	for _, g := range st.Causes {
		fmt.Fprintf(p.stdout, "%10d  cause %s: %s %s  %s\n", g.Count, clean(g.Cause, 20), clean(g.Reason, 20), clean(g.Field, 24), clean(answerText(g.Error), 50))
	}
	if st.Letters.Expiring > 0 && st.Letters.Expires != nil {
		fmt.Fprintf(p.stdout, "            %s; replay, export or discard them (dead.retention)\n",
			p.loud(fmt.Sprintf("%s will be given up, the first in %s", letters(st.Letters.Expiring), ago(*st.Letters.Expires, now))))
	}
}

// printQuota shows what is left of the account's calls, and when the backlog will be gone.
func (p *program) printQuota(st admin.Status) {
	for _, q := range st.Quota {
		note := fmt.Sprintf("of %d, %d kept for people", q.Limit, q.Reserve)
		if q.Allowed < q.Limit-q.Reserve {
			note += fmt.Sprintf("; %d at present, after a 429", q.Allowed)
		}
		fmt.Fprintf(p.stdout, "quota       %d calls left this %s, %d used (%s)\n", q.Left, clean(q.Window, 20), q.Used, note)
	}
	p.printBackfill(st.Backfill)
	switch {
	case st.Ledger.Pending == 0 || !st.Sends:
	case st.BacklogClear == nil:
		fmt.Fprintln(p.stdout, "backlog     nobody can tell yet when it will be clear")
	default:
		fmt.Fprintf(p.stdout, "backlog     clear in about %s\n", rough(time.Duration(*st.BacklogClear*float64(time.Second))))
	}
}

// printBackfill shows how far the reading of the account's contacts is, if they are read.
func (p *program) printBackfill(b *admin.Backfill) {
	if b == nil {
		return
	}
	note := fmt.Sprintf("%d contacts are indexed, %d calls so far", b.Contacts, b.Calls)
	if b.Reading {
		note = fmt.Sprintf("reading contacts: %d of about %d pages, %d contacts, %d calls so far", b.Pages, b.Of, b.Contacts, b.Calls)
	}
	if b.Left > 0 {
		note += ", done in about " + rough(time.Duration(b.Left*float64(time.Second)))
	}
	if b.Waiting > 0 {
		note += fmt.Sprintf("; %d users wait for it", b.Waiting)
	}
	fmt.Fprintln(p.stdout, "backfill    "+note)
}

// printCalls shows what came of each type of call, what of it was dropped at the door, and what happens to it.
func (p *program) printCalls(st admin.Status, now time.Time) {
	if len(st.Calls) == 0 {
		return
	}
	fmt.Fprintf(p.stdout, "\ncalls that came in %s, and what happens to each\n", ago(now, st.CallsSince))
	for _, c := range st.Calls {
		fmt.Fprintf(p.stdout, "%-10s%10d  %s (%s)\n", clean(c.Type, 10), c.Received, clean(c.Fate, 0), clean(c.Switch, 0))
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(c.Dropped)) {
			reasons = append(reasons, fmt.Sprintf("%d %s", c.Dropped[reason], clean(reason, 20)))
		}
		if len(reasons) > 0 {
			fmt.Fprintf(p.stdout, "%20s  dropped: %s\n", "", strings.Join(reasons, ", "))
		}
	}
}

func (p *program) printLedger(st admin.Status, now time.Time) {
	l := st.Ledger
	out := func(name string, n int64, note string) { fmt.Fprintf(p.stdout, "%-10s%10d%s\n", name, n, note) }
	out("accepted", l.Accepted, "   entries since the store was made; a group, alias or delete call can be two")
	out("delivered", l.Delivered, "")
	out("discarded", l.Discarded, "")
	out("dead", l.Dead, "")
	oldest := ""
	if st.OldestPending != nil {
		oldest = "   the oldest for " + ago(now, *st.OldestPending)
	}
	out("pending", l.Pending, oldest)
	switch {
	case len(l.Uncounted) > 0:
		fmt.Fprintln(p.stdout, "            "+p.loud("what is pending in "+partitions(l.Uncounted)+" cannot be told")+
			" and is missing here: nobody has owned it since an older version did; start a process that delivers")
	case !l.SettledReading:
		fmt.Fprintln(p.stdout, "            the log is still being read again after the start; pending is too high until then")
	case l.Difference != 0:
		fmt.Fprintln(p.stdout, "            "+p.loud(fmt.Sprintf("these do not add up: accepted is off by %d", l.Difference))+
			" (under load for a moment; if it stays, report it)")
	default:
		fmt.Fprintln(p.stdout, "            accepted = delivered + discarded + dead + pending")
	}
}

// maxTallies keeps the screen one screen.
const maxTallies = 8

// printTallies shows how often each reason came, and its mend; look is the command to which a reason can be added.
func (p *program) printTallies(title string, list []admin.Tally, look string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.stdout, "\n"+title)
	for _, t := range list[:min(len(list), maxTallies)] {
		fmt.Fprintf(p.stdout, "%10d  %s (%s)\n            %s\n", t.Count, t.Reason, t.Type, t.Mend)
		if look != "" {
			fmt.Fprintf(p.stdout, "            %s%s\n", look, clean(t.Reason, 40))
		}
	}
	if more := len(list) - maxTallies; more > 0 {
		fmt.Fprintf(p.stdout, "            and %d more; see -o json\n", more)
	}
}

// printUnmapped shows the traits that find no field.
func (p *program) printUnmapped(list []admin.Unmapped, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(p.stdout, "\ntraits without a field")
	for _, u := range list {
		fmt.Fprintf(p.stdout, "%10d  %s (%s), last %s ago\n", u.Count, clean(u.Trait, 60), clean(u.Source, 40), ago(now, u.Last))
	}
	fmt.Fprintln(p.stdout, "            lines for them: freshrelay mapping suggest")
}

// answered is the status of an answer in words: 0 is none.
func answered(status int) string {
	if status == 0 {
		return "no answer"
	}
	return fmt.Sprintf("status %d", status)
}

// ago is how long it is since then, as short as makes sense.
func ago(now, then time.Time) string { return rough(max(now.Sub(then), 0)) }

// rough is a duration without what does not matter.
func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

func when(now time.Time, then *time.Time) string {
	if then == nil {
		return "none yet"
	}
	return ago(now, *then) + " ago"
}

func bytesText(n uint64) string {
	for _, unit := range []struct {
		name string
		size uint64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
