package ingest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/freshrelay/freshrelay/segment"
)

const (
	// defaultStoreTimeout ends storing before the sender gives up: a webhook must be answered within 5 s.
	// Source: Segment docs, Webhooks destination.
	defaultStoreTimeout = 4 * time.Second
	// defaultBodyMemory is room for hundreds of the largest Tracking API batches at once.
	defaultBodyMemory = 128 << 20
	// minBodyMemory is what the largest webhook request needs, with what is made of it.
	minBodyMemory = 32 << 20
)

// Source is one sender of events, a workspace's source in Segment or an application of one's own. It needs a write key
// or a webhook secret.
type Source struct {
	Name           string   // in the webhook's path, metrics and records
	WriteKeys      []string // for the Tracking API, and for webhooks if there is no secret
	WebhookSecrets []string // shared secrets of Segment's webhooks; several while one is being changed

	// BatchToken vouches for the events of a signed webhook's array after the first, which Segment's signature does
	// not cover. It is sent in the header X-Freshrelay-Token or as the last part of the path,
	// /webhook/<source>/<token>: 16 to 128 letters, digits, '.', '_', '~' and '-'. A wrong one is refused. Without it
	// delete and alias calls after the first are dropped. Only with WebhookSecrets; "" means that there is none.
	BatchToken string
	// RequireBatchToken refuses signed arrays of more than one event that come without BatchToken.
	RequireBatchToken bool

	// IntegrationNames are names by which the workspace knows the way to us, if they are not Segment's own for webhooks:
	// that of a Destination Function, or of an instance. Engage and Replay send calls whose integrations object excludes
	// all but the destination they go to, which is then one of these. Only for webhooks.
	IntegrationNames []string

	// RatePerSecond is how many events a second the source may send in the long run, dropped ones included; above it
	// requests are answered 429 with Retry-After. The first second's worth may come at once, and a request that is
	// let in is let in whole, whatever its size; those after it wait the longer. 0 means no limit.
	RatePerSecond float64

	// Forward says whether a track or page call of that name ("" if it has none) is stored, for the log of activities. nil:
	// none is.
	Forward func(typ segment.Type, name string) bool

	// Lane says which events take effect one after the other: those with the same answer. nil means those of one userId.
	Lane func(segment.Received) string
	// Accounts stores group calls twice: for their user, and for their company.
	Accounts bool
	// Aliases stores alias calls twice: for each of their two users.
	Aliases bool
	// EraseActivities stores delete calls twice: for their user, and for the user's track and page calls.
	EraseActivities bool
}

// Config says who may send, and how much.
type Config struct {
	Sources []Source

	// PublicURL is where senders reach us, such as https://relay.example.com, or with the path under which a proxy
	// shows us. Client libraries are told it by the settings route. "" means what the request itself says: its Host,
	// and https only if TLS ends here. Headers like X-Forwarded-Host are never believed, so behind a proxy it must be
	// set.
	PublicURL string
	// TrustedProxies are the networks whose word about a client's address, X-Forwarded-For, is believed. The address is
	// used for nothing but the log of requests that are refused for what their sender does.
	TrustedProxies []netip.Prefix
	// BodyMemory bounds the memory of all requests that are being read or stored, in bytes: their bodies and the
	// events made of them. Above it requests are answered 503 with Retry-After. At least 32 MiB; 0 means 128 MiB. What
	// requests no longer need is kept for the next ones until the garbage collector has run twice, and does not count.
	BodyMemory int64
	// StoreTimeout is the longest wait for the store in one request; 0 means 4 s.
	StoreTimeout time.Duration
}

// source is a Source made ready for looking up.
type source struct {
	name         string
	secrets      [][]byte
	names        []string // IntegrationNames
	lane         func(segment.Received) string
	aliases      bool
	accounts     bool
	erase        bool // EraseActivities
	forward      func(segment.Type, string) bool
	token        keyDigest // of BatchToken
	hasToken     bool
	requireToken bool
	limit        *rate.Limiter // nil if there is none
}

// keyDigest stands for a write key in the index: looking up by digest takes the same time however much of a guessed
// key is right.
type keyDigest [sha256.Size]byte

func digest(key string) keyDigest { return sha256.Sum256([]byte(key)) }

// validName is what a source can be called: it is part of a path and a label of metrics.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// validToken is what a batch token can be: it must survive in a path, and not be guessed.
var validToken = regexp.MustCompile(`^[A-Za-z0-9._~-]{16,128}$`)

// addSource checks a source and makes it known by its name and its keys. Errors name the source and never a secret.
func (h *Handler) addSource(s Source) error {
	if !validName.MatchString(s.Name) {
		return fmt.Errorf("ingest: source name %q: use letters, digits, '.', '_' and '-', at most 64", s.Name)
	}
	if h.webhooks[s.Name] != nil {
		return fmt.Errorf("ingest: two sources are called %q", s.Name)
	}
	src, err := newSource(s)
	if err != nil {
		return fmt.Errorf("ingest: source %q %w", s.Name, err)
	}
	for _, key := range s.WriteKeys {
		if other := h.keys[digest(key)]; other != nil {
			return fmt.Errorf("ingest: sources %q and %q have a write key in common", other.name, s.Name)
		}
		h.keys[digest(key)] = src
	}
	h.webhooks[s.Name] = src
	return nil
}

func newSource(s Source) (*source, error) {
	src := &source{name: s.Name, requireToken: s.RequireBatchToken, names: s.IntegrationNames, lane: s.Lane, accounts: s.Accounts, aliases: s.Aliases, erase: s.EraseActivities, forward: s.Forward}
	if src.lane == nil {
		src.lane = func(r segment.Received) string { return r.UserID }
	}
	if src.forward == nil {
		src.forward = func(segment.Type, string) bool { return false }
	}
	for _, key := range s.WriteKeys {
		if strings.TrimSpace(key) == "" {
			return nil, errors.New("has an empty write key")
		}
	}
	for _, secret := range s.WebhookSecrets {
		if strings.TrimSpace(secret) == "" {
			return nil, errors.New("has an empty webhook secret")
		}
		src.secrets = append(src.secrets, []byte(secret))
	}
	switch {
	case len(s.WriteKeys)+len(s.WebhookSecrets) == 0:
		return nil, errors.New("has neither a write key nor a webhook secret: anybody could send in its name")
	case slices.ContainsFunc(s.IntegrationNames, func(name string) bool { return name == "" || strings.EqualFold(name, "all") }):
		return nil, errors.New("has an integration name that is no destination's: it is empty, or All")
	case s.BatchToken == "" && s.RequireBatchToken:
		return nil, errors.New("requires a batch token and has none")
	case s.BatchToken != "" && len(s.WebhookSecrets) == 0:
		return nil, errors.New("has a batch token and no webhook secret: a write key vouches for the whole request, so no token is needed")
	case s.BatchToken != "" && !validToken.MatchString(s.BatchToken):
		return nil, errors.New("has an unusable batch token: use 16 to 128 letters, digits, '.', '_', '~' and '-'")
	case !(s.RatePerSecond >= 0) || math.IsInf(s.RatePerSecond, 0): // also not a number
		return nil, fmt.Errorf("has a rate of %v events a second: use a positive number, or 0 for no limit", s.RatePerSecond)
	}
	if s.BatchToken != "" {
		src.token, src.hasToken = digest(s.BatchToken), true
	}
	if s.RatePerSecond > 0 {
		src.limit = rate.NewLimiter(rate.Limit(s.RatePerSecond), burst(s.RatePerSecond))
	}
	return src, nil
}

// parsePublicURL reads Config.PublicURL; nil if there is none.
func parsePublicURL(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.RawPath != "" {
		return nil, fmt.Errorf("ingest: public URL %q: use a URL like https://relay.example.com, without user, query and fragment", s)
	}
	return u, nil
}
