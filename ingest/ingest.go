// Package ingest is the door: HTTP in, events into the queue. It authenticates, limits, splits and stores, and judges
// nothing but form; what a call means is decided later, in its user's lane.
//
// What is promised:
//
//   - 200 is answered only after every event of the request is on disk, or was dropped for a reason that is counted.
//   - Anything else than 200 means that the sender must mend something (4xx) or repeat the request (503 with
//     Retry-After); of a repeated request, parts that were already stored are recognised later by their message ids.
//   - Events of one request are stored in the order in which they stand there.
//   - Answers and logs name what is wrong and how to mend it, and never show a byte of what was sent. Logs of requests
//     that are refused for what their sender does name its address, and no others do.
//   - Whatever is sent, memory stays bounded: a body is read up to its limit, and all bodies together up to
//     Config.BodyMemory.
//
// Webhooks come in four forms, all to /webhook/<source>: classic (one event), Actions (one, or an array), Extensible
// (arrays of {"json": event}) and the partner form of Segment's direct destinations (one event, with the key as the user
// name of Basic). The answers are the same for all four. A direct destination may answer 202 or 501, and 400 for an
// event without userId or email, which Segment then shows to its users; we answer 200 instead for every event that is
// stored, because only the event's lane can tell what it is worth, and for every type of call that is dropped. Both are
// counted with their reasons.
// Source: Segment docs, Webhooks, Webhooks (Actions), Direct destinations; source of action-destinations.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/freshrelay/freshrelay/metrics"
	"github.com/freshrelay/freshrelay/queue"
)

// Store keeps events. Publish returns nil once all of them are on disk, and then has no more use for the entries and their
// bytes, which are used again. On an error a part may be stored, even later: then the bytes are the store's for good, and
// only the slice of entries is used again.
type Store interface {
	Publish(ctx context.Context, entries []queue.Entry) error
}

// Handler serves the ingest listener. Create it with New.
type Handler struct {
	store        Store
	metrics      *metrics.Metrics
	log          *zap.Logger
	storeTimeout time.Duration
	publicURL    *url.URL       // nil if none is configured
	proxies      []netip.Prefix // trusted

	tracking map[string]call       // by path, without version and slashes around it
	webhooks map[string]*source    // by name
	keys     map[keyDigest]*source // by write key
	memory   memory
	visits   sync.Pool // of *visit
	unzip    sync.Pool // of *gzip.Reader
	recent   *recent
}

// New returns the handler. It fails if the configuration is unusable: if a source has a bad name, nothing to authenticate
// it by or something in common with another, or a number, a proxy or the public URL makes no sense. The error names the source
// and never a key.
func New(cfg Config, store Store, m *metrics.Metrics, log *zap.Logger) (*Handler, error) {
	if store == nil || m == nil || log == nil {
		return nil, errors.New("ingest: store, metrics and log are all needed")
	}
	h := &Handler{
		store: store, metrics: m, log: quiet(log), storeTimeout: cmp.Or(cfg.StoreTimeout, defaultStoreTimeout),
		tracking: trackingCalls(), webhooks: map[string]*source{}, keys: map[keyDigest]*source{},
		memory: memory{limit: cmp.Or(cfg.BodyMemory, defaultBodyMemory)}, proxies: cfg.TrustedProxies, recent: newRecent(),
	}
	if h.memory.limit < minBodyMemory {
		return nil, errors.New("ingest: body memory below 32 MiB: the largest webhook request would never fit")
	}
	err := checkProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	if h.publicURL, err = parsePublicURL(cfg.PublicURL); err != nil {
		return nil, err
	}
	for _, s := range cfg.Sources {
		if err := h.addSource(s); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// ServeHTTP answers one request, as the package promises.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := h.enter(w, r)
	defer h.leave(v)
	status := http.StatusOK
	if no := h.serve(v); no != nil {
		h.refuse(v, no)
		status = no.status
	}
	h.metrics.RequestServed(status, time.Since(v.at))
}

// serve finds out what the path asks for. It answers the request, unless it returns a refusal.
func (h *Handler) serve(v *visit) *refusal {
	// java ends its path with a slash (seen in client code), so every path may.
	path := strings.TrimSuffix(v.r.URL.Path, "/")
	if rest, ok := strings.CutPrefix(path, "/webhook/"); ok {
		in, no := h.receiveWebhook(v, rest)
		return h.finish(v, in, no)
	}
	// A proxy may have taken the version off, or a client been configured without it.
	rest, versioned := strings.CutPrefix(path, "/v1/")
	if !versioned {
		rest = strings.TrimPrefix(path, "/")
	}
	c, isCall := h.tracking[rest]
	key, isSettings := settingsKey(rest)
	if versioned || isCall || isSettings {
		allowOrigin(v.w.Header(), v.r.Header)
		if v.r.Method == http.MethodOptions {
			preflight(v.w, v.r)
			return nil
		}
	}
	switch {
	case isSettings:
		return h.settings(v.w, v.r, key)
	case !isCall:
		return notFound()
	case v.r.Method != http.MethodPost:
		return wrongMethod("POST, OPTIONS")
	case c.ignored:
		accept(v.w)
		return nil
	}
	in, no := h.receiveTracking(v, c)
	return h.finish(v, in, no)
}

// finish stores what came in, counts it and says so.
func (h *Handler) finish(v *visit, in *intake, no *refusal) *refusal {
	if no == nil {
		no = in.refused()
	}
	if no == nil {
		no = h.keep(v.r.Context(), in)
	}
	if no != nil {
		return no
	}
	in.report(h.metrics)
	accept(v.w)
	return nil
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
		in.room = nil
		return notStored(err, in)
	}
	h.recent.learn(in.keys, in.at)
	return nil
}

// quiet folds repeats: a client with a wrong key, or a full disk, says the same thing many times a second.
func quiet(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 5, 1000)
	}))
}
