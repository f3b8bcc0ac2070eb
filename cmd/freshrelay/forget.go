package main

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

type forgetCmd struct {
	UserIDs []string      `arg:"" optional:"" name:"user-id" help:"The userIds, or - for one per line from standard input."`
	Undo    bool          `help:"Let users come again that were erased. What was erased stays so."`
	Status  bool          `help:"Erase nobody: say whether these users are erased, and whether anything of erased users is left in the log."`
	Yes     bool          `short:"y" help:"Do not ask."`
	NoWait  bool          `help:"Do not wait: the service goes on by itself."`
	Timeout time.Duration `default:"0" help:"Wait for outcomes no longer than this; 0 waits until the end."`
}

// Help is the long help of the subcommand.
func (forgetCmd) Help() string {
	return `Erases users: their contacts in Freshmarketer (deletion.contact says whether for good), what is remembered of them here, their dead letters and lines of the journal; with them what is remembered of ids that alias calls gave up for theirs. It takes effect after all calls of the user that came before; those that still wait are not sent any more. Later calls of the user are discarded (suppressed) until --undo. The receipt says what is still somewhere; --status says later whether it is gone.`
}

// ForgetReport is the receipt, as -o json prints it.
type ForgetReport struct {
	Undo    bool            `json:"undo"`
	Users   []ForgetReceipt `json:"users"`
	Done    int             `json:"done"`
	Dead    int             `json:"dead"`    // the API did not do it; it is tried again by itself
	Waiting int             `json:"waiting"` // no outcome yet
	// InLog says that calls of erased users are still in the log's files, until the next trim.
	InLog bool `json:"in_log"`
	// NotReached is what no program can erase from here.
	NotReached []string `json:"not_reached,omitempty"`
}

// ForgetReceipt is what became of one user. Outcome is delivered, discarded, dead or waiting.
type ForgetReceipt struct {
	UserID    string    `json:"user_id"`
	User      string    `json:"user"` // token: by it the log, the journal and the audit log know the user
	MessageID string    `json:"message_id"`
	Outcome   string    `json:"outcome"`
	Reason    string    `json:"reason,omitempty"`
	Calls     []string  `json:"calls,omitempty"` // of the API
	At        time.Time `json:"at,omitzero"`
	// Contact is what became of the contact: erased, or none found.
	Contact string `json:"contact,omitempty"`
}

const outcomeWaiting = "waiting"

// Run asks, puts the calls into the log and follows them.
func (c *forgetCmd) Run(ctx context.Context, p *program, g *globals) error {
	if c.Status {
		return c.status(ctx, p, g)
	}
	ids, err := c.ids(p)
	if err != nil {
		return err
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	if !c.Yes && isTerminal(p.stdin) {
		question := fmt.Sprintf("Erase %s, with what Freshmarketer has of them?", users(len(ids)))
		if c.Undo {
			question = fmt.Sprintf("Let %s come again?", users(len(ids)))
		}
		if err := ask(p, question); err != nil {
			return err
		}
	}
	report := ForgetReport{Undo: c.Undo, Users: []ForgetReceipt{}}
	since := time.Now().Add(-journalWindow)
	for part := range slices.Chunk(ids, admin.MaxForget) {
		var got admin.Forgetting
		if err := service.post(ctx, "/api/forget", admin.ForgetRequest{UserIDs: part, Undo: c.Undo}, &got); err != nil {
			return err
		}
		for i, call := range got.Users {
			report.Users = append(report.Users, ForgetReceipt{UserID: part[i], User: call.User, MessageID: call.MessageID, Outcome: outcomeWaiting})
		}
	}
	if !c.NoWait {
		if err := c.follow(ctx, p, service, &report, since); err != nil {
			return err
		}
	}
	return c.show(ctx, p, g, service, &report)
}

// ids are the userIds of the command line or of standard input, each once.
func (c *forgetCmd) ids(p *program) ([]string, error) {
	ids := c.UserIDs
	if slices.Equal(ids, []string{"-"}) {
		ids = nil
		lines := bufio.NewScanner(p.stdin)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if id := strings.TrimSuffix(lines.Text(), "\r"); strings.TrimSpace(id) != "" {
				ids = append(ids, id)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, &failure{exitUsage, "standard input cannot be read: " + err.Error(), "give one userId per line"}
		}
	}
	seen := map[string]bool{}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
	if len(ids) == 0 {
		return nil, &failure{exitUsage, "it is not clear whom to forget", "give userIds, or - and one per line on standard input"}
	}
	return ids, nil
}

// follow waits for each call's line in the journal. The end of the patience, and an interrupt, leave the calls alone.
func (c *forgetCmd) follow(ctx context.Context, p *program, service *client, report *ForgetReport, since time.Time) error {
	waitCtx := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		waitCtx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	b := p.newBar("erasing", len(report.Users))
	defer b.stop()
	for i := range report.Users {
		u := &report.Users[i]
		for pause := p.poll; ; pause = longer(pause) {
			var list admin.EventList
			err := service.get(waitCtx, "/api/events", url.Values{"user": {u.User}, "since": {since.UTC().Format(time.RFC3339Nano)}}, &list)
			switch {
			case waitCtx.Err() != nil:
				return nil
			case err != nil && !unreachableNow(err):
				return err
			case err == nil && list.Off:
				return nil // nobody writes down what becomes of it
			}
			if u.settle(list.Events) {
				break
			}
			if wait(waitCtx, pause) != nil {
				return nil
			}
		}
		b.set(i+1, fmt.Sprintf("erasing: %d of %d", i+1, len(report.Users)))
	}
	return nil
}

// settle looks for the call's line. A call that waits for another delivery.mode is not waited for.
func (r *ForgetReceipt) settle(lines []admin.Event) bool {
	for _, e := range lines {
		switch {
		case e.MessageID != r.MessageID:
			continue
		case e.Outcome == outcomeObserved:
			r.Reason = "delivery.mode does not write this user"
			return true
		}
		r.Outcome, r.Reason, r.At = e.Outcome, e.Reason, e.At
		for _, call := range e.Calls {
			r.Calls = append(r.Calls, call.Operation+" "+statusText(call.Status))
		}
		return true
	}
	return false
}

// found says whether a call that is done has erased a contact.
func (r *ForgetReceipt) found() string {
	for _, call := range r.Calls {
		if strings.HasPrefix(call, "forget_contact 2") || strings.HasPrefix(call, "delete_contact 2") {
			return "erased"
		}
	}
	return "none found"
}

func (c *forgetCmd) show(ctx context.Context, p *program, g *globals, service *client, report *ForgetReport) error {
	for i := range report.Users {
		u := &report.Users[i]
		if u.Outcome == outcomeDelivered && !c.Undo {
			u.Contact = u.found()
		}
		switch u.Outcome {
		case outcomeWaiting:
			report.Waiting++
		case outcomeDelivered, outcomeDiscarded:
			report.Done++
		default:
			report.Dead++
		}
	}
	if !c.Undo {
		var erasing admin.ErasingAnswer
		if err := service.get(context.WithoutCancel(ctx), "/api/forget", nil, &erasing); err != nil {
			return err
		}
		report.InLog = erasing.InLog
		report.NotReached = []string{
			"letters that were exported, backups of the data directory, and this list",
			"the contact of an id that an alias call gave up for another: name the other",
			"what Freshmarketer keeps of deleted contacts, and its recycle bin with deletion.contact: recycle_bin",
			"people who sent calls without a userId (identity.without_user_id: by_email): delete their contacts in Freshmarketer",
			"message ids and field names of removed journal lines, in the broker's file until it drops it, some time after journal.max_age",
		}
	}
	if g.Output == "json" {
		if err := p.printJSON(report); err != nil {
			return err
		}
		return report.exit()
	}
	rows := make([]table.Row, len(report.Users))
	for i, u := range report.Users {
		rows[i] = table.Row{clean(u.UserID, 40), u.User, u.Outcome, u.Reason, u.Contact, strings.Join(u.Calls, ", ")}
	}
	printTable(p.stdout, table.Row{"user id", "user", "outcome", "reason", "contact", "api calls"}, rows)
	if c.Undo {
		fmt.Fprintf(p.stdout, "%s: calls of %d are taken from now on, whether they were erased or not; %d waiting\n", users(len(report.Users)), report.Done, report.Waiting)
		return report.exit()
	}
	fmt.Fprintf(p.stdout, "%s: %d done, %d waiting, %d set aside and tried again by themselves\n", users(len(report.Users)), report.Done, report.Waiting, report.Dead)
	if report.InLog {
		fmt.Fprintln(p.stdout, stillInLog)
	}
	for _, what := range report.NotReached {
		fmt.Fprintln(p.stdout, "not reached "+what)
	}
	return report.exit()
}

// stillInLog is about all erased users: the log's files do not say whose calls they hold.
const stillInLog = "in the log  earlier calls of erased users, if there were any, until all before is settled and the log is trimmed: usually two minutes, " +
	"about an hour for calls that came after the erasure. " +
	"Whether they are gone says: freshrelay forget --status"

// exit is the error for what is not done yet.
func (r *ForgetReport) exit() error {
	if r.Dead == 0 {
		return nil
	}
	return &failure{exitPartial, users(r.Dead) + " could not be erased yet", "it is tried again by itself; why: freshrelay dlq list --type delete"}
}

func users(n int) string {
	if n == 1 {
		return "1 user"
	}
	return fmt.Sprintf("%d users", n)
}
