// Command freshrelay is the service and the command line to look after it.
//
// One file per subcommand. serve and sandbox run something; all others talk to the admin listener of a running
// service and only show what it says. An error is two lines: what is wrong, and what to do next.
package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/freshrelay/freshrelay/app"
	"github.com/freshrelay/freshrelay/app/config"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program; its result is the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{
		stdin: stdin, stdout: stdout, stderr: stderr, serve: app.Run, http: newHTTPClient(), poll: 100 * time.Millisecond,
	}
	return p.run(context.Background(), args)
}

// program is what the subcommands get: the outside world, replaceable by tests.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	dir            string   // where files are looked for; "" is the working directory
	environ        []string // nil is the process's own
	serve          func(context.Context, config.Config, app.Options) error
	http           *http.Client
	poll           time.Duration // between two looks at something that is awaited; grows
}

// cli is the grammar.
type cli struct {
	globals

	Init    initCmd    `cmd:"" help:"Make a first configuration: checks the account, makes secrets, says what to click in Segment."`
	Serve   serveCmd   `cmd:"" help:"Take Segment calls and deliver them: the service."`
	Sandbox sandboxCmd `cmd:"" help:"Run a Freshmarketer for trying and testing, on its own port."`
	Send    sendCmd    `cmd:"" help:"Post sample calls and follow each to its outcome."`
	DLQ     dlqCmd     `cmd:"" name:"dlq" help:"Look at dead letters and send them again."`
	Events  eventsCmd  `cmd:"" help:"Look at what became of calls."`
	Audit   auditCmd   `cmd:"" help:"List what operators did: replays, changes, discards, looks at people's data."`
	Status  statusCmd  `cmd:"" help:"Show how the service is, on one screen."`
	Observe observeCmd `cmd:"" help:"See what would be written to Freshmarketer, in the modes observe and canary."`
	Pause   pauseCmd   `cmd:"" help:"Stop sending to Freshmarketer until resume; calls are still taken in and wait."`
	Resume  resumeCmd  `cmd:"" help:"Send again after pause."`
	Logging loggingCmd `cmd:"" name:"log-level" help:"Show or change how much the service logs, until its next start."`
	Check   checkCmd   `cmd:"" help:"Say what is wrong with configuration, account and mapping, and how to mend it."`
	Mapping mappingCmd `cmd:"" help:"See how traits become fields, and improve it."`
	Resync  resyncCmd  `cmd:"" help:"Send values again that people have changed in Freshmarketer."`
	Forget  forgetCmd  `cmd:"" help:"Erase users: contacts, what is remembered, dead letters, journal; later calls are discarded."`
	Migrate migrateCmd `cmd:"" help:"Copy the store of a stopped service to NATS servers, or to more partitions."`
	Version versionCmd `cmd:"" help:"Show which freshrelay this is."`
}

// globals are the flags of every subcommand.
type globals struct {
	Config     string `short:"c" placeholder:"FILE" help:"Configuration file (else FRESHRELAY_CONFIG, else ./freshrelay.yaml)."`
	DataDir    string `placeholder:"DIR" help:"Data directory of the service; the admin token is in it."`
	AdminURL   string `name:"admin-url" placeholder:"URL" help:"Admin listener of the running service (else from the configuration)."`
	TokenFile  string `placeholder:"FILE" help:"File with the admin token (else admin.token in the data directory)."`
	UseSandbox bool   `name:"sandbox" help:"Use the built-in sandbox: ./data-sandbox, source website, its known key; no file needed."`
	Output     string `short:"o" enum:"table,json" default:"table" help:"How to show results: table or json."`
}

const description = `A self-hosted Segment destination for Freshmarketer.

To try it without an account: freshrelay serve --sandbox

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the service cannot be reached, 4 done in part,
5 the service gave up while running and may be started again.`

func (p *program) run(parent context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks to stop; after it signals have their default effect again, so a second one quits at once.
	context.AfterFunc(ctx, stop)

	var c cli
	helped := false
	parser, err := p.parser(&c, &helped)
	if err != nil {
		return p.fail(err)
	}
	parsed, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		return p.fail(usageError(err))
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return p.fail(parsed.Run(p, &c.globals))
}

// parser is the grammar, ready to take a command line; helped is set when it was asked for help and gave it.
func (p *program) parser(c *cli, helped *bool) (*kong.Kong, error) {
	return kong.New(c, kong.Name("freshrelay"), kong.Description(description), kong.Writers(p.stdout, p.stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}), kong.Exit(func(int) { *helped = true }),
		kong.Vars{"sandbox_key": config.SandboxAPIKey, "sandbox_listen": app.DefaultSandboxListen})
}

// usageError turns a complaint of the parser into one of ours.
func usageError(err error) error {
	next := "see: freshrelay --help"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil && parse.Context.Command() != "" {
		next = "see: freshrelay " + commandName(parse.Context) + " --help"
	}
	return &failure{exitUsage, err.Error(), next}
}

// commandName is the subcommand as it was typed, without its arguments.
func commandName(ctx *kong.Context) string {
	var names []string
	for _, step := range ctx.Path {
		if step.Command != nil {
			names = append(names, step.Command.Name)
		}
	}
	return strings.Join(names, " ")
}
