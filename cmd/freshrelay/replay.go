package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
)

type dlqReplayCmd struct {
	IDs     []string      `arg:"" optional:"" name:"id" help:"Ids of letters, as dlq list shows them."`
	Reason  string        `help:"All letters of this class, like exhausted." xor:"which"`
	All     bool          `help:"All letters." xor:"which"`
	Yes     bool          `short:"y" help:"Do not ask."`
	NoWait  bool          `help:"Do not wait for the outcomes."`
	Timeout time.Duration `default:"20m" help:"Wait for outcomes no longer than this."`
}

// ReplayReport is what `dlq replay -o json` prints.
type ReplayReport struct {
	Count   int      `json:"count"`   // letters sent again
	Settled int      `json:"settled"` // of them, those that are dead letters no more
	Dead    int      `json:"dead"`    // those that failed again
	Waiting int      `json:"waiting"` // those whose outcome is not known yet
	Missing []string `json:"missing"` // ids that were no dead letters (any more)
	// Outcomes of the settled ones by message id; only for small replays.
	Outcomes map[string]string `json:"outcomes,omitempty"`
}

// Run counts, asks, replays and follows the letters to their outcomes.
func (c *dlqReplayCmd) Run(ctx context.Context, p *program, g *globals) error {
	if byID, byKind := len(c.IDs) > 0, c.Reason != "" || c.All; byID == byKind {
		return &failure{exitUsage, "it is not clear which letters to replay", "give ids, or --reason, or --all; see: freshrelay dlq list"}
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	req := admin.ReplayRequest{IDs: c.IDs, Reason: c.Reason, All: c.All, DryRun: true}
	var found admin.ReplayAnswer
	if err := service.post(ctx, "/api/letters/replay", req, &found); err != nil {
		return err
	}
	if found.Count > 0 {
		if err := c.confirm(p, found.Count); err != nil {
			return err
		}
		req.DryRun = false
		if err := service.post(ctx, "/api/letters/replay", req, &found); err != nil {
			return err
		}
	}
	report := ReplayReport{Count: found.Count, Waiting: found.Count, Missing: found.Missing}
	if found.Count > 0 && !c.NoWait {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		p.followReplay(ctx, service, found.Letters, &report)
	}
	if g.Output == "json" {
		if err := p.printJSON(report); err != nil {
			return err
		}
	} else {
		p.printReplay(report, c.NoWait)
	}
	return report.failure(c.NoWait)
}

// confirm asks, if there is somebody to ask.
func (c *dlqReplayCmd) confirm(p *program, count int) error {
	if c.Yes || !isTerminal(p.stdin) {
		return nil
	}
	return ask(p, fmt.Sprintf("Send %s again?", letters(count)))
}

// ask puts a question to which only a yes is a yes.
func ask(p *program, question string) error {
	fmt.Fprint(p.stderr, question+" [y/N] ")
	answer, err := bufio.NewReader(p.stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	if err != nil {
		fmt.Fprintln(p.stderr)
	}
	return &failure{exitFailed, "not replayed", "nothing was changed; say yes, or use --yes"}
}

// lookupChunk is how many letters are asked about at once, chosenOutcomes up to how many the outcome is looked up.
const (
	lookupChunk    = 1000
	chosenOutcomes = 25
)

// followReplay waits until each letter is gone (settled) or was tried again in vain. Trouble on the way ends the
// waiting and nothing else: the service goes on by itself.
func (p *program) followReplay(ctx context.Context, service *client, sent []admin.Letter, report *ReplayReport) {
	b := p.newBar("replaying", len(sent))
	defer b.stop()
	left, pause := sent, p.poll
	for {
		still, again, err := lookup(ctx, service, left)
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintln(p.stderr, "waiting no longer: "+err.Error())
			}
			return
		}
		report.Dead += again
		report.Settled += len(left) - len(still) - again
		report.Waiting = len(still)
		b.set(report.Settled + report.Dead)
		left = still
		if len(left) == 0 {
			break
		}
		if wait(ctx, pause) != nil {
			return
		}
		pause = longer(pause)
	}
	if len(sent) <= chosenOutcomes {
		report.Outcomes = outcomes(ctx, service, sent)
	}
}

// lookup returns the letters that are as they were, and counts those that failed again. The rest is gone.
func lookup(ctx context.Context, service *client, letters []admin.Letter) (still []admin.Letter, again int, err error) {
	for len(letters) > 0 {
		chunk := letters[:min(len(letters), lookupChunk)]
		letters = letters[len(chunk):]
		req := admin.LookupRequest{IDs: make([]string, len(chunk))}
		for i, l := range chunk {
			req.IDs[i] = l.ID
		}
		var list admin.LetterList
		if err := service.post(ctx, "/api/letters/lookup", req, &list); err != nil {
			return nil, 0, err
		}
		now := make(map[string]admin.Letter, len(list.Letters))
		for _, l := range list.Letters {
			now[l.ID] = l
		}
		for _, before := range chunk {
			l, there := now[before.ID]
			switch {
			case !there:
			case l.Attempts != before.Attempts || !l.LastTry.Equal(before.LastTry):
				again++
			default:
				still = append(still, before)
			}
		}
	}
	return still, again, nil
}

// outcomes asks the journal what became of the letters. The journal may be behind, so no word is no error.
func outcomes(ctx context.Context, service *client, sent []admin.Letter) map[string]string {
	out := make(map[string]string, len(sent))
	for _, l := range sent {
		events, err := journal(ctx, service, l.MessageID, l.LastTry)
		if err != nil || len(events) == 0 {
			continue
		}
		e := events[len(events)-1]
		out[l.MessageID] = e.Outcome
		if e.Reason != "" {
			out[l.MessageID] += " (" + e.Reason + ")"
		}
	}
	return out
}

func (p *program) printReplay(r ReplayReport, noWait bool) {
	for _, id := range r.Missing {
		fmt.Fprintf(p.stdout, "%s is no dead letter (any more): it was delivered, or never was one\n", clean(id, 60))
	}
	if r.Count == 0 {
		fmt.Fprintln(p.stdout, "nothing to replay")
		return
	}
	if noWait {
		fmt.Fprintf(p.stdout, "%s will be sent again, each in its user's turn; see: freshrelay dlq list\n", letters(r.Count))
		return
	}
	line := fmt.Sprintf("%s sent again: %d settled", letters(r.Count), r.Settled)
	if r.Dead > 0 {
		line += fmt.Sprintf(", %d failed again", r.Dead)
	}
	if r.Waiting > 0 {
		line += fmt.Sprintf(", %d not known yet", r.Waiting)
	}
	fmt.Fprintln(p.stdout, line)
	for id, outcome := range sorted(r.Outcomes) {
		fmt.Fprintf(p.stdout, "  %s  %s\n", clean(id, 60), outcome)
	}
}

// failure is the report as an exit code: all went well, some of it did, or none.
func (r ReplayReport) failure(noWait bool) error {
	next := "see why: freshrelay dlq list; then mend it and replay again"
	switch {
	case r.Dead > 0 && r.Dead == r.Count:
		return &failure{exitFailed, letters(r.Dead) + " failed again", next}
	case r.Dead > 0:
		return &failure{exitPartial, fmt.Sprintf("%d of %s failed again", r.Dead, letters(r.Count)), next}
	case r.Waiting > 0 && !noWait:
		return &failure{
			exitPartial, fmt.Sprintf("the outcome of %s is not known yet", letters(r.Waiting)),
			"the service goes on with it; see: freshrelay status and freshrelay dlq list",
		}
	}
	return nil
}

func letters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}
