package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
)

type initCmd struct {
	Dir           string `default:"." placeholder:"DIR" help:"Where freshrelay.yaml, secrets and data come to be (default: here)."`
	Domain        string `placeholder:"ALIAS" help:"The account: alias, host or any URL of it."`
	APIKeyFile    string `name:"api-key-file" placeholder:"FILE" help:"File with the API key of an administrator; - is standard input. Else FRESHRELAY_FRESHMARKETER_API_KEY, else it is asked for."`
	BaseURL       string `name:"base-url" placeholder:"URL" help:"Another host than the account's own, such as a sandbox."`
	PublicURL     string `name:"public-url" placeholder:"URL" help:"How Segment reaches this machine: https://relay.example.com"`
	HTTPS         string `name:"https" enum:"proxy,acme,files" default:"proxy" help:"Who speaks TLS: proxy (one before this service), acme (the service orders a certificate) or files (your certificate)."`
	CertFile      string `name:"cert-file" placeholder:"FILE" help:"With --https files: certificate and chain, PEM."`
	KeyFile       string `name:"key-file" placeholder:"FILE" help:"With --https files: its key, PEM."`
	ACMEDirectory string `name:"acme-directory" placeholder:"URL" help:"With --https acme: another CA than Let's Encrypt."`
	Listen        string `placeholder:"ADDR" help:"Where to listen for calls (default 127.0.0.1:8080 behind a proxy, else :443)."`
	AdminListen   string `name:"admin-listen" default:"127.0.0.1:8081" placeholder:"ADDR" help:"Where to listen for the command line, health and metrics."`
	Source        string `default:"website" placeholder:"NAME" help:"Name of the Segment source, as it will stand in the webhook's address."`
	PerHour       int    `name:"per-hour" placeholder:"N" help:"API calls an hour of your plan: 1000, 2000 or 5000."`
	MissingTraits string `name:"missing-traits" enum:",clear,keep" default:"" help:"What an identify does to fields that it leaves out: clear (default, as Segment's destination) or keep."`
	Offline       bool   `help:"Do not ask the account."`
}

// Help is the long help of the subcommand.
func (initCmd) Help() string {
	return `Asks for what it needs on a terminal and takes flags elsewhere. Checks domain and key and reads the account's fields (two API calls), makes a webhook secret, a write key and the admin token, readable by you alone, and writes freshrelay.yaml in the mode observe: nothing is written to Freshmarketer until you say live. Overwrites nothing but the API key of an earlier try.`
}

// Run writes a configuration and says what to click; with -o json what was made.
func (c *initCmd) Run(ctx context.Context, p *program, g *globals) error {
	a := app.SetupAnswers{
		Dir: p.path(c.Dir), Domain: c.Domain, BaseURL: c.BaseURL, PublicURL: strings.TrimSuffix(c.PublicURL, "/"), HTTPS: c.HTTPS,
		ACMEDirectory: c.ACMEDirectory, Listen: c.Listen, AdminListen: c.AdminListen,
		Source: c.Source, PerHour: c.PerHour, MissingTraits: c.MissingTraits, Offline: c.Offline,
	}
	if c.CertFile != "" {
		a.CertFile = p.path(c.CertFile)
	}
	if c.KeyFile != "" {
		a.KeyFile = p.path(c.KeyFile)
	}
	if err := c.key(p, &a); err != nil {
		return err
	}
	if err := p.askSetup(ctx, &a); err != nil {
		return err
	}
	if a.MissingTraits == "" {
		a.MissingTraits = config.MissingClear
	}
	if a.Domain == "" {
		return &failure{exitUsage, "the account is not named", "give it: --domain acme, what stands before .myfreshworks.com in your browser's address"}
	}
	if a.APIKey == "" {
		return &failure{exitUsage, "there is no API key", "give it: --api-key-file FILE, or - to read it from standard input; it is under Profile Settings → API Settings"}
	}
	made, err := app.MakeSetup(ctx, a, version())
	if err != nil {
		return err
	}
	if g.Output == "json" {
		return p.printJSON(made)
	}
	p.printSetup(made)
	return nil
}

// key reads the API key from where a key may stand; the command line is not among them, because everybody can read that.
func (c *initCmd) key(p *program, a *app.SetupAnswers) error {
	var text []byte
	var err error
	switch c.APIKeyFile {
	case "":
		text = []byte(p.env("FRESHRELAY_FRESHMARKETER_API_KEY"))
	case "-":
		text, err = io.ReadAll(io.LimitReader(p.stdin, maxKeyFile))
	default:
		text, err = readBounded(p.path(c.APIKeyFile), maxKeyFile)
	}
	if err != nil {
		return &failure{exitUsage, "the API key cannot be read: " + err.Error(), "check --api-key-file and who may read it"}
	}
	a.APIKey = config.Secret(strings.TrimSpace(string(text)))
	if c.APIKeyFile != "" && a.APIKey == "" {
		return &failure{exitUsage, "the file of the API key is empty", "write the key into it; it is under Profile Settings → API Settings"}
	}
	return nil
}

// maxKeyFile is far above any key and far below a file that was named by mistake (bytes).
const maxKeyFile = 64 << 10

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return io.ReadAll(io.LimitReader(f, limit))
}

// askSetup asks a person for what no flag said. An interrupt ends the questions, and a terminal shows what is typed again.
func (p *program) askSetup(ctx context.Context, a *app.SetupAnswers) error {
	f, ok := p.stdin.(*os.File)
	if !ok || !isTerminal(f) {
		return nil
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return fmt.Errorf("looking at the terminal: %w", err)
	}
	asked, given := make(chan error, 1), *a
	go func() { asked <- p.questions(&given) }()
	select {
	case err := <-asked:
		*a = given
		return err
	case <-ctx.Done():
		_ = term.Restore(int(f.Fd()), before)
		fmt.Fprintln(p.stderr)
		return nothingWritten()
	}
}

func nothingWritten() error {
	return &failure{exitFailed, "nothing was written", "answer the questions, or give the answers as flags: freshrelay init --help"}
}

func (p *program) questions(a *app.SetupAnswers) error {
	q := questions{p: p, in: bufio.NewReader(p.stdin)}
	if a.Domain == "" {
		a.Domain = q.text("Freshmarketer account (what stands before .myfreshworks.com in your browser)", "")
	}
	if a.APIKey == "" {
		a.APIKey = config.Secret(q.hidden("API key of an administrator (Profile Settings → API Settings; not shown)"))
	}
	if a.PublicURL == "" {
		a.PublicURL = strings.TrimSuffix(q.text("Public address of this service (https://relay.example.com; empty if you do not know yet)", ""), "/")
		if a.PublicURL != "" && !strings.Contains(a.PublicURL, "://") {
			a.PublicURL = "https://" + a.PublicURL
		}
	}
	if a.PerHour == 0 {
		answer := q.text("API calls an hour of your plan: Free and Growth 1000, Pro 2000, Enterprise 5000 (empty: what the account says, else 1000)", "")
		if answer != "" {
			n, err := strconv.Atoi(answer)
			if err != nil || n <= 0 {
				return &failure{exitUsage, "the calls an hour must be a number above 0", "answer 1000, 2000 or 5000, or use --per-hour"}
			}
			a.PerHour = n
		}
	}
	if a.MissingTraits == "" {
		a.MissingTraits = q.text("When an identify leaves out a trait that an earlier one set: clear the field, as Segment's destination does, or keep it", config.MissingClear)
		if a.MissingTraits != config.MissingClear && a.MissingTraits != config.MissingKeep {
			return &failure{exitUsage, "the answer must be clear or keep", "try again, or use --missing-traits"}
		}
	}
	return q.err
}

// questions are put one after the other on a terminal. After the end of the answers all further ones are empty.
type questions struct {
	p   *program
	in  *bufio.Reader
	err error
}

func (q *questions) text(question, fallback string) string {
	if q.err != nil {
		return ""
	}
	if fallback != "" {
		question += " [" + fallback + "]"
	}
	fmt.Fprint(q.p.stderr, question+": ")
	answer, err := q.in.ReadString('\n')
	if err != nil {
		q.end(err)
		return ""
	}
	if answer = strings.TrimSpace(answer); answer == "" {
		return fallback
	}
	return answer
}

// hidden asks for something that is not shown while it is typed.
func (q *questions) hidden(question string) string {
	f, ok := q.p.stdin.(*os.File)
	if q.err != nil || !ok {
		return ""
	}
	fmt.Fprint(q.p.stderr, question+": ")
	answer, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(q.p.stderr)
	if err != nil {
		q.end(err)
	}
	return strings.TrimSpace(string(answer))
}

func (q *questions) end(err error) {
	fmt.Fprintln(q.p.stderr)
	q.err = nothingWritten()
	if !errors.Is(err, io.EOF) {
		q.err = fmt.Errorf("reading an answer: %w", err)
	}
}

func (p *program) printSetup(s app.Setup) {
	out := func(format string, args ...any) { fmt.Fprintf(p.stdout, format+"\n", args...) }
	out("wrote       %s", s.File)
	for _, path := range s.Secrets {
		out("            %s (yours alone)", path)
	}
	if s.Offline {
		out("account     not asked; later: freshrelay check")
	} else {
		out("account     %s takes the key; %d contact fields, %d of them custom", clean(s.Account, 80), s.Fields, len(s.Custom))
	}
	out("quota       %d calls an hour, a tenth of them kept for people", s.PerHour)
	out("mode        observe: nothing is written to Freshmarketer until you say live")
	out("")
	out("In Segment: Connections → Catalog → Webhooks (Actions) → Add destination, on the source %q is for. Then:", s.Source)
	out("  Shared Secret   %s", s.Secret)
	out("  Mappings        New mapping → Send: all of Identify, and of Group, Track, Page and Alias those you forward; Webhook URL:")
	out("                  %s", s.WebhookURL)
	out("  Deletions       are sent by the classic Webhooks destination alone: docs/connect-segment.md")
	out("")
	out("Next:")
	out("  freshrelay serve")
	if s.PublicURL != "" {
		out("  freshrelay check --public      # a signed call through %s, followed to its outcome", s.PublicURL)
	} else {
		out("  set public_url in the file, then freshrelay check --public")
	}
	out("  freshrelay observe report      # what would be done with what Segment has sent")
}
