package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/app/config"
)

type sendCmd struct {
	Files    []string      `arg:"" name:"file" help:"Files with a call, an array of calls or a batch, as JSON; - is standard input."`
	URL      string        `placeholder:"URL" help:"Ingest listener (else from the configuration)."`
	Source   string        `placeholder:"NAME" help:"Source to send as (else the first one of the configuration)."`
	WriteKey string        `placeholder:"KEY" help:"Write key of the source (else from the configuration)."`
	Secret   string        `placeholder:"SECRET" help:"Webhook secret of the source (else from the configuration)."`
	Via      string        `enum:"auto,tracking,webhook" default:"auto" help:"How to send: by the Tracking API, by the webhook, or what suits the file (${enum})."`
	Timeout  time.Duration `default:"30s" help:"Wait for the outcomes of a file no longer than this."`
	NoWait   bool          `help:"Do not wait for the outcomes."`
}

// SendReport is what `send -o json` prints.
type SendReport struct {
	Calls []SentCall `json:"calls"`
}

// SentCall is one call and what became of it.
type SentCall struct {
	File      string `json:"file"`
	Index     int    `json:"index"` // in the file, from 0
	Type      string `json:"type"`
	MessageID string `json:"message_id"`
	Status    int    `json:"http_status"`     // of the answer at the door
	Outcome   string `json:"outcome"`         // delivered, discarded, dead, dropped, refused, sent or unknown
	Error     string `json:"error,omitempty"` // why it was refused
	// Event is the journal's line: fields, left-out traits with reasons, API calls, contact.
	Event *admin.Event `json:"event,omitempty"`

	half string // as with call
}

// Outcomes that the journal does not have.
const (
	outcomeDelivered = "delivered"
	outcomeDiscarded = "discarded"
	outcomeObserved  = "observed" // mapped, and waiting for another delivery.mode
	outcomeDead      = "dead"
	outcomeDropped   = "dropped" // taken at the door and not stored: nobody asked for this type
	outcomeRefused   = "refused" // the door answered with an error
	outcomeSent      = "sent"    // stored; nobody waited
	outcomeUnknown   = "unknown" // stored, and no outcome yet
)

// Run posts the files one after the other, so that what they do to a contact can be told apart.
func (c *sendCmd) Run(ctx context.Context, p *program, g *globals) error {
	posts := make([]*post, 0, len(c.Files))
	for _, name := range c.Files {
		data, err := p.readFile(name)
		if err != nil {
			return &failure{exitUsage, fmt.Sprintf("cannot read the calls: %v", err), "name files with calls as JSON"}
		}
		ps, err := readPost(name, data)
		if err != nil {
			return &failure{exitUsage, err.Error(), "a file holds one call, an array of calls, or {\"batch\": […]}"}
		}
		posts = append(posts, ps)
	}
	cfg, err := p.service(g)
	if err != nil {
		return err
	}
	if c.WriteKey == "" && c.Secret == "" {
		if err := cfg.ReadSourceFiles(); err != nil {
			return &failure{exitUsage, err.Error(), "run this as the user of the service, or name a key: --write-key"}
		}
	}
	s := &sender{program: p, cmd: c, source: c.pick(cfg)}
	if s.door, err = baseOf(c.URL, cfg.Listen, "--url http://127.0.0.1:8080"); err != nil {
		return err
	}
	if c.URL == "" && cfg.TLS.On() { // its certificate is for the public name
		s.door = cmp.Or(cfg.Public(), "https"+strings.TrimPrefix(s.door, "http"))
	}
	if !c.NoWait {
		if s.admin, err = p.clientFor(cfg, g); err != nil {
			return err
		}
	}
	report := SendReport{Calls: []SentCall{}}
	for _, ps := range posts {
		calls, err := s.send(ctx, ps)
		if err != nil {
			return err
		}
		report.Calls = append(report.Calls, calls...)
		if g.Output != "json" {
			p.printSent(ps.file, calls)
		}
	}
	if g.Output == "json" {
		if err := p.printJSON(report); err != nil {
			return err
		}
	}
	return report.failure()
}

func (p *program) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(p.stdin)
	}
	return os.ReadFile(p.path(name))
}

// credentials are what a sender of the source would have.
type credentials struct {
	name, writeKey, secret string
	forward                config.Forward
	known                  []string // names of the configured sources, for messages
}

// pick takes the source from the configuration and the flags over it.
func (c *sendCmd) pick(cfg config.Config) credentials {
	out := credentials{name: c.Source}
	for _, s := range cfg.Sources {
		out.known = append(out.known, s.Name)
	}
	for _, s := range cfg.Sources {
		if c.Source != "" && s.Name != c.Source {
			continue
		}
		out.name, out.forward = s.Name, s.Forward
		if len(s.WriteKeys) > 0 {
			out.writeKey = string(s.WriteKeys[0])
		}
		if len(s.WebhookSecrets) > 0 {
			out.secret = string(s.WebhookSecrets[0])
		}
		break
	}
	out.writeKey, out.secret = cmp.Or(c.WriteKey, out.writeKey), cmp.Or(c.Secret, out.secret)
	return out
}

// sender posts to the door and follows by the admin listener.
type sender struct {
	*program

	cmd    *sendCmd
	door   string
	source credentials
	admin  *client // nil: nobody waits
}

// send posts one file and follows its calls.
func (s *sender) send(ctx context.Context, ps *post) ([]SentCall, error) {
	req, err := s.request(ctx, ps)
	if err != nil {
		return nil, err
	}
	earlier, err := s.earlier(ctx, ps)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, err, s.door, "start it with `freshrelay serve`, or name its ingest listener with --url")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, unreachable(ctx, err, s.door, "try again")
	}
	calls := make([]SentCall, len(ps.calls))
	for i, c := range ps.calls {
		calls[i] = SentCall{File: ps.file, Index: i, Type: c.typ, half: c.half, MessageID: c.id, Status: resp.StatusCode, Outcome: outcomeSent}
		switch {
		case resp.StatusCode != http.StatusOK:
			calls[i].Outcome, calls[i].Error = outcomeRefused, refusal(body)
		case !c.stored(s.source.forward):
			calls[i].Outcome = outcomeDropped
		}
	}
	if s.admin == nil || resp.StatusCode != http.StatusOK {
		return calls, nil
	}
	return calls, s.follow(ctx, calls, earlier)
}

// request builds what a Segment library or a webhook would send.
func (s *sender) request(ctx context.Context, ps *post) (*http.Request, error) {
	path, signed := ps.path(s.cmd.Via, s.source.name)
	if s.source.name == "" && signed {
		return nil, &failure{exitUsage, "a webhook needs the name of its source", "give --source, or run it where the configuration is"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.door+path, bytes.NewReader(ps.body))
	if err != nil {
		return nil, &failure{exitUsage, "not an address: " + s.door, "give the ingest listener like --url http://127.0.0.1:8080"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "freshrelay-send")
	switch {
	case signed && s.source.secret != "":
		req.Header.Set("X-Signature", sign(s.source.secret, ps.signed))
	case s.source.writeKey != "":
		req.SetBasicAuth(s.source.writeKey, "")
	case len(s.source.known) > 0 && !slices.Contains(s.source.known, s.source.name):
		return nil, &failure{
			exitUsage, "the configuration has no source " + clean(s.source.name, 60),
			"it has: " + strings.Join(s.source.known, ", ") + "; for another one give --write-key (or --secret for a webhook)",
		}
	default:
		return nil, &failure{
			exitUsage, "there is no write key to send with", "give --write-key (or --secret for a webhook), or run it where the configuration is",
		}
	}
	return req, nil
}

// refusal is what the door says is wrong.
func refusal(body []byte) string {
	var said struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Message == "" {
		return "the answer does not say why; is this freshrelay's ingest listener?"
	}
	return said.Message
}

// failure is the report as an exit code. A discarded call is no failure: it came to an outcome by a stated rule.
func (r SendReport) failure() error {
	count := map[string]int{}
	for _, c := range r.Calls {
		count[c.Outcome]++
	}
	failed := count[outcomeRefused] + count[outcomeDead] + count[outcomeUnknown]
	if failed == 0 {
		return nil
	}
	f := &failure{
		exitPartial, fmt.Sprintf("%d of %d calls did not arrive", failed, len(r.Calls)), "see the reasons above, and: freshrelay status",
	}
	if failed == count[outcomeUnknown] { // they are safe, and may only have to wait
		f.what = fmt.Sprintf("%d of %d calls are stored and have no outcome yet", failed, len(r.Calls))
		f.next = "the service goes on with them; what holds them up: freshrelay status"
	}
	if failed == len(r.Calls) {
		f.code = exitFailed
	}
	return f
}
