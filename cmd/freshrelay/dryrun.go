package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/freshrelay/freshrelay/admin"
)

// editOf is a change of a value as the service takes it; without a value it leaves out what is there.
func editOf(path string, value json.RawMessage) admin.Edit {
	return admin.Edit{Path: path, Value: value}
}

// dryRun shows the requests a replay would make.
func (c *dlqReplayCmd) dryRun(ctx context.Context, p *program, g *globals, service *client, req admin.ReplayRequest) error {
	var list admin.PreviewList
	body := admin.PreviewRequestBody{Selection: req.Selection, Edits: req.Edits, Limit: c.Limit, Reveal: c.Reveal}
	if err := service.post(ctx, "/api/letters/preview", body, &list); err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(list)
	}
	for _, v := range list.Previews {
		p.printPreview(v)
	}
	note := ""
	if list.Masked && len(list.Previews) > 0 {
		note = "; values are masked, --reveal shows them"
	}
	fmt.Fprintf(p.stdout, "dry run: %s selected, %d shown, nothing was sent%s\n", letters(list.Total), len(list.Previews), note)
	return nil
}

func (p *program) printPreview(v admin.Preview) {
	out := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	switch {
	case v.Outcome == outcomeDelivered && len(v.Requests) == 0:
		out("%s  nothing to send: %s", clean(v.ID, 0), clean(v.Note, 0))
		v.Note = ""
	case v.Outcome == outcomeDelivered:
		out("%s", clean(v.ID, 0))
	default:
		out("%s  would be %s", clean(v.ID, 0), strings.TrimSpace(clean(v.Outcome+" "+v.Reason, 60)))
	}
	if v.Note != "" {
		out("      %s", clean(v.Note, 0))
	}
	for _, r := range v.Requests {
		out("      %s %s %s", clean(r.Method, 0), clean(r.Path, 0), clean(string(r.Body), 0))
	}
	for _, action := range actions(v.Fields) {
		out("      %-10s %s", action, strings.Join(fieldsOf(v.Fields, action), ", "))
	}
	for _, l := range v.LeftOut {
		out("      %-10s %s: %s", "left out", clean(l.Trait, 60), admin.Advise(admin.AboutLeftOut, l.Reason).Meaning)
	}
}
