package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshrelay/freshrelay/app"
)

// checkCall is a call that is stored and judged like any other and never becomes a contact: nobody knows whose it is.
const checkCall = `{"type":"identify","anonymousId":"freshrelay-check","traits":{},"context":{"library":{"name":"freshrelay-check","version":"1"}}}`

// checkPatience is how long the outcome of such a call is waited for.
const checkPatience = 15 * time.Second

// follow sends a call as each source through the public address, signed where Segment would sign, and follows it to its outcome.
func (c *checkCmd) follow(ctx context.Context, p *program, g *globals, r *app.CheckReport) error {
	cfg, err := p.service(g)
	if err != nil {
		return err
	}
	if err := cfg.ReadSourceFiles(); err != nil {
		return err
	}
	service, err := p.clientFor(cfg, g)
	if err != nil {
		r.Add(app.AreaPublic, app.LevelWarning, "a call through "+cfg.Public()+" cannot be followed: "+err.Error(), "run this as the user of the service, on its machine")
		return nil
	}
	for _, source := range cfg.Sources {
		send := &sendCmd{Source: source.Name, Via: "auto", Timeout: checkPatience}
		if len(source.WebhookSecrets) > 0 {
			send.Via = "webhook"
		}
		s := &sender{program: p, cmd: send, source: send.pick(cfg), door: cfg.Public(), admin: service}
		ps, err := readPost("check", []byte(checkCall))
		if err != nil {
			return err
		}
		calls, err := s.send(ctx, ps)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			what, next := err.Error(), "see: freshrelay status"
			if f, ok := errors.AsType[*failure](err); ok {
				what, next = f.what, f.next
			}
			r.Add(app.AreaPublic, app.LevelProblem, source.Name+": a call cannot be followed: "+what, next)
			continue
		}
		r.Add(judge(source.Name, cfg.Public(), calls[0]))
	}
	return nil
}

// judge says what the outcome of a check's call means.
func judge(source, public string, c SentCall) (area, level, what, mend string) {
	area = app.AreaPublic
	switch {
	case c.Outcome == outcomeRefused:
		return area, app.LevelProblem, fmt.Sprintf("%s: a call that is signed like Segment's is refused at %s: %d %s", source, public, c.Status, c.Error),
			"a proxy that changes the body or drops X-Signature or Authorization breaks this; pass requests on as they are"
	case c.Event != nil && (c.Outcome == outcomeDiscarded || c.Outcome == outcomeObserved && c.Event.Reason != ""):
		return area, app.LevelOK, fmt.Sprintf("%s: a call through %s was stored, and judged as it should (%s); the account got nothing", source, public, c.Event.Reason), ""
	case c.Outcome == outcomeUnknown:
		return area, app.LevelWarning, fmt.Sprintf("%s: a call through %s was stored and has no outcome yet", source, public), "what holds it up: freshrelay status"
	}
	return area, app.LevelProblem, fmt.Sprintf("%s: a call without a userId came to the outcome %s", source, c.Outcome), "report it: it should have been discarded"
}
