package main

import (
	"context"
	"fmt"

	"github.com/freshrelay/freshrelay/admin"
)

type resyncCmd struct {
	UserID string `arg:"" optional:"" name:"user-id" help:"The userId whose contact is meant."`
	All    bool   `help:"All contacts; the account's fields are read anew too."`
}

// Help is the long help of the subcommand.
func (resyncCmd) Help() string {
	return `freshrelay does not send a value again that it has sent within mapping.resend_after (7 days). After changes by hand in Freshmarketer that the next calls should overwrite, resync forgets what was sent: each contact's next call sends everything it carries. Nothing is sent at once, and older calls still do not beat newer ones.`
}

// Run asks the service to forget.
func (c *resyncCmd) Run(ctx context.Context, p *program, g *globals) error {
	if (c.UserID != "") == c.All {
		return &failure{exitUsage, "it is not clear whom to resync", "give one userId, or --all"}
	}
	service, err := p.connect(g)
	if err != nil {
		return err
	}
	var got admin.ResyncAnswer
	if err := service.post(ctx, "/api/resync", admin.ResyncRequest{UserID: c.UserID, All: c.All}, &got); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(got)
	}
	whose := "this contact's"
	if c.All {
		whose = "each contact's"
	}
	fmt.Fprintf(p.stdout, "what was sent is forgotten: %s next call sends everything it carries\n", whose)
	return nil
}
