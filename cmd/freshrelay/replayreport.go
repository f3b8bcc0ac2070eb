package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/freshrelay/freshrelay/admin"
)

// ReplayReport is what `dlq replay -o json` prints: selected = delivered + discarded + dead + gone + waiting.
type ReplayReport struct {
	admin.Replay

	Missing []string `json:"missing"` // ids that were no dead letters (any more)
}

// show prints the report and turns it into an exit code.
func (r *replaying) show(report ReplayReport) error {
	if r.g.Output == "json" {
		if err := r.p.printJSON(report); err != nil {
			return err
		}
	} else {
		r.p.printReplay(report, r.noWait)
	}
	return report.failure(r.noWait)
}

func (p *program) printReplay(r ReplayReport, noWait bool) {
	for _, id := range r.Missing {
		fmt.Fprintf(p.stdout, "%s is no dead letter (any more): it was delivered, or never was one\n", clean(id, 60))
	}
	if r.ID == "" {
		fmt.Fprintln(p.stdout, "nothing to do: no dead letter is selected")
		return
	}
	if noWait {
		fmt.Fprintf(p.stdout, "replay %s has begun; follow it: freshrelay dlq replay --resume %s\n", clean(r.ID, 20), clean(r.ID, 20))
		return
	}
	fmt.Fprintf(p.stdout, "%s %s: %s taken up = %d delivered + %d discarded + %d dead again + %d gone + %d waiting\n",
		r.Action, clean(r.ID, 20), letters(r.Selected), r.Deliver, r.Discard, r.Dead, r.Gone, r.Waiting)
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		fmt.Fprintf(p.stdout, "%8d  %s\n", r.Reasons[reason], clean(reason, 60))
	}
	if r.Gone > 0 {
		fmt.Fprintf(p.stdout, "%8d  had been settled by something else before their turn\n", r.Gone)
	}
	if len(r.Held) > 0 {
		fmt.Fprintln(p.stdout, "held back, because the contact has something newer:")
		for _, field := range slices.Sorted(maps.Keys(r.Held)) {
			fmt.Fprintf(p.stdout, "%8d  %s\n", r.Held[field], clean(field, 60))
		}
	}
	if r.State == "stopped" {
		fmt.Fprintf(p.stdout, "stopped; to go on: freshrelay dlq replay --resume %s\n", clean(r.ID, 20))
	}
}

// failure is the report as an exit code: all went well, some of it did, or none.
func (r ReplayReport) failure(noWait bool) error {
	next := "see why: freshrelay dlq list --group; then mend it and replay again"
	switch {
	case noWait || r.ID == "":
		return nil
	case r.State == "stopped":
		return &failure{exitPartial, "stopped before the end", "go on: freshrelay dlq replay --resume " + r.ID}
	case r.Dead > 0 && r.Dead == r.Selected:
		return &failure{exitFailed, letters(r.Dead) + " failed again", next}
	case r.Dead > 0:
		return &failure{exitPartial, fmt.Sprintf("%d of %s failed again", r.Dead, letters(r.Selected)), next}
	case r.Waiting > 0 || r.State == "running":
		return &failure{exitPartial, "the outcome of some letters is not known yet", "the service goes on with it; see: freshrelay dlq replays"}
	}
	return nil
}

func letters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}
