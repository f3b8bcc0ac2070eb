package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/freshrelay/freshrelay/admin"
)

type dlqReplaysCmd struct{}

// Run lists the replays that are remembered.
func (*dlqReplaysCmd) Run(ctx context.Context, p *program, g *globals) error {
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	var list admin.ReplayList
	if err := service.get(ctx, "/api/replays", nil, &list); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(list)
	}
	if len(list.Replays) == 0 {
		fmt.Fprintln(p.stdout, "no replays yet")
		return nil
	}
	rows := make([]table.Row, 0, len(list.Replays))
	for _, r := range list.Replays {
		rows = append(rows, table.Row{
			clean(r.ID, 20), clean(r.Action, 10), clean(r.State, 10), r.Created.UTC().Format(time.DateTime), r.Selected, r.Deliver, r.Discard, r.Dead, r.Gone,
			r.Waiting, clean(r.Actor, 30),
		})
	}
	printTable(p.stdout, table.Row{"replay", "action", "state", "begun (UTC)", "letters", "delivered", "discarded", "dead", "gone", "waiting", "by"}, rows)
	return nil
}
