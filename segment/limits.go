package segment

// Limits of the Tracking API, in bytes and events.
// Source: Segment docs, HTTP Tracking API, "Max Request Size" and "Batch"; 32 KB is 32,768 bytes in the node,
// python, ruby and java clients and 32,000 in go and php (seen in client code), so the larger reading holds.
const (
	MaxEventBytes  = 32 << 10
	MaxBatchBytes  = 500 << 10
	MaxBatchEvents = 2500
)

// Limits of webhooks. Segment documents none for single events, and adds to an event what the sender did not send,
// so these are guards of ours, far above what Segment lets through.
const (
	// MaxWebhookEventBytes keeps an event, with its header, below the 512 KB of a pack of the queue. It holds for
	// every stored event, also for one that grew by what its batch shares.
	MaxWebhookEventBytes = 480 << 10
	// MaxWebhookBytes is twice the 4 MB at which Segment's framework cuts a batch (seen in the source of
	// action-destinations).
	MaxWebhookBytes = 8 << 20
	// MaxWebhookEvents is two and a half times the largest batch_size of Webhooks (Actions), 4,000.
	// Source: Segment docs, Webhooks (Actions) destination.
	MaxWebhookEvents = 10_000
)

// Limits of an event's shape.
const (
	// MaxDepth bounds how deep objects and arrays nest, the event itself being the first level. No sample or
	// client comes near it; it keeps recursion over an event harmless.
	MaxDepth = 64
	// MaxKeys bounds the keys of an event, all levels together.
	// Source: Segment docs, HTTP Tracking API: at most 10,000 properties per event.
	MaxKeys = 10_000
)

// Limits of a message id.
const (
	// MaxMessageIDBytes is how long a message id can be to be kept. Segment allows 100 characters, but a webhook
	// can be mapped to carry any string; cutting one could make two ids equal, so up to here it stays as it is.
	MaxMessageIDBytes = 1000
)
