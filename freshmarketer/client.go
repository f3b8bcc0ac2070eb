// Package freshmarketer is a thin client of the Freshworks CRM API, the API through which the contacts of a
// Freshmarketer account are read and written.
//
// The contract: one method is one request is one typed answer. The client never sleeps, never retries, never follows a
// redirect and keeps no state between calls, but for the labels of the account's fields, by which error texts name them.
// Every failure is an *Error whose Kind says what sort of trouble it is; what to do about it is the caller's to decide.
// No error carries the API key, an email address or a value we sent.
//
// Source: Freshworks CRM API, developers.freshworks.com/crm/api; where the vendor says nothing, what public clients do.
package freshmarketer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// apiPath is where the CRM API lives on every account's host.
// Source: Freshworks CRM API, "Authentication" (https://<bundle-alias>.myfreshworks.com/crm/sales/api/…).
const apiPath = "/crm/sales/api"

// DefaultTimeout bounds one call when Config.Timeout is zero. The vendor names no server-side limit.
const DefaultTimeout = 10 * time.Second

// Operations: the names of the calls in Error.Op and in Config.OnCall. A closed list, so they can be metric labels.
const (
	OpCreateContact  = "create_contact"
	OpUpsertContact  = "upsert_contact"
	OpUpdateContact  = "update_contact"
	OpGetContact     = "get_contact"
	OpDeleteContact  = "delete_contact"
	OpForgetContact  = "forget_contact"
	OpBulkUpsert     = "bulk_upsert"
	OpJobStatus      = "job_status"
	OpLookupContacts = "lookup_contacts"
	OpContactView    = "contact_view"
	OpContactFields  = "contact_fields"
	OpContactFilters = "contact_filters"
	OpUpsertAccount  = "upsert_account"
	OpGetAccount     = "get_account"
	OpUpdateAccount  = "update_account"
	OpAccountFields  = "account_fields"
	OpCreateActivity = "create_activity"
	OpListActivities = "list_activities"
	OpSelector       = "selector"
	OpSendEvent      = "send_event"
)

// Config says which account to talk to and how. Either Domain or BaseURL is needed, and APIKey always.
type Config struct {
	// Domain names the account: its alias ("acme"), its host ("acme.myfreshworks.com") or any URL copied from the
	// browser. Only *.myfreshworks.com and *.freshworks.com are accepted, because the key is sent there.
	Domain string
	// BaseURL replaces scheme and host (a sandbox, a proxy), and with them the check of the host. Paths stay.
	BaseURL string
	// APIKey is the user's key of Profile Settings → API Settings. It inherits that user's rights.
	APIKey string
	// HTTPClient is used instead of one of our own. Its redirect policy is not: redirects are never followed.
	HTTPClient *http.Client
	// Proxy is the URL of a proxy (http, https or socks5; a user and password may be in it), or ProxyNone. "": what the
	// environment says (HTTPS_PROXY, NO_PROXY).
	Proxy string
	// CACerts are certificates in PEM form that are trusted besides the system's: of a proxy that looks into TLS.
	CACerts []byte
	// Timeout bounds each call, from dialling to the last byte of the answer. 0: DefaultTimeout.
	Timeout time.Duration
	// UserAgent is sent with each call. "": "freshrelay".
	UserAgent string
	// OnCall, if set, is told of every finished call: operation, HTTP status (0: no answer) and how long it took.
	OnCall func(op string, status int, took time.Duration)
	// OnLimits, if set, is told what an answer says about the quota, if it says anything, before the call returns.
	OnLimits func(op string, l Limits)
	// OnAnswer, if set, is given every answer as it came, personal data and all: for looking at an account by hand.
	OnAnswer func(op string, status int, header http.Header, body []byte)
}

// String keeps the key out of logs that print a configuration.
func (c Config) String() string {
	key := "[not set]"
	if c.APIKey != "" {
		key = "[set]"
	}
	return fmt.Sprintf("{Domain:%s BaseURL:%s APIKey:%s Timeout:%s}", c.Domain, c.BaseURL, key, c.Timeout)
}

// GoString is String, for %#v.
func (c Config) GoString() string { return "freshmarketer.Config" + c.String() }

// Client makes calls to one account. It is safe for concurrent use.
type Client struct {
	base      *url.URL                           // scheme, host and the path up to and including apiPath
	labels    *atomic.Pointer[map[string]string] // of contact fields, by API name; from the last ContactFields
	account   string                             // the account's own host if base is another one, else ""
	http      *http.Client
	authorize func(http.Header) // a closure and not a field, so that no %+v of a Client can print the key
	timeout   time.Duration
	userAgent string
	onCall    func(op string, status int, took time.Duration)
	onLimits  func(op string, l Limits)
	onAnswer  func(op string, status int, header http.Header, body []byte)
}

// New checks the configuration and returns a client; it makes no call. All problems are returned at once, joined.
func New(cfg Config) (*Client, error) {
	base, baseErr := resolveBase(cfg.Domain, cfg.BaseURL)
	key, keyErr := checkKey(cfg.APIKey)
	var timeoutErr error
	if cfg.Timeout < 0 {
		timeoutErr = fmt.Errorf("timeout: must not be negative, is %s", cfg.Timeout)
	}
	transport, transportErr := newTransport(cfg)
	if err := errors.Join(baseErr, keyErr, timeoutErr, transportErr); err != nil {
		return nil, fmt.Errorf("freshmarketer: %w", err)
	}

	client := &Client{
		base:      base,
		http:      withoutRedirects(cfg.HTTPClient, transport),
		timeout:   cfg.Timeout,
		userAgent: cfg.UserAgent,
		onCall:    cfg.OnCall,
		onLimits:  cfg.OnLimits,
		onAnswer:  cfg.OnAnswer,
		labels:    new(atomic.Pointer[map[string]string]),
		// Source: Freshworks CRM API, "Authentication": the scheme is "Token token=<key>", not "Bearer".
		authorize: func(h http.Header) { h.Set("Authorization", "Token token="+key) },
	}
	if host, err := accountHost(cfg.Domain); err == nil && host != base.Host {
		client.account = host
	}
	if client.timeout == 0 {
		client.timeout = DefaultTimeout
	}
	if client.userAgent == "" {
		client.userAgent = "freshrelay"
	}
	if client.onCall == nil {
		client.onCall = func(string, int, time.Duration) {}
	}
	if client.onLimits == nil {
		client.onLimits = func(string, Limits) {}
	}
	if client.onAnswer == nil {
		client.onAnswer = func(string, int, http.Header, []byte) {}
	}
	return client, nil
}

// Host returns host[:port] of the account, for its fingerprint and for messages.
func (c *Client) Host() string { return c.base.Host }

// CloseIdleConnections closes connections that no call uses. The client stays usable.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// Probe makes the cheapest call that proves domain, key and rights: it lists the contact views.
// Source: the connection check of the Airbyte connector, seen in client code.
func (c *Client) Probe(ctx context.Context) error {
	var answer struct {
		Filters *[]struct{} `json:"filters"`
	}
	return c.do(ctx, call{op: OpContactFilters, method: http.MethodGet, path: "/contacts/filters"}, decodeInto(&answer, func() bool {
		return answer.Filters != nil
	}))
}

// checkKey trims the key and refuses one that cannot be sent in a header. The key is never part of the message.
func checkKey(key string) (string, error) {
	key = strings.TrimSpace(key)
	if key == "" {
		return "", errors.New("api_key: is empty; copy it from Profile Settings → API Settings")
	}
	for _, r := range key {
		if r <= ' ' || r > '~' {
			return "", errors.New("api_key: has a space, a control character or a letter outside ASCII; it was not copied whole")
		}
	}
	return key, nil
}
