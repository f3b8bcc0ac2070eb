package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

// ForgetStatus is what forget --status -o json prints.
type ForgetStatus struct {
	Users []ForgetStanding `json:"users"`
	// InLog says that calls of erased users, whoever they are, may still be in the log's files.
	InLog bool `json:"in_log"`
}

// ForgetStanding says since when a user is erased; null: that user is not, or may come again.
type ForgetStanding struct {
	UserID string     `json:"user_id"`
	Erased *time.Time `json:"erased"`
}

// status only asks: about the users that are named, and about the log.
func (c *forgetCmd) status(ctx context.Context, p *program, g *globals) error {
	var ids []string
	if len(c.UserIDs) > 0 {
		var err error
		if ids, err = c.ids(p); err != nil {
			return err
		}
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	st := ForgetStatus{Users: []ForgetStanding{}}
	var got admin.ErasingAnswer
	if err := service.get(ctx, "/api/forget", nil, &got); err != nil {
		return err
	}
	st.InLog = got.InLog
	for _, id := range ids {
		var one admin.ErasingAnswer
		if err := service.get(ctx, "/api/forget", url.Values{"user_id": {id}}, &one); err != nil {
			return err
		}
		st.Users = append(st.Users, ForgetStanding{UserID: id, Erased: one.Erased})
	}
	if g.Output == "json" {
		return p.printJSON(st)
	}
	if len(st.Users) > 0 {
		rows := make([]table.Row, len(st.Users))
		for i, u := range st.Users {
			rows[i] = table.Row{clean(u.UserID, 40), "not erased: calls are taken"}
			if u.Erased != nil {
				rows[i][1] = "erased " + u.Erased.UTC().Format(time.DateTime) + " UTC: calls are discarded (suppressed)"
			}
		}
		printTable(p.stdout, table.Row{"user id", "standing"}, rows)
	}
	if st.InLog {
		fmt.Fprintln(p.stdout, stillInLog)
		return nil
	}
	fmt.Fprintln(p.stdout, "in the log  nothing of erased users any more")
	return nil
}
