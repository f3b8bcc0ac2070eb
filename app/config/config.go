// Package config holds the configuration of freshrelay: what can be set, what it is when nobody sets it, and how it
// is read.
//
// One YAML file, every key of it also as an environment variable FRESHRELAY_…, every secret also from a file. What is
// promised: later layers win (defaults, file, environment, command line); a configuration with anything wrong in it
// is refused as a whole, with all its problems at once, each with the key, the value and the way to mend it; unknown
// keys are refused and the nearest known one is named; the value of a secret is never shown, by no message and no
// print of the structure.
package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Config is the whole configuration. Load returns one that is complete and checked.
type Config struct {
	DataDir string `yaml:"data_dir"` // holds the store, the admin token and the lock of one instance
	Listen  string `yaml:"listen"`   // host:port where Segment and the SDKs post
	// PublicURL is what senders call, without a path, when that is not what Listen and TLS say. Public has the answer.
	PublicURL string `yaml:"public_url"`
	// TrustedProxies are the networks whose word about a client's address (X-Forwarded-For) is believed.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`

	TLS           TLS           `yaml:"tls"`
	Admin         Admin         `yaml:"admin"`
	NATS          NATS          `yaml:"nats"`
	Sources       []Source      `yaml:"sources"`
	Freshmarketer Freshmarketer `yaml:"freshmarketer"`
	Delivery      Delivery      `yaml:"delivery"`
	Identity      Identity      `yaml:"identity"`
	Contacts      Contacts      `yaml:"contacts"`
	Activities    Activities    `yaml:"activities"`
	Mapping       Mapping       `yaml:"mapping"`
	Group         string        `yaml:"group"` // what group calls do: GroupAccount or GroupOff
	Alias         bool          `yaml:"alias"` // alias calls give the contact of their previousId to their userId
	Deletion      Deletion      `yaml:"deletion"`
	Retry         Retry         `yaml:"retry"`
	Dead          Dead          `yaml:"dead"`
	Journal       Journal       `yaml:"journal"`
	Log           Log           `yaml:"log"`

	// File is the path of the file that was read, "" if there was none.
	File string `yaml:"-"`
	// UnusedDataDir says that the file names a data directory, and that sandbox mode leaves it alone.
	UnusedDataDir bool `yaml:"-"`
}

// TLS is about encryption on the ingest listener: by files, by an ordered certificate, or, with nothing set, not here.
type TLS struct {
	CertFile string `yaml:"cert_file"` // PEM: the server's certificate, then the chain
	KeyFile  string `yaml:"key_file"`  // PEM, not encrypted
	// ACMEDomain is the name a certificate is ordered for. Setting it agrees to the terms of the CA.
	ACMEDomain    string `yaml:"acme_domain"`
	ACMEEmail     string `yaml:"acme_email"`     // where the CA may write to; optional
	ACMEDirectory string `yaml:"acme_directory"` // of another CA than Let's Encrypt
}

// On says whether the ingest listener speaks TLS.
func (t TLS) On() bool { return t.CertFile != "" || t.ACMEDomain != "" }

// Public returns the base URL under which senders reach the ingest listener, "" if nobody said.
func (c Config) Public() string {
	if c.PublicURL == "" && c.TLS.ACMEDomain != "" { // proven on port 443, which https means
		return "https://" + c.TLS.ACMEDomain
	}
	return strings.TrimSuffix(c.PublicURL, "/")
}

// Admin is the listener for health, metrics, the command line and the console.
type Admin struct {
	Listen string `yaml:"listen"`
	// TokenFile holds the token that /api asks for; "" means admin.token in the data directory, made at first start.
	TokenFile string `yaml:"token_file"`
}

// NATS is the broker.
type NATS struct {
	// URL of your own NATS servers, several separated by commas. "" means the embedded one, and then what follows up to
	// Durability has no meaning.
	URL             string  `yaml:"url"`
	CredentialsFile string  `yaml:"credentials_file"` // of a NATS user
	TLS             NATSTLS `yaml:"tls"`
	Replicas        int     `yaml:"replicas"`   // of each stream: 1 or 3
	Partitions      int     `yaml:"partitions"` // 0 means 16, or what the store has
	// Durability declares what an acknowledgement of the servers is worth: DurabilityFsync or DurabilityReplicated.
	Durability string `yaml:"durability"`

	// Prefix begins the names of all streams and subjects, so that several instances can share a broker.
	Prefix string `yaml:"prefix"`
	// MaxBytes bounds the whole store on disk. 0 means the smaller of 10 GiB and half of the free disk.
	MaxBytes Size `yaml:"max_bytes"`
	// EncryptionKey encrypts what the embedded broker keeps. The old one is needed for one start when the key is changed.
	EncryptionKey        Secret `yaml:"encryption_key"`      // that of the file included
	EncryptionKeyFile    string `yaml:"encryption_key_file"` // or the key in a file of its own
	EncryptionOldKey     Secret `yaml:"encryption_old_key"`
	EncryptionOldKeyFile string `yaml:"encryption_old_key_file"`
}

// NATSTLS is about the connection to your own NATS servers.
type NATSTLS struct {
	CAFile   string `yaml:"ca_file"`   // PEM: the authority that signed the servers' certificates
	CertFile string `yaml:"cert_file"` // PEM: the client's certificate, where servers ask for one
	KeyFile  string `yaml:"key_file"`
}

// Values of NATS.Durability.
const (
	DurabilityFsync      = "fsync"      // every server syncs before it acknowledges (sync_interval: always)
	DurabilityReplicated = "replicated" // most replicas have it, perhaps in memory
)

// Source is one Segment source that may send to us. It needs a write key or a webhook secret.
type Source struct {
	Name               string   `yaml:"name"`                 // in paths (/webhook/<name>), metrics and the journal
	WriteKeys          []Secret `yaml:"write_keys"`           // for the Tracking API; those of the file included
	WriteKeysFile      string   `yaml:"write_keys_file"`      // one per line
	WebhookSecrets     []Secret `yaml:"webhook_secrets"`      // for X-Signature; several while one is being changed
	WebhookSecretsFile string   `yaml:"webhook_secrets_file"` // one per line
	// BatchToken vouches for what Segment's signature of an array does not cover; that of the file included.
	BatchToken        Secret  `yaml:"batch_token"`
	BatchTokenFile    string  `yaml:"batch_token_file"`
	RequireBatchToken bool    `yaml:"require_batch_token"` // refuse signed arrays that come without it
	RatePerSecond     float64 `yaml:"rate_per_second"`     // events; 0 means no limit
	// IntegrationNames are the names by which the workspace knows the way to us, besides Segment's own for webhooks.
	IntegrationNames []string `yaml:"integration_names"`
	Forward          Forward  `yaml:"forward"`
}

// Forward names the track and page calls that are sent on: ForwardAll, or the names of events and pages, in any letter case.
// Others are dropped at the door.
type Forward struct {
	Track []string `yaml:"track"`
	Page  []string `yaml:"page"`
}

// ForwardAll in a list forwards all calls of the type, those without a name too.
const ForwardAll = "*"

// Takes says whether a call of that type ("track" or "page") and name ("" if it has none) is sent on.
func (f Forward) Takes(typ, name string) bool {
	names := f.Track
	if typ == "page" {
		names = f.Page
	} else if typ != "track" {
		return false
	}
	name = strings.TrimSpace(name)
	return slices.ContainsFunc(names, func(n string) bool {
		n = strings.TrimSpace(n)
		return n == ForwardAll || name != "" && strings.EqualFold(n, name)
	})
}

// Any says that something is forwarded.
func (f Forward) Any() bool { return len(f.Track)+len(f.Page) > 0 }

// Activities says what forwarded track and page calls become.
type Activities struct {
	As    string            `yaml:"as"`    // ActivitiesAsActivity or ActivitiesAsEvent
	Type  string            `yaml:"type"`  // name of the sales activities' type
	Types map[string]string `yaml:"types"` // that of single events or pages: name to type
	Owner string            `yaml:"owner"` // id, address or name of the sales owner they get
	Title string            `yaml:"title"` // with placeholders
	Notes string            `yaml:"notes"` // with placeholders
}

// What there is for Activities.As.
const (
	ActivitiesAsActivity = "activity"
	ActivitiesAsEvent    = "event"
)

// Forwards says that some source forwards track or page calls.
func (c Config) Forwards() bool {
	for _, s := range c.Sources {
		if s.Forward.Any() {
			return true
		}
	}
	return false
}

// Freshmarketer is the account that gets the contacts.
type Freshmarketer struct {
	Domain     string `yaml:"domain"`       // bundle alias, host or URL
	APIKey     Secret `yaml:"api_key"`      // that of the file included
	APIKeyFile string `yaml:"api_key_file"` // or the key in a file of its own
	BaseURL    string `yaml:"base_url"`     // another host than the domain's; the paths below it stay the same
	// Proxy is the URL of a proxy, or ProxyNone; "" is what HTTPS_PROXY and NO_PROXY say. It may hold a password.
	Proxy   Secret        `yaml:"proxy"`
	CAFile  string        `yaml:"ca_file"` // PEM: authorities to trust besides the system's
	Timeout time.Duration `yaml:"timeout"` // of one call
	Quota   Quota         `yaml:"quota"`
	// CustomFields says what the account does to custom fields that a write does not name: CustomAuto finds out.
	CustomFields string `yaml:"custom_fields"`
}

// Quota is how many API calls the account gives, and how many of them are not ours.
type Quota struct {
	PerHour   int     `yaml:"per_hour"`   // of the whole account, by its plan; 0: no limit of ours
	PerMinute int     `yaml:"per_minute"` // 0: no limit of ours
	Reserve   float64 `yaml:"reserve"`    // part of both that is kept for people and other integrations
}

// Delivery is about sending.
type Delivery struct {
	// Mode says whose contacts are written: ModeLive, ModeCanary or ModeObserve.
	Mode string `yaml:"mode"`
	// Canary lists the userIds whose contacts are written in the mode canary.
	Canary []string `yaml:"canary"`
	// ObserveFor is how long calls that are not written wait for another mode before they are discarded.
	ObserveFor time.Duration `yaml:"observe_for"`
	// Concurrency is how many API requests may be under way at the same time.
	Concurrency int `yaml:"concurrency"`
}

// Identity is about which contact a call means.
type Identity struct {
	// EmailFallback finds or creates the contact by context.traits.email or a userId that is an address, where a call has
	// no traits.email.
	EmailFallback bool `yaml:"email_fallback"`
	// WithoutUserID says what becomes of an identify without a userId: UserIDDiscard or UserIDByEmail.
	WithoutUserID string `yaml:"without_user_id"`
}

// Contacts is about contacts that do not exist yet.
type Contacts struct {
	Create bool `yaml:"create"` // false: only contacts that are there are updated
	// OnCreate gives a new contact its defaults: field to value.
	OnCreate map[string]string `yaml:"on_create"`
}

// Match says which rules find a field for a trait, besides the lines of Mapping.Traits.
type Match struct {
	Label    bool `yaml:"label"`    // the field's label, exactly
	Spelling bool `yaml:"spelling"` // the label without regard to case, spaces, '_', '-' and camelCase
	Reserved bool `yaml:"reserved"` // Segment's reserved names
}

// Mapping is about turning traits into fields.
type Mapping struct {
	// MissingTraits says what an identify does to the fields that earlier ones of its source set and it leaves out.
	MissingTraits string `yaml:"missing_traits"` // MissingClear or MissingKeep
	// StrictLabels matches trait keys to field labels to the letter, whatever Match says.
	StrictLabels bool  `yaml:"strict_labels"`
	Match        Match `yaml:"match"`
	// ResendAfter is how long a value that did not change is not sent again.
	ResendAfter time.Duration `yaml:"resend_after"`
	// Traits names the field (label or API name) for a trait key or a dotted path into nested traits.
	Traits map[string]string `yaml:"traits"`
	// GroupTraits is the same for the traits of group calls and the fields of sales accounts.
	GroupTraits map[string]string `yaml:"group_traits"`
}

// Deletion is about erasing users: by delete calls, and by freshrelay forget.
type Deletion struct {
	Webhooks bool   `yaml:"webhooks"` // delete calls of webhooks erase their user; freshrelay forget always does
	Contact  string `yaml:"contact"`  // what becomes of the contact: ContactForget or ContactRecycleBin
}

// Retry is about one user's change that fails.
type Retry struct {
	Initial time.Duration `yaml:"initial"` // wait before the second attempt; it doubles from there, with jitter
	Max     time.Duration `yaml:"max"`     // longest wait between two attempts
	MaxAge  time.Duration `yaml:"max_age"` // after this the event is set aside as a dead letter
}

// Dead is about dead letters.
type Dead struct {
	Retention time.Duration `yaml:"retention"` // after it was tried first, a letter is kept so long; 0 keeps it for ever
}

// Journal is about the lines that explain outcomes. The ledger does not need them.
type Journal struct {
	Enabled  bool          `yaml:"enabled"`
	MaxAge   time.Duration `yaml:"max_age"`   // of a line
	MaxBytes Size          `yaml:"max_bytes"` // 0: its share of nats.max_bytes
}

// Log is about what the service writes to standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // FormatAuto, FormatConsole or FormatJSON
}

// Values of Deletion.Contact.
const (
	ContactForget     = "forget"      // it is deleted for good
	ContactRecycleBin = "recycle_bin" // people can restore it
)

// Values of Group.
const (
	GroupAccount = "account" // the company is a sales account, and its users' contacts are linked to it
	GroupOff     = "off"     // they are discarded
)

// Values of Freshmarketer.CustomFields, Delivery.Mode, Mapping.MissingTraits, Identity.WithoutUserID and Log.Format.
const (
	ProxyNone     = "none"    // of freshmarketer.proxy: no proxy, whatever the environment says
	ModeObserve   = "observe" // nothing is written; the journal says what would be
	ModeCanary    = "canary"  // only the contacts of the listed users are written
	ModeLive      = "live"    // all contacts are written
	MissingClear  = "clear"   // empty them, as the destination page says
	MissingKeep   = "keep"    // leave them alone
	CustomAuto    = "auto"    // find out, and until then read a contact first
	CustomMerge   = "merge"   // it keeps them: no reading
	CustomReplace = "replace" // it empties them: always read first
	UserIDDiscard = "discard" // as the destination page says
	UserIDByEmail = "by_email"
	FormatAuto    = "auto"    // console on a terminal, JSON elsewhere
	FormatConsole = "console" // for reading
	FormatJSON    = "json"    // for machines
)

// Defaults returns what holds when nothing is configured. It is not complete: sources and the account have no
// default.
func Defaults() Config {
	return Config{
		DataDir:  "./data",
		Listen:   "127.0.0.1:8080",
		Admin:    Admin{Listen: "127.0.0.1:8081"},
		NATS:     NATS{Prefix: "freshrelay", Replicas: 1},
		Delivery: Delivery{Mode: ModeLive, Canary: []string{}, ObserveFor: 7 * 24 * time.Hour, Concurrency: 8},

		Freshmarketer: Freshmarketer{Timeout: 10 * time.Second, Quota: Quota{PerHour: 1000, PerMinute: 400, Reserve: 0.1}, CustomFields: CustomAuto},
		Identity:      Identity{WithoutUserID: UserIDDiscard},
		Contacts:      Contacts{Create: true},
		Activities:    Activities{As: ActivitiesAsActivity, Title: "{{name}}", Notes: "{{properties}}"},
		Mapping: Mapping{
			MissingTraits: MissingClear, Match: Match{Label: true, Spelling: true, Reserved: true}, ResendAfter: 7 * 24 * time.Hour,
		},
		Group: GroupAccount,

		Alias:    true,
		Deletion: Deletion{Contact: ContactForget},

		Retry:   Retry{Initial: 2 * time.Second, Max: 2 * time.Minute, MaxAge: 15 * time.Minute},
		Dead:    Dead{Retention: 30 * 24 * time.Hour},
		Journal: Journal{Enabled: true, MaxAge: 7 * 24 * time.Hour},
		Log:     Log{Level: "info", Format: FormatAuto},
	}
}
