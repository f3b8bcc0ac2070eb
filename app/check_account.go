package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/freshrelay/freshrelay/admin"
	"github.com/freshrelay/freshrelay/freshmarketer"
	"github.com/freshrelay/freshrelay/freshmarketer/sandbox"
	"github.com/freshrelay/freshrelay/mapping"
)

// account asks whether key and address are right and returns the account's fields, nil if they are not known.
func (r *CheckReport) account(ctx context.Context, o CheckOptions) []mapping.Field {
	if o.Fields != nil {
		fields, err := mapping.ParseFields(o.Fields)
		if err != nil {
			r.Add("fields", LevelProblem, err.Error(), "save what GET /crm/sales/api/settings/contacts/fields answers, or use: freshrelay mapping fields --save FILE")
		}
		return fields
	}
	if o.Config.Sandbox && !o.Offline {
		stop, err := r.sandbox(ctx)
		if err != nil {
			r.Add("account", LevelProblem, "the built-in sandbox does not start: "+err.Error(), "let this program listen on 127.0.0.1")
			return nil
		}
		defer stop()
	}
	client, err := newClient(r.cfg.Freshmarketer, freshmarketer.Config{UserAgent: "freshrelay/" + o.Version})
	if err != nil {
		r.Add("account", LevelProblem, err.Error(), "correct the account")
		return nil
	}
	defer client.CloseIdleConnections()
	account := client.Host()
	if o.Config.Sandbox {
		account = SandboxAccount
	}
	if o.Offline {
		return nil
	}
	if err := client.Probe(ctx); err != nil {
		r.apiTrouble("account", err)
		return nil
	}
	r.Add("account", LevelOK, account+" takes the key", "")
	fields, err := readFields(ctx, client)
	if err != nil {
		r.apiTrouble("fields", err)
		return nil
	}
	r.kinds(ctx, client)
	return fields
}

// sandbox makes the account that of a sandbox as serve --sandbox has it at its first start, until stop: the fields, types and
// owners to check against are its.
func (r *CheckReport) sandbox(ctx context.Context) (stop func(), err error) {
	box, err := sandbox.New(sandbox.Options{APIKeys: []string{string(r.cfg.Freshmarketer.APIKey)}})
	if err != nil {
		return nil, fmt.Errorf("make a sandbox: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, box.Close())
	}
	server := &http.Server{Handler: box.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // until stop
	r.cfg.Freshmarketer.BaseURL = "http://" + listener.Addr().String()
	return func() { _ = errors.Join(server.Close(), box.Close()) }, nil
}

// apiTrouble says what an answer of the API means, in the words of a pause.
func (r *CheckReport) apiTrouble(area string, err error) {
	what, mend := apiTrouble(err)
	r.Add(area, LevelProblem, what, mend)
}

func apiTrouble(err error) (what, mend string) {
	reason := "outage"
	switch freshmarketer.KindOf(err) {
	case freshmarketer.KindAuth:
		reason = "key_refused"
	case freshmarketer.KindPermission, freshmarketer.KindMisrouted, freshmarketer.KindGone, freshmarketer.KindInvalid, freshmarketer.KindConflict:
		reason = "misconfigured"
	case freshmarketer.KindThrottled:
		reason = "throttled"
	}
	advice := admin.Advise(admin.AboutPause, reason)
	return strings.TrimSuffix(advice.Meaning, ".") + " (" + err.Error() + ")", advice.Mend
}
