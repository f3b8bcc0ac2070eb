package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

// filterFlags select dead letters; they are the same for every command about letters.
type filterFlags struct {
	Reason    string `help:"Only letters of this class, like invalid or exhausted."`
	Type      string `help:"Only calls of this type."`
	Source    string `help:"Only calls of this source."`
	UserID    string `name:"user-id" help:"Only calls of this userId."`
	User      string `help:"Only calls of this user, as the list shows it."`
	MessageID string `name:"message-id" help:"Only the call with this message id."`
	Field     string `help:"Only letters about this contact field."`
	Status    int    `help:"Only letters whose last answer had this HTTP status."`
	Text      string `help:"Only letters whose error has this text, in any letter case."`
	Cause     string `help:"Only letters with this cause, as dlq list --group shows it."`
	Since     string `placeholder:"TIME" help:"Only letters tried last at or after this time: 2026-11-23T16:00:00Z, 2026-11-23, or 24h ago as 24h."`
	Until     string `placeholder:"TIME" help:"Only letters tried last before this time."`
}

// filter is the flags as the service takes them.
func (f filterFlags) filter() (admin.Filter, error) {
	var out admin.Filter
	out.Reason, out.Type, out.Source, out.UserID, out.User = f.Reason, f.Type, f.Source, f.UserID, f.User
	out.MessageID, out.Field, out.Status, out.Text, out.Cause = f.MessageID, f.Field, f.Status, f.Text, f.Cause
	var err error
	if out.Since, err = parseTime("--since", f.Since); err != nil {
		return out, err
	}
	out.Until, err = parseTime("--until", f.Until)
	return out, err
}

// query is the flags as parameters.
func (f filterFlags) query() (url.Values, error) {
	filter, err := f.filter()
	if err != nil {
		return nil, err
	}
	q := url.Values{}
	for name, value := range map[string]string{
		"reason": f.Reason, "type": f.Type, "source": f.Source, "user_id": f.UserID, "user": f.User, "message_id": f.MessageID,
		"field": f.Field, "text": f.Text, "cause": f.Cause,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Status != 0 {
		q.Set("status", strconv.Itoa(f.Status))
	}
	for name, at := range map[string]time.Time{"since": filter.Since, "until": filter.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return q, nil
}

// parseTime reads a moment, or a duration as so long ago.
func parseTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &failure{exitUsage, flag + " is not a time: " + clean(text, 60), "write it like 2026-11-23T16:00:00Z or 2026-11-23 (UTC), or 24h for a day ago"}
}

// selectionFlags say which letters a command is about: ids, a filter, or all.
type selectionFlags struct {
	IDs []string `arg:"" optional:"" name:"id" help:"Ids of letters, as dlq list shows them; - reads them from standard input."`
	All bool     `help:"All letters."`
	filterFlags
}

// selection checks that the flags say clearly which letters they mean.
func (s selectionFlags) selection(p *program) (admin.Selection, error) {
	filter, err := s.filter()
	if err != nil {
		return admin.Selection{}, err
	}
	ids, err := p.idsOf(s.IDs)
	if err != nil {
		return admin.Selection{}, err
	}
	ways := 0
	for _, given := range []bool{len(s.IDs) > 0, s.All, filter != (admin.Filter{})} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return admin.Selection{}, &failure{exitUsage, "it is not clear which letters are meant", "give ids, or filters like --reason and --cause, or --all; see: freshrelay dlq list"}
	}
	if len(s.IDs) > 0 && len(ids) == 0 {
		return admin.Selection{}, &failure{exitUsage, "there are no ids on standard input", "give one a line"}
	}
	return admin.Selection{IDs: ids, All: s.All, Filter: filter}, nil
}

// maxInput is far above any list of ids (bytes).
const maxInput = 4 << 20

// idsOf replaces - by the words on standard input.
func (p *program) idsOf(args []string) ([]string, error) {
	var ids []string
	for _, arg := range args {
		if arg != "-" {
			ids = append(ids, arg)
			continue
		}
		text, err := io.ReadAll(io.LimitReader(p.stdin, maxInput))
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		ids = append(ids, strings.Fields(string(text))...)
	}
	return ids, nil
}

// printGroups shows letters by cause.
func (p *program) printGroups(list admin.GroupList) {
	if len(list.Groups) == 0 {
		fmt.Fprintln(p.stdout, "no dead letters here")
		return
	}
	rows := make([]table.Row, 0, len(list.Groups))
	for _, g := range list.Groups {
		rows = append(rows, table.Row{
			g.Count, clean(g.Cause, 20), clean(g.Reason, 20), clean(g.Field, 24), statusText(g.Status),
			g.Last.UTC().Format(time.DateTime), clean(answerText(g.Error), 60),
		})
	}
	printTable(p.stdout, table.Row{"letters", "cause", "reason", "field", "status", "last try (UTC)", "error"}, rows)
	fmt.Fprintf(p.stdout, "%s in all; one cause's: freshrelay dlq list --cause CAUSE\n", letters(list.Total))
}
