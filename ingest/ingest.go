// Package ingest is the door: HTTP in, events into the queue. It authenticates, limits, splits and stores, and judges
// nothing but form; what a call means is decided later, in its user's lane.
//
// What is promised:
//
//   - 200 is answered only after every event of the request is on disk, or was dropped for a reason that is counted.
//   - Anything else than 200 means that the sender must mend something (4xx) or repeat the request (503 with
//     Retry-After); of a repeated request, parts that were already stored are recognised later by their message ids.
//   - Events of one request are stored in the order in which they stand there.
//   - Answers and logs name what is wrong and how to mend it, and never show a byte of what was sent.
package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// defaultStoreTimeout ends storing before the sender gives up: a webhook must be answered within 5 s.
// Source: Segment docs, Webhooks destination.
const defaultStoreTimeout = 4 * time.Second

// Store keeps events. Publish returns nil once all of them are on disk; on an error a part may be stored.
type Store interface {
	Publish(ctx context.Context, entries []queue.Entry) error
}

// Source is one sender of events, a workspace's source in Segment or an application of one's own.
type Source struct {
	Name           string   // in the webhook's path, metrics and records
	WriteKeys      []string // for the Tracking API, and for webhooks if there is no secret
	WebhookSecrets []string // shared secrets of Segment's webhooks; several while one is being changed
}

// Config says who may send.
type Config struct {
	Sources      []Source
	StoreTimeout time.Duration // longest wait for the store in one request; 0 means 4 s
}

// Handler serves the ingest listener. Create it with New.
type Handler struct {
	store        Store
	metrics      *metrics.Metrics
	log          *zap.Logger
	storeTimeout time.Duration

	tracking map[string]call       // by path
	webhooks map[string]*source    // by name; only those that can be authenticated
	keys     map[keyDigest]*source // by write key
	unzip    sync.Pool             // of *gzip.Reader
}

// source is a Source made ready for looking up.
type source struct {
	name    string
	secrets [][]byte
}

// keyDigest stands for a write key in the index: looking up by digest takes the same time however much of a guessed
// key is right.
type keyDigest [sha256.Size]byte

func digest(key string) keyDigest { return sha256.Sum256([]byte(key)) }

// validName is what a source can be called: it is part of a path and a label of metrics.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// New returns the handler. It fails if a source's name is unusable, or if a name or write key stands for two sources;
// the error names the source and never the key.
func New(cfg Config, store Store, m *metrics.Metrics, log *zap.Logger) (*Handler, error) {
	if store == nil || m == nil || log == nil {
		return nil, errors.New("ingest: store, metrics and log are all needed")
	}
	h := &Handler{
		store: store, metrics: m, log: quiet(log), storeTimeout: cmp.Or(cfg.StoreTimeout, defaultStoreTimeout),
		tracking: trackingCalls(), webhooks: map[string]*source{}, keys: map[keyDigest]*source{},
	}
	names := map[string]bool{}
	for _, s := range cfg.Sources {
		if !validName.MatchString(s.Name) {
			return nil, fmt.Errorf("ingest: source name %q: use letters, digits, '.', '_' and '-', at most 64", s.Name)
		}
		if names[s.Name] {
			return nil, fmt.Errorf("ingest: two sources are called %q", s.Name)
		}
		names[s.Name] = true
		if err := h.addSource(s); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *Handler) addSource(s Source) error {
	src := &source{name: s.Name}
	for _, key := range s.WriteKeys {
		if strings.TrimSpace(key) == "" {
			return fmt.Errorf("ingest: source %q has an empty write key", s.Name)
		}
		if other := h.keys[digest(key)]; other != nil {
			return fmt.Errorf("ingest: sources %q and %q have a write key in common", other.name, s.Name)
		}
		h.keys[digest(key)] = src
	}
	for _, secret := range s.WebhookSecrets {
		if strings.TrimSpace(secret) == "" {
			return fmt.Errorf("ingest: source %q has an empty webhook secret", s.Name)
		}
		src.secrets = append(src.secrets, []byte(secret))
	}
	// A webhook that anybody could call does not exist.
	if len(s.WriteKeys)+len(s.WebhookSecrets) > 0 {
		h.webhooks[s.Name] = src
	}
	return nil
}

// ServeHTTP answers one request, as the package promises.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in, no := h.receive(w, r, time.Now().UTC())
	if no == nil {
		no = h.keep(r.Context(), in)
	}
	if no != nil {
		h.refuse(w, no)
		return
	}
	in.report(h.metrics)
	accept(w)
}

// receive finds out what the path asks for and reads the request.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, at time.Time) (*intake, *refusal) {
	// java ends its path with a slash (seen in client code), so every path may.
	path := strings.TrimSuffix(r.URL.Path, "/")
	if c, ok := h.tracking[path]; ok {
		if r.Method != http.MethodPost {
			return nil, wrongMethod(http.MethodPost)
		}
		return h.receiveTracking(w, r, c, at)
	}
	name, ok := strings.CutPrefix(path, "/webhook/")
	src := h.webhooks[name]
	if !ok || src == nil {
		return nil, notFound()
	}
	switch r.Method {
	// Source: Segment docs, Webhooks (Actions) destination: the method can be chosen among these.
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil, wrongMethod("POST, PUT, PATCH")
	}
	in, no := h.receiveWebhook(w, r, src, at)
	if no != nil {
		no.source = src.name
	}
	return in, no
}

// keep stores what came in.
func (h *Handler) keep(ctx context.Context, in *intake) *refusal {
	if len(in.entries) == 0 {
		return nil
	}
	// A sender that hangs up does not stop its events from being stored: they are all here, and half a request
	// stored would only mean more repeats to recognise.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.storeTimeout)
	defer cancel()
	if err := h.store.Publish(ctx, in.entries); err != nil {
		return notStored(err, in)
	}
	return nil
}

// quiet folds repeats: a client with a wrong key, or a full disk, says the same thing many times a second.
func quiet(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 5, 1000)
	}))
}
