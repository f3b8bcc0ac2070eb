package app

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"

	"github.com/freshrelay/freshrelay/app/config"
	"github.com/freshrelay/freshrelay/freshmarketer"
)

// Ways in which senders reach the service by HTTPS.
const (
	HTTPSProxy = "proxy" // a proxy on this machine speaks TLS
	HTTPSACME  = "acme"  // the service orders a certificate by itself
	HTTPSFiles = "files" // the service uses a certificate from files
)

// SetupAnswers is what only a person knows about a new service.
type SetupAnswers struct {
	Dir     string // where freshrelay.yaml, secrets and data come to be
	Domain  string // of the account; BaseURL replaces its host
	BaseURL string
	APIKey  config.Secret

	PublicURL         string // "": not known yet
	HTTPS             string // HTTPSProxy, HTTPSACME or HTTPSFiles
	CertFile, KeyFile string // with HTTPSFiles
	ACMEDirectory     string // with HTTPSACME: of another CA than Let's Encrypt
	Listen            string // "": by HTTPS
	AdminListen       string

	Source        string
	PerHour       int    // of the account's plan; 0: what the account says, else the smallest plan's
	MissingTraits string // config.MissingClear or config.MissingKeep

	Offline bool // do not ask the account
}

// Setup is what was made, and what is known of the account.
type Setup struct {
	File       string   `json:"file"`
	Secrets    []string `json:"secrets"` // files that only their owner can read
	Account    string   `json:"account,omitempty"`
	Fields     int      `json:"fields,omitempty"`
	Custom     []string `json:"custom_fields,omitempty"` // labels and types
	PerHour    int      `json:"per_hour"`
	Source     string   `json:"source"`
	WebhookURL string   `json:"webhook_url"`
	SecretFile string   `json:"webhook_secret_file"`
	Secret     string   `json:"-"` // what is in it, to be shown to whoever has just made it
	PublicURL  string   `json:"public_url,omitempty"`
	Offline    bool     `json:"offline,omitempty"`
}

// SetupError is a wrong answer, or an account that cannot be used with them. Nothing was written.
type SetupError struct {
	What, Next string
}

func (e *SetupError) Error() string { return e.What }

// Mend is what to do about it.
func (e *SetupError) Mend() string { return e.Next }

// smallestPlan is how many calls an hour every plan gives.
// Source: Freshworks support, article 50000005599, "Free / Growth: 1000".
const smallestPlan = 1000

// MakeSetup asks the account whether domain and key are right, makes keys and secrets, and writes a configuration in the mode
// observe. Errors: *SetupError, a *config.Error for answers that make no configuration, those of writing files.
func MakeSetup(ctx context.Context, a SetupAnswers, version string) (Setup, error) {
	s := Setup{Source: a.Source, PublicURL: a.PublicURL, Offline: a.Offline, PerHour: a.PerHour}
	f, err := a.files()
	if err != nil {
		return s, err
	}
	s.File = f.file
	if _, err := os.Lstat(f.file); err == nil {
		return s, &SetupError{f.file + " is there already", "change it by hand, then: freshrelay check; or name another directory with --dir"}
	}
	f.WebhookSecret, f.WriteKey = config.Secret(rand.Text()), config.Secret("wk_"+rand.Text())
	f.PerHourNote = "the smallest plan's; set yours: Free and Growth 1000, Pro 2000, Enterprise 5000"
	if a.PerHour > 0 {
		f.PerHourNote = "of your plan"
	}
	if err := f.try(); err != nil {
		return s, err
	}
	if !a.Offline {
		if err := f.ask(ctx, &s, version); err != nil {
			return s, err
		}
	}
	if f.PerHour == 0 {
		f.PerHour = smallestPlan
	}
	s.PerHour, f.Custom = f.PerHour, s.Custom
	if s.Secrets, err = f.write(); err != nil {
		return s, err
	}
	base := a.PublicURL
	if base == "" {
		base = "https://YOUR-PUBLIC-NAME"
	}
	s.WebhookURL, s.SecretFile = base+"/webhook/"+a.Source, f.WebhookSecretFile
	if s.Secret, err = f.webhookSecret(); err != nil {
		return s, err
	}
	return s, nil
}

// ask fills in what the account says of itself, or says why it cannot be used.
func (f *setupFiles) ask(ctx context.Context, s *Setup, version string) error {
	account := config.Defaults().Freshmarketer
	account.Domain, account.BaseURL, account.APIKey = f.Domain, f.BaseURL, f.APIKey
	plan := -1
	client, err := newClient(account, freshmarketer.Config{
		UserAgent: "freshrelay/" + version, OnLimits: func(_ string, l freshmarketer.Limits) { plan = max(plan, l.Total) },
	})
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if err := client.Probe(ctx); err != nil {
		return unusable(client.Host(), err)
	}
	fields, err := readFields(ctx, client)
	if err != nil {
		return unusable(client.Host(), err)
	}
	s.Account, s.Fields = client.Host(), len(fields)
	for _, field := range fields {
		if field.Custom {
			s.Custom = append(s.Custom, field.Label+" ("+field.Type+")")
		}
	}
	if f.PerHour == 0 && plan > 0 {
		f.PerHour, f.PerHourNote = plan, "as the account's answers say"
	}
	return nil
}

// unusable says why an account cannot be used, and what is probably wrong.
func unusable(host string, err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return &SetupError{
			"there is no account at " + host,
			"the domain is what stands before .myfreshworks.com in your browser's address, also shown under Profile Settings → API Settings",
		}
	}
	what, _ := apiTrouble(err)
	mend := "if it stays so, look at your network; without the account: --offline"
	switch freshmarketer.KindOf(err) {
	case freshmarketer.KindAuth:
		mend = "copy the key again, from Profile Settings → API Settings of an administrator"
	case freshmarketer.KindPermission:
		mend = "use the key of an administrator: this one's user may not read contacts and their fields"
	case freshmarketer.KindMisrouted, freshmarketer.KindGone, freshmarketer.KindInvalid, freshmarketer.KindConflict:
		mend = "look at the domain: it is what stands before .myfreshworks.com in your browser's address"
	case freshmarketer.KindThrottled:
		mend = "the account's calls of this hour are used up, by whatever else uses its API: try again later, or go on with --offline"
	}
	return &SetupError{host + ": " + what, mend}
}
